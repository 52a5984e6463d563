"""``digest build ISSUE --out DIR``: HTML, text and .eml of every variant, and what they are made of."""

from __future__ import annotations

from pathlib import Path

import click

from digest.cli.options import Session, command, issue_argument


@command("build", short_help="Write HTML, text and .eml of every variant.")
@issue_argument
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder to write.")
@click.option("--real", is_flag=True, help="Use the readers of the database in place of made-up ones.")
def cli(session: Session, issue: str, out: Path, real: bool) -> None:
    """Write every variant of ISSUE as HTML, plain text and .eml, the pictures, and manifest.json."""
    from digest.compose.composer import compile_issue
    from digest.preview.build import build

    newsletter = session.newsletter()
    compiled = compile_issue(newsletter, newsletter.find_issue(issue))
    manifest = build(newsletter, compiled, out, real=real)
    session.result(manifest)
    sizes = [variant["html_bytes"] for variant in manifest["variants"].values()]
    span = f", {min(sizes):,} to {max(sizes):,} bytes of HTML" if sizes else ""
    session.say(f"{len(sizes)} variant{'s' * (len(sizes) != 1)} of {compiled.slug}{span}")
    session.say(f"{len(manifest['files'])} files in {out}")
