"""What the head of an MJML document does to the finished page by CSS selectors.

``mj-html-attributes`` and ``<mj-style inline="inline">``: MRML knows neither. The page itself is never parsed and
written again; its tags are numbered, the selectors tried on a parsed copy, and only the tags found are changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape, unescape

_TAG = re.compile(
    r"<!--.*?-->|<(style|script|title)\b.*?</\1>|<([A-Za-z][^\s/>]*+)((?:[^>\"']|\"[^\"]*\"|'[^']*')*+)>", re.DOTALL
)
_ATTRIBUTE = re.compile(r"([^\s=>/\"']++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++)))?+")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_BLOCK = re.compile(r"([^{}]*)\{([^{}]*)\}")
_DECLARATION = re.compile(r"([\w-]+)\s*:\s*((?:[^;\"'()]|\"[^\"]*\"|'[^']*'|\([^()]*\))+)")

Attributes = dict[str, str]
Edit = Callable[[Attributes], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """An attribute to be set on what a selector finds."""

    selector: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One selector of a style sheet with its declarations; `weight` puts rules in the order of the cascade."""

    selector: str
    declarations: tuple[tuple[str, str], ...]
    weight: tuple[int, int, int] = (0, 0, 0)


@lru_cache(maxsize=1000)
def selector_problem(selector: str) -> str:
    """What is wrong with a CSS selector, or that it can't be answered from the page alone; empty for a good one."""
    from cssselect import HTMLTranslator, SelectorError, parse

    try:
        HTMLTranslator().css_to_xpath(selector)
        dynamic = any(parsed.pseudo_element for parsed in parse(selector))
    except (SelectorError, RecursionError) as exc:
        return str(exc)
    return "it names a part that no tag stands for" if dynamic or _DYNAMIC.search(selector) else ""


_DYNAMIC = re.compile(r":(?:hover|active|focus|visited|link|target|focus-within)\b")


def read_rules(css: str) -> tuple[list[Rule], list[str]]:
    """The rules of a style sheet in the order of the cascade, and the heads of those that can't be inlined."""
    from cssselect import parse

    rules: list[Rule] = []
    lost: list[str] = []
    flat = _COMMENT.sub("", css)
    for at_rule in _at_rules(flat):
        lost.append(" ".join(at_rule.split("{", 1)[0].split()))
        flat = flat.replace(at_rule, "", 1)
    for head, body in _BLOCK.findall(flat):
        declarations = tuple((name.lower(), " ".join(value.split())) for name, value in _DECLARATION.findall(body))
        for selector in map(str.strip, head.split(",")):
            if not selector or selector_problem(selector):
                lost.append(" ".join(selector.split()))
            else:
                rules.append(Rule(selector, declarations, parse(selector)[0].specificity()))
    return sorted(rules, key=lambda rule: rule.weight), lost


def _at_rules(css: str) -> Iterable[str]:
    """Every at-rule with the block that belongs to it."""
    at = css.find("@")
    while at >= 0:
        depth, end = 0, len(css)
        for found in re.finditer(r"[{};]", css[at:]):
            depth += {"{": 1, "}": -1}.get(found[0], 0)
            if depth <= 0:
                end = at + found.end()
                break
        yield css[at:end]
        at = css.find("@", end)


def set_attributes(html: str, settings: Sequence[Setting]) -> str:
    """A page with attributes set."""

    def edit(setting: Setting) -> Edit:
        return lambda own: own.__setitem__(setting.name, setting.value)

    return _edited(html, [(setting.selector, edit(setting)) for setting in settings])


def inline_rules(html: str, css: str) -> str:
    """A page with the rules of a style sheet in its style attributes.

    A tag's own style wins over a rule, unless that is important; the word itself is not written.
    """
    edits = [(rule.selector, _merge(rule)) for rule in read_rules(css)[0]] if css.strip() else []
    return _edited(html, [*edits, *((selector, _finish) for selector in dict.fromkeys(s for s, _ in edits))])


_RULES = "\0rules"
"""Where the declarations of rules are gathered among a tag's attributes, until all are known."""


def _merge(rule: Rule) -> Edit:
    """An edit: take the declarations of a rule over those of the rules before it."""

    def edit(own: Attributes) -> None:
        gathered = dict(_declarations(own.get(_RULES, "")))
        for name, value in rule.declarations:
            if "!important" not in value.replace("! ", "!") and "!important" in gathered.get(name, ""):
                continue
            gathered.pop(name, None)
            gathered[name] = re.sub(r"!\s+", "!", value)
        own[_RULES] = _written(gathered.items())

    return edit


def _finish(own: Attributes) -> None:
    """An edit: the tag's own style after what rules say, important ones last."""
    if (rules := own.pop(_RULES, None)) is None:
        return
    gathered, style = dict(_declarations(rules)), dict(_declarations(own.get("style", "")))
    strong = {name: value for name, value in gathered.items() if "!important" in value}
    weak = {name: value for name, value in gathered.items() if name not in strong and name not in style}
    kept = {name: value for name, value in style.items() if name not in strong}
    plain = {name: value.replace("!important", "").strip() for name, value in strong.items()}
    own["style"] = _written([*weak.items(), *kept.items(), *plain.items()])


def _declarations(style: str) -> list[tuple[str, str]]:
    return [(name.lower(), value.strip()) for name, value in _DECLARATION.findall(style)]


def _written(declarations: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{name}:{value};" for name, value in declarations)


def _edited(html: str, edits: Sequence[tuple[str, Edit]]) -> str:
    """A page with edits made, in their order, on the attributes of the tags that selectors find."""
    if not edits:
        return html
    from lxml.html import document_fromstring

    numbers = iter(range(1, len(html)))
    tree = document_fromstring(_TAG.sub(lambda m: _numbered(m, numbers), html))
    wanted: dict[int, list[Edit]] = {}
    for selector, edit in edits:
        for element in tree.cssselect(selector):
            wanted.setdefault(int(element.get("data-n", "0")), []).append(edit)
    numbers = iter(range(1, len(html)))
    return _TAG.sub(lambda m: _changed(m, wanted.get(next(numbers), ())) if m[2] else m[0], html)


def _numbered(tag: re.Match[str], numbers: Iterable[int]) -> str:
    return f'<{tag[2]} data-n="{next(iter(numbers))}"{tag[3]}>' if tag[2] else tag[0]


def _changed(tag: re.Match[str], edits: Sequence[Edit]) -> str:
    if not edits:
        return tag[0]
    own: Attributes = {}
    for name, double, single, bare in _ATTRIBUTE.findall(tag[3]):
        own.setdefault(name, unescape(double or single or bare))
    for edit in edits:
        edit(own)
    closed = "/" if tag[3].rstrip().endswith("/") else ""
    return f"<{tag[2]}{''.join(f' {name}={quoted(value)}' for name, value in own.items())}{closed}>"


def quoted(value: str) -> str:
    """An attribute's value as HTML.

    >>> quoted('a "b" & c')
    '"a &quot;b&quot; &amp; c"'
    """
    return f'"{escape(value)}"'
