// The same work with nodemailer's pool and Handlebars: `node send.mjs FOLDER PORT CONNECTIONS`, run by ../delivery.py.
// FOLDER holds issue.json (templates and fields), readers.jsonl (one reader a line) and node_modules.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [folder, port, connections] = process.argv.slice(2);
const require = createRequire(join(folder, "node_modules/"));
const nodemailer = require("nodemailer");
const Handlebars = require("handlebars");

Handlebars.registerHelper("urlpart", (value) => encodeURIComponent(value));
const issue = JSON.parse(readFileSync(join(folder, "issue.json"), "utf8"));
const readers = readFileSync(join(folder, "readers.jsonl"), "utf8").trimEnd().split("\n");
const [subject, html] = [issue.subject, issue.html].map((source) => Handlebars.compile(source));
const text = Handlebars.compile(issue.text, { noEscape: true });

const pool = nodemailer.createTransport({
  pool: true, host: "127.0.0.1", port: Number(port), secure: false, ignoreTLS: true,
  maxConnections: Number(connections), maxMessages: Infinity,
});

let next = 0;
async function lane() {
  while (next < readers.length) {
    const reader = JSON.parse(readers[next++]);
    await pool.sendMail({
      envelope: { from: issue.return_path, to: reader.email },
      from: issue.from, to: { name: reader.name, address: reader.email },
      subject: subject(reader), html: html(reader), text: text(reader),
      list: { unsubscribe: reader.unsubscribe },
    });
  }
}
const begun = performance.now();
await Promise.all(Array.from({ length: 2 * Number(connections) }, lane));
console.log(readers.length / ((performance.now() - begun) / 1000));
pool.close();
