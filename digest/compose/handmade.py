"""A compiled issue made by hand, without theme, Markdown and files: for tests, benchmarks and experiments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from digest.compose.compiled import CompiledIssue, Condition, Template
from digest.errors import Place


def handmade(
    file: str = "x.md",
    *,
    subject: str | Template = "A subject",
    preheader: str | Template = "",
    html: str | Template = "",
    text: str | Template = "",
    conditions: Iterable[str | Condition] = (),
    **fields: Any,
) -> CompiledIssue:
    """An issue whose templates are written as Jinja; the k-th tag of each is said to come from line k of `file`.

    The k-th of `conditions` comes from line k, too. `fields` are any others of `CompiledIssue`.
    """
    given: dict[str, Any] = {
        "slug": file.rpartition("/")[2].partition(".")[0],
        "title": "Handmade",
        "language": "en",
        "date": "2025-09-12",
        "sender": "",
        "reply_to": "",
        "audience": "true",
    }
    return CompiledIssue(
        **given | fields,
        subject=template(subject, file),
        preheader=template(preheader, file),
        html=template(html, file),
        text=template(text, file),
        conditions=tuple(
            made if isinstance(made, Condition) else Condition(made, Place(file, line))
            for line, made in enumerate(conditions, 1)
        ),
    )


def template(source: str | Template, file: str) -> Template:
    """A text as a merge template."""
    if isinstance(source, Template):
        return source
    tags = source.count("{{") + source.count("{%")
    return Template(source, tuple(Place(file, line) for line in range(1, tags + 1)))
