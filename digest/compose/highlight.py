"""Code with its words marked by what they are, in six classes that a theme can colour."""

from __future__ import annotations

from html import escape

LONGEST = 50_000  # characters; beyond it code is shown as it is

_CLASSES = {
    "Comment": "co",
    "Keyword": "kw",
    "Literal.String": "st",
    "Literal.Number": "nu",
    "Name.Function": "fn",
    "Name.Class": "fn",
    "Name.Tag": "kw",
    "Name.Attribute": "fn",
    "Name.Decorator": "fn",
    "Generic.Deleted": "de",
    "Generic.Inserted": "st",
}


def highlighted(code: str, info: str) -> str:
    """`code` as HTML, marked by the language that `info` (the words behind the fence) begins with.

    >>> highlighted("x = 1", "python")
    'x = <span class="nu">1</span>'
    >>> highlighted("a < b", "")
    'a &lt; b'
    """
    language = info.split(maxsplit=1)[0] if info else ""
    if not language or len(code) > LONGEST:
        return escape(code)
    from pygments.lexers import get_lexer_by_name  # loads a large table: only where there is code
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escape(code)
    out: list[str] = []
    for kind, text in lexer.get_tokens(code):
        name = str(kind).removeprefix("Token.")
        mark = next((c for prefix, c in _CLASSES.items() if name.startswith(prefix)), "")
        out.append(f'<span class="{mark}">{escape(text)}</span>' if mark else escape(text))
    return "".join(out)
