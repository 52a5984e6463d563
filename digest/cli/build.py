"""``digest build ISSUE``: HTML, text and .eml of every variant, or pages to show them."""

from __future__ import annotations

from pathlib import Path

import click

from digest.cli.options import FOLDER, Session, command, issue_argument
from digest.errors import Problem, UsageError


@command("build", short_help="Write HTML, text and .eml of every variant.")
@issue_argument
@click.option("--out", type=FOLDER, metavar="DIR", help="The folder for the variants' files and manifest.json.")
@click.option("--web", type=FOLDER, metavar="DIR", help="A folder of static pages to show colleagues, marked a draft.")
@click.option("--real", is_flag=True, help="Use the readers of the database in place of made-up ones.")
def cli(session: Session, issue: str, out: Path | None, web: Path | None, real: bool) -> None:
    """Write every variant of ISSUE as HTML, plain text and .eml, the pictures, and manifest.json (--out).

    --web writes pages that show the variants on a phone and a desktop, in light and dark: open index.html, or put
    the folder on any web server.
    """
    if out is None and web is None:
        raise UsageError("name a folder: --out DIR for the files, --web DIR for pages to show")
    if out is not None and web is not None and out.resolve() == web.resolve():
        raise UsageError("--out and --web need a folder each")
    from digest.compose.composer import compile_issue
    from digest.preview.build import build
    from digest.preview.share import share

    newsletter = session.newsletter()
    compiled = compile_issue(newsletter, newsletter.find_issue(issue))
    answer: dict[str, object] = {}
    warned: set[str] = set()

    def warn(problem: Problem) -> None:
        if str(problem) not in warned:
            warned.add(str(problem))
            session.warn(str(problem))

    if out is not None:
        manifest = build(newsletter, compiled, out, warn=warn, real=real)
        answer |= manifest
        sizes = [variant["html_bytes"] for variant in manifest["variants"].values()]
        span = f", {min(sizes):,} to {max(sizes):,} bytes of HTML" if sizes else ""
        session.say(f"{len(sizes)} variant{'s' * (len(sizes) != 1)} of {compiled.slug}{span}")
        session.say(f"{len(manifest['files'])} files in {out}")
    if web is not None:
        sheets = share(newsletter, compiled, web, warn=warn, real=real)
        answer |= {"issue": compiled.slug, "web": str(web / "index.html"), "pages": len(sheets)}
        session.say(f"{len(sheets)} page{'s' * (len(sheets) != 1)} to show: {web / 'index.html'}")
    session.result(answer)
