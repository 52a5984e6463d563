"""Static pages to show colleagues: an issue in all its variants, or what changed in it. No script, no server.

The emails stand in frames that may run nothing; their pictures lie beside them. Every page says that it is a draft.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from digest.audience.subscriber import Subscriber
from digest.compose.compiled import CompiledIssue
from digest.compose.pictures import picture_files
from digest.message.merge import Identity, Merger, Rendering
from digest.newsletter import Newsletter
from digest.preview.build import Warn, hashes, one_of_each, readers_of, write_files
from digest.preview.changes import Change
from digest.preview.colours import as_scheme
from digest.preview.pages import STATIC, pictures_from, render
from digest.preview.variants import short

_HEAD = re.compile(r"(<head\b[^>]*>)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One variant on a page of its own: who gets it, its words, and the files of its email."""

    file: str
    label: str
    readers: int | None
    rendering: Rendering
    light: str
    dark: str


def share(newsletter: Newsletter, compiled: CompiledIssue, out: Path, *, warn: Warn, real: bool = False) -> list[Sheet]:
    """Write the pages of an issue into `out`, ``index.html`` first; what an earlier call wrote is replaced.

    `real` and `warn` are as for `build`, which raises the same.
    """
    merger = Merger(compiled, Identity.of(newsletter.settings), today=date.fromisoformat(compiled.date))
    found = one_of_each(merger, readers_of(newsletter, merger, warn, real=real))
    found.sort(key=lambda item: -item[1])
    pictures = picture_files(newsletter, compiled)
    files: dict[str, bytes] = {f"assets/{name}": data for name, (data, _) in pictures.items()}
    sheets = []
    for number, (reader, count) in enumerate(found, start=1):
        seen = merger.rendering(reader)
        light, dark = f"email/{number:02d}.html", f"email/{number:02d}-dark.html"
        local = local_email(seen.html, compiled, "../assets/")
        files |= {light: as_scheme(local, "light").encode(), dark: as_scheme(local, "dark").encode()}
        file = "index.html" if number == 1 else f"variant-{number:02d}.html"
        sheets.append(Sheet(file, label(merger, reader), count if real else None, seen, light, dark))
    about = {"newsletter_name": newsletter.settings.newsletter.name, "issue": compiled, "sheets": sheets}
    for sheet in sheets:
        files[sheet.file] = render("share.html", about | {"sheet": sheet}).encode()
    _write(out, files, compiled.slug)
    return sheets


@dataclass(frozen=True, slots=True)
class Pair:
    """One reader's email before and after, and what is different in its words."""

    label: str
    before: tuple[CompiledIssue, Rendering]
    after: tuple[CompiledIssue, Rendering]
    changes: Sequence[Change]


def share_difference(
    newsletter: Newsletter, before: str, pairs: Sequence[Pair], pictures: dict[str, bytes], out: Path
) -> None:
    """Write a page with what changed since `before` (as people call it) and both emails of each pair."""
    files = {f"assets/{name}": data for name, data in pictures.items()}
    for number, pair in enumerate(pairs, start=1):
        for side, (compiled, seen) in (("old", pair.before), ("new", pair.after)):
            local = local_email(seen.html, compiled, "../assets/")
            files[f"email/{number:02d}-{side}.html"] = as_scheme(local, "light").encode()
    issue = pairs[0].after[0]
    about = {"newsletter_name": newsletter.settings.newsletter.name, "issue": issue, "before": before, "pairs": pairs}
    files["index.html"] = render("share_diff.html", about).encode()
    _write(out, files, issue.slug)


def local_email(html: str, compiled: CompiledIssue, folder: str) -> str:
    """The email with its pictures from `folder`; a link opens in a window of its own."""
    html = pictures_from(folder, html, compiled)
    return _HEAD.sub(r'\1<base target="_blank"><meta name="robots" content="noindex">', html, count=1)


def _write(out: Path, files: dict[str, bytes], slug: str) -> None:
    files["share.css"] = (STATIC / "share.css").read_bytes()
    manifest = {"issue": slug, "files": hashes(files)}
    write_files(out, files | {"manifest.json": (json.dumps(manifest, indent=2) + "\n").encode()})


def label(merger: Merger, reader: Subscriber, before: Merger | None = None) -> str:
    """The conditions that hold for a reader, in short; with those that held in the text as it was `before`."""
    words = _holding(merger, reader)
    gone = [word for word in _holding(before, reader) if word not in words] if before else []
    return ", ".join([*words, *(f"{word} (before)" for word in gone)]) or "no condition holds"


def _holding(merger: Merger, reader: Subscriber) -> list[str]:
    held = zip(merger.compiled.conditions, merger.variant(reader), strict=True)
    return list(dict.fromkeys(short(condition.expression) for condition, true in held if true))
