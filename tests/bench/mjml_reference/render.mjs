// Renders a JSON object of MJML documents (name: source) from standard input with the reference renderer:
// name: {html, errors}. Run by compare.py in the folder where the package `mjml` is installed.
import { readFileSync, writeFileSync } from 'node:fs'
import mjml2html from 'mjml'

const documents = JSON.parse(readFileSync(0, 'utf8'))
const rendered = {}
for (const [name, source] of Object.entries(documents)) {
  try {
    const { html, errors } = await mjml2html(source, { fonts: {}, minify: false })
    rendered[name] = { html, errors: errors.map((e) => e.formattedMessage ?? e.message) }
  } catch (error) {
    rendered[name] = { html: '', errors: [String(error)] }
  }
}
writeFileSync(1, JSON.stringify(rendered))
