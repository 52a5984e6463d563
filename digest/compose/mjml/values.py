"""What the value of an MJML attribute is not: checked against its type in the schema of MJML 5."""

from __future__ import annotations

import re
from functools import cache

from digest.errors import nearest

TOKEN = re.compile(r"Zq[0-9a-f]+[A-Z]\d{4,}qZ")
"""What composing puts where something stands that comes later: it may stand between sections and in values."""

_COLORS_NAMES = (
    "aliceblue antiquewhite aqua aquamarine azure beige bisque black blanchedalmond blue blueviolet brown "
    "burlywood cadetblue chartreuse chocolate coral cornflowerblue cornsilk crimson cyan darkblue darkcyan "
    "darkgoldenrod darkgray darkgreen darkgrey darkkhaki darkmagenta darkolivegreen darkorange darkorchid "
    "darkred darksalmon darkseagreen darkslateblue darkslategray darkslategrey darkturquoise darkviolet "
    "deeppink deepskyblue dimgray dimgrey dodgerblue firebrick floralwhite forestgreen fuchsia gainsboro "
    "ghostwhite gold goldenrod gray green greenyellow grey honeydew hotpink indianred indigo inherit ivory "
    "khaki lavender lavenderblush lawngreen lemonchiffon lightblue lightcoral lightcyan lightgoldenrodyellow "
    "lightgray lightgreen lightgrey lightpink lightsalmon lightseagreen lightskyblue lightslategray "
    "lightslategrey lightsteelblue lightyellow lime limegreen linen magenta maroon mediumaquamarine mediumblue "
    "mediumorchid mediumpurple mediumseagreen mediumslateblue mediumspringgreen mediumturquoise "
    "mediumvioletred midnightblue mintcream mistyrose moccasin navajowhite navy oldlace olive olivedrab orange "
    "orangered orchid palegoldenrod palegreen paleturquoise palevioletred papayawhip peachpuff peru pink plum "
    "powderblue purple rebeccapurple red rosybrown royalblue saddlebrown salmon sandybrown seagreen seashell "
    "sienna silver skyblue slateblue slategray slategrey snow springgreen steelblue tan teal thistle tomato "
    "transparent turquoise violet wheat white whitesmoke yellow yellowgreen none initial unset"
)
_COLORS = frozenset(_COLORS_NAMES.split())
_COLOR = re.compile(
    r"#(?:[0-9a-fA-F]{3}){1,2}|rgba?\(\s*\d{1,3}\s*(?:,\s*\d{1,3}\s*){2}(?:,\s*(?:[01]|[01]?\.\d+)\s*)?\)"
)
NUMBER = r"\d+(?:\.\d*)?|\.\d+"
"""A number without its unit, for a regular expression."""


def bad_value(kind: str, value: str) -> tuple[str, str] | None:
    """What a value is not, and what would be right; None for a good one."""
    if kind == "string":
        return None
    if TOKEN.search(value):
        if kind.startswith("unit"):
            return "a fixed length", "a value of the reader can't decide a length: widths are counted once"
        return None
    value = " ".join(value.split())
    if kind == "color":
        return _bad_color(value)
    if kind == "boolean":
        return None if value in ("true", "false") else ("true or false", "write true or false")
    if kind == "integer":
        return None if re.fullmatch(r"\d+", value) else ("a whole number", "write digits only")
    if kind.startswith("enum("):
        choices = kind[5:-1].split(",")
        return None if value in choices else (f"one of {', '.join(filter(None, choices))}", nearest(value, choices))
    return _bad_lengths(kind, value)


def _bad_color(value: str) -> tuple[str, str] | None:
    if _COLOR.fullmatch(value) or value.lower() in _COLORS:
        return None
    cure = nearest(value.lower(), _COLORS) if value.isalpha() else ""
    return "a colour", cure or "write six hex digits, as #14261F"


@cache
def _lengths(kind: str) -> tuple[re.Pattern[str], str]:
    """How lengths of a type like ``unit(px,%){1,4}`` are written, and that in words."""
    found = re.fullmatch(r"unit(WithNegative)?\(([^)]*)\)(?:\{(\d),(\d)\})?", kind)
    if not found:
        raise ValueError(kind)
    units = found[2].split(",")
    words = [unit for unit in units if unit not in ("", "auto")]
    optional = "?" if "" in units else ""
    sign = "-?" if found[1] else ""
    one = rf"{sign}(?:{NUMBER})(?:{'|'.join(map(re.escape, words))}){optional}|0"
    if "auto" in units:
        one += "|auto"
    most = int(found[4] or 1)
    pattern = rf"(?:{one})(?: (?:{one})){{0,{most - 1}}}"
    said = "a length in " + " or ".join(words) if most == 1 else f"one to {most} lengths in " + " or ".join(words)
    said += " or a plain number" if "" in units else ""
    return re.compile(pattern), said + (" or “auto”" if "auto" in units else "")


def _bad_lengths(kind: str, value: str) -> tuple[str, str] | None:
    pattern, said = _lengths(kind)
    if pattern.fullmatch(value):
        return None
    if re.fullmatch(rf"(?:{NUMBER})", value):
        return said, f"write {value}px"
    if pattern.fullmatch(value.rstrip("; ")):
        return said, f"write {value.rstrip('; ')}"
    return said, ""
