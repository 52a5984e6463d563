"""``digest subscribers import`` and ``mappings``: a list from a file, and what its columns are here."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from digest.audience import editing
from digest.audience.importing import ImportReport, Sync, import_list
from digest.audience.mappings import ColumnMapping, Mappings
from digest.audience.readers import load_readers
from digest.audience.survey import Column
from digest.cli.opened import opened
from digest.cli.options import Session, command
from digest.errors import InputError, Problem, nearest

_LOG_EVERY = 100_000  # rows
_REDRAWN = 0.1  # seconds


@command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Check the whole file and show what it holds; import nothing.")
@click.option("--revive", is_flag=True, help="Make readers active again who had left.")
@click.option("--map", "mapped", multiple=True, metavar="COLUMN=NAME", help="What a column is; may be repeated.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="A column to pass over; may be repeated.")
@click.option("--mapping", metavar="NAME", help="What columns are, and which to pass over, as saved under NAME.")
@click.option("--save-map", metavar="NAME", help="Save what --map, --ignore and --mapping say under NAME.")
@click.option("--sync", metavar="SOURCE", help="FILE is all that SOURCE has: its readers who are missing leave.")
@click.option("--override", type=click.Choice(["max_change"]), help="Let more readers leave than delivery.max_change.")
def import_(
    session: Session,
    file: Path,
    dry_run: bool,
    revive: bool,
    mapped: tuple[str, ...],
    ignore: tuple[str, ...],
    mapping: str | None,
    save_map: str | None,
    sync: str | None,
    override: str | None,
) -> int:
    """Import FILE: CSV, or JSON Lines when its name ends in .jsonl.

    The first row of a CSV names the columns: email, name, first_name, last_name, language, timezone, tags,
    signed_up, status, source, consented_at, note, and the attributes of config/readers.toml; --map gives
    another name to a column. Exports of Mailchimp, Substack, Ghost, Buttondown, beehiiv and listmonk are
    recognised.

    All of FILE is checked before any of it is imported. Rows that are wrong are reported and written to
    FILE.rejects.csv, which can be mended and imported again; the others go in. Exit code 1 when a row was
    rejected. Whoever FILE says is unsubscribed, blocklisted or unconfirmed is suppressed.
    """
    progress = _Progress(session)
    with opened(session) as (newsletter, connection):
        mappings = Mappings(connection)
        columns = mappings.get(mapping) if mapping else ColumnMapping()
        columns |= ColumnMapping(editing.pairs(mapped), ignore)
        try:
            report = import_list(
                connection,
                file,
                load_readers(newsletter.root),
                ignore=columns.ignored,
                renamed=columns.renamed,
                dry_run=dry_run,
                revive=revive,
                sync=Sync(sync, 1.0 if override else newsletter.settings.delivery.max_change) if sync else None,
                progress=progress,
                look=lambda found: _print_columns(session, progress, found),
            )
        except KeyboardInterrupt:
            progress.clear()
            session.warn(progress.so_far(file))
            raise
        if save_map is not None:
            mappings.save(save_map, columns)
    progress.clear()
    _print_report(session, file, report)
    if save_map is not None:
        session.say(f"what its columns are is saved: next time --mapping {save_map.strip()}")
    session.result(report.to_dict())
    return 1 if report.rejected else 0


@command("mappings")
@click.option("--remove", metavar="NAME", help="Forget the mapping saved under NAME.")
def mappings(session: Session, remove: str | None) -> None:
    """Show the mappings that imports have saved with --save-map."""
    with opened(session) as (_, connection):
        saved = Mappings(connection)
        if remove is not None and not saved.remove(remove):
            cure = nearest(remove, (name for name, _ in saved.all()))
            raise InputError(Problem(None, f"there is no mapping “{remove}”", cure, code="mapping"))
        found = list(saved.all())
    for name, mapping in found:
        parts = [f"{theirs} = {ours}" for theirs, ours in mapping.renamed.items()]
        parts += [f"{column} passed over" for column in mapping.ignored]
        session.say(f"{name}: {', '.join(parts) or 'nothing'}")
    if not found:
        session.say("no mappings are saved")
    session.result({"mappings": {n: {"map": dict(m.renamed), "ignore": list(m.ignored)} for n, m in found}})


@dataclass(slots=True)
class _Progress:
    """How far an import is: one line on a terminal, a line every so many rows in a log."""

    session: Session
    doing: str = ""
    rows: int = 0
    total: int = 0
    drawn: float = 0.0

    def __call__(self, what: str, rows: int) -> None:
        self.doing, self.rows = what, rows
        if what == "checking":
            self.total = rows
        if self.session.json:
            return
        if self._on_terminal:
            if time.monotonic() - self.drawn >= _REDRAWN:
                self.drawn = time.monotonic()
                click.echo(f"\r{self._text}\x1b[K", err=True, nl=False)
        elif rows % _LOG_EVERY == 0:
            self.session.warn(self._text)

    def clear(self) -> None:
        """Leave the line to what comes next."""
        if self._on_terminal and self.drawn:
            click.echo("\r\x1b[K", err=True, nl=False)

    def so_far(self, file: Path) -> str:
        """What an interrupted import has done."""
        if self.doing != "importing":
            return f"{file}: nothing of it was imported"
        return f"{file}: at least {self.rows:,} of {self.total:,} rows are in; the same command again does the rest"

    @property
    def _on_terminal(self) -> bool:
        return sys.stderr.isatty() and not self.session.json

    @property
    def _text(self) -> str:
        of = f" of {self.total:,}" if self.doing == "importing" else ""
        return f"{self.doing} {self.rows:,}{of} rows"


def _print_columns(session: Session, progress: _Progress, columns: Sequence[Column]) -> None:
    progress.clear()
    rows = [("column", "becomes", "type", "filled", "example")]
    for column in columns:
        narrower = column.type == "string" and column.looks_like != "string"
        kind = f"{column.type} (all {column.looks_like})" if narrower else column.type
        filled = f"{column.filled:.0%}" if column.filled in (0, 1) else f"{min(max(column.filled, 0.001), 0.999):.1%}"
        rows.append((column.title or "—", column.becomes or "passed over", kind, filled, column.example))
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for title, becomes, kind, filled, example in rows:
        cells = (f"{title:{widths[0]}}", f"{becomes:{widths[1]}}", f"{kind:{widths[2]}}", f"{filled:>{widths[3]}}")
        session.say("  ".join(("", *cells, example)).rstrip())


def _print_report(session: Session, file: Path, report: ImportReport) -> None:
    session.say(f"{file}: {report.description}")
    if report.doubt:
        session.warn(f"{file}: {report.doubt}: read as Windows-1252 (Latin-1); check the accents")
    for reject in report.rejects:
        session.warn(str(reject))
    if report.rejected > len(report.rejects):
        session.warn(f"… and {report.rejected - len(report.rejects):,} more rows, all in {report.rejects_file}")
    effect, dry = report.effect, report.dry_run
    counts = f"{effect.added:,} added, {effect.updated:,} updated, {effect.unchanged:,} unchanged"
    kept = f"; rejected rows are in {report.rejects_file}" if report.rejects_file else ""
    would = "nothing imported; it would be: " if dry else ""
    session.say(f"{report.rows:,} rows: {would}{counts}, {report.rejected:,} rejected{kept}")
    for text, number in (
        ("had left and stay away (--revive makes them active again)", effect.stay_away),
        (f"not in the file any more, {'would leave' if dry else 'have left'}", report.left),
        (f"had left, {'would be' if dry else 'are'} active again", effect.revived),
        ("suppressed before, get nothing", effect.suppressed),
        (f"{'would be' if dry else 'are now'} suppressed, since the file says so", effect.newly_suppressed),
    ):
        if number:
            session.say(f"  {number:,} {text}")
    if report.caution:
        session.warn(report.caution)
