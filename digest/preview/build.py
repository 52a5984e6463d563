"""An issue written out as files: each variant as a client, a reader without HTML, and a relay get it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from digest.audience.database import open_database
from digest.audience.readers import load_readers
from digest.audience.received import Received
from digest.audience.store import Subscribers
from digest.audience.subscriber import Subscriber
from digest.checks.trying import tried
from digest.compose.compiled import CompiledIssue
from digest.compose.pictures import picture_files
from digest.errors import InputError, Place, Problem
from digest.message.merge import Identity, MergeError, Merger
from digest.newsletter import Newsletter

Warn = Callable[[Problem], None]


def build(
    newsletter: Newsletter, compiled: CompiledIssue, out: Path, *, warn: Warn, real: bool = False
) -> dict[str, Any]:
    """Write all variants of an issue into the folder `out`; returns what ``manifest.json`` holds.

    The same issue gives the same bytes: messages are dated by the issue, and links carry the inert token. `real`
    takes the readers of the database in place of made-up ones, of whom those who lack a value are left out: `warn` is
    told. Raises `InputError` for a reader who can't be merged.
    """
    day = date.fromisoformat(compiled.date)
    pictures = picture_files(newsletter, compiled)
    merger = Merger(compiled, Identity.of(newsletter.settings), today=day, attachments=pictures)
    variants: dict[str, Any] = {}
    files: dict[str, bytes] = {"compiled.json": compiled.to_json().encode()}
    found = one_of_each(merger, readers_of(newsletter, merger, warn, real=real))
    for number, (reader, count) in enumerate(found, start=1):
        name = f"variant-{number:02d}"
        seen = merger.rendering(reader)
        message = merger.message(reader, date=datetime.combine(day, time(), UTC), purpose="dry")
        files[f"{name}.html"] = seen.html.encode()
        files[f"{name}.txt"] = seen.text.encode()
        files[f"{name}.eml"] = message.data
        variants[name] = {
            "sample": reader.email,
            "readers": count if real else None,
            "subject": seen.subject,
            "conditions": dict(zip((c.expression for c in compiled.conditions), merger.variant(reader), strict=True)),
            "html_bytes": len(seen.html.encode()),
            "message_bytes": len(message.data),
        }
    files |= {f"assets/{name}": data for name, (data, _) in pictures.items()}
    manifest = {
        "issue": compiled.slug,
        "fingerprint": compiled.fingerprint,
        "variants": variants,
        "files": hashes(files),
    }
    write_files(out, files | {"manifest.json": (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode()})
    return manifest


def readers_of(newsletter: Newsletter, merger: Merger, warn: Warn, *, real: bool) -> Iterator[Subscriber]:
    """Made-up readers of every variant, or those of the database. Raises `InputError` where there is no list.

    A made-up reader who only lacks a value is left out and `warn` told, as by `digest check`: of the same variant
    there is another, mostly, who has it.
    """
    if not real:
        for reader, failures in tried(merger, load_readers(newsletter.root)):
            if not failures or any(problem.severity == "error" for problem in failures):
                yield reader
            else:
                for problem in failures:
                    warn(problem)
        return
    if not newsletter.database.is_file():
        place = Place(newsletter.shown(newsletter.database))
        raise InputError(Problem(place, "there is no list yet", "digest subscribers import FILE", code="no-list"))
    with closing(open_database(newsletter.database)) as connection:
        received = Received(connection, merger.compiled.received)
        yield from (received.known(s) for s, excluded in Subscribers(connection).candidates() if excluded is None)


def one_of_each(merger: Merger, readers: Iterable[Subscriber]) -> list[tuple[Subscriber, int]]:
    """The first reader of each variant, and how many get it; only those the issue is for."""
    found: dict[tuple[bool, ...], tuple[Subscriber, int]] = {}
    problems: dict[Problem, None] = {}
    for reader in readers:
        try:
            if merger.gets(reader):
                variant = merger.variant(reader)
                first, count = found.get(variant, (reader, 0))
                found[variant] = (first, count + 1)
                if not count:
                    merger.rendering(reader)
        except MergeError as exc:
            problems[exc.problem] = None
    if problems:
        raise InputError(problems)
    return list(found.values())


def write_files(out: Path, files: dict[str, bytes]) -> None:
    """Write all, and take away what an earlier build wrote here that is no more; ``manifest.json`` tells which."""
    try:
        earlier = dict(json.loads((out / "manifest.json").read_text())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        earlier = {}
    for name, digest in earlier.items():
        old = out / name
        inside = old.resolve().is_relative_to(out.resolve())
        if name not in files and inside and old.is_file() and _hash(old.read_bytes()) == digest:
            old.unlink()
    for name, data in files.items():
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def hashes(files: dict[str, bytes]) -> dict[str, str]:
    """The SHA-256 of each file, by name, for a manifest."""
    return {name: _hash(data) for name, data in sorted(files.items())}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
