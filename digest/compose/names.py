"""What the Jinja of an issue reads, checked before there is a reader: names, filters, segments."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from jinja2 import TemplateSyntaxError, nodes

from digest.audience.readers import Readers
from digest.compose.compiled import Ask, Condition
from digest.errors import Problem, nearest
from digest.expressions import environment, uses
from digest.issue.jinja import names_set
from digest.issue.model import Tag, TagKind


def locals_of(tags: Iterable[Tag]) -> frozenset[str]:
    """Every name that some ``set`` or ``for`` of the issue brings in."""
    return frozenset().union(*(names_set(tag) for tag in tags))


def _tree(tag: Tag) -> nodes.Template:
    """One tag as a template of its own, so that Jinja can be asked about it. For reading only."""
    return _parsed(tag.kind, tag.source)


@lru_cache(maxsize=4096)  # while an author writes, most tags stay as they were
def _parsed(kind: TagKind, source: str) -> nodes.Template:
    match kind:
        case "print":
            return environment().parse(f"{{{{ ({source}\n) }}}}")
        case "if":
            return environment().parse(f"{{% {source} %}}{{% endif %}}")
        case "elif":
            return environment().parse(f"{{% {source.removeprefix('el')} %}}{{% endif %}}")
        case "for":
            return environment().parse(f"{{% {source} %}}{{% endfor %}}")
        case "set":
            return environment().parse(f"{{% {source} %}}")
        case "else" | "endif" | "endfor":
            return environment().parse("")


@lru_cache(maxsize=4096)
def _compile_error(kind: TagKind, source: str) -> str:
    """What Jinja finds only when it compiles: a filter or test that there is none of."""
    try:
        environment().compile(_parsed(kind, source))
    except TemplateSyntaxError as exc:
        return exc.message or "syntax error"
    return ""


def tag_problems(tag: Tag, readers: Readers, local: frozenset[str]) -> list[Problem]:
    """Unknown attributes, segments, names and filters of one tag, each with the nearest right one."""
    tree = _tree(tag)
    found = uses(tree, local)
    known = readers.types
    problems = [
        Problem(tag.place, f"unknown attribute “{name}”", nearest(name, known), code="unknown-attribute")
        for name in sorted(found.attributes - known.keys())
    ]
    problems += [
        Problem(tag.place, f"unknown segment “{name}”", nearest(name, readers.segments), code="unknown-segment")
        for name in sorted(found.segments - readers.segments.keys())
    ]
    problems += [
        Problem(tag.place, f"unknown name “{name}”", _name_cure(name, readers, local), code="unknown-name")
        for name in sorted(found.unknown)
    ]
    if message := _compile_error(tag.kind, tag.source):
        word = message.split("'")[1] if "'" in message else ""
        choices = environment().filters if "filter" in message else environment().tests
        problems.append(Problem(tag.place, _told(message), nearest(word, choices), code="unknown-filter"))
    return problems


def _told(message: str) -> str:
    return message.replace("No filter named ", "unknown filter ").replace("No test named ", "unknown test ").rstrip(".")


def _name_cure(name: str, readers: Readers, local: frozenset[str]) -> str:
    if name in readers.types:
        return f"did you mean subscriber.{name}?"
    if name in readers.segments:
        return f"did you mean segment.{name}?"
    return nearest(name, {"subscriber", "segment", "newsletter", "issue", "days_since", *local})


def asks_of(tag: Tag) -> list[Ask]:
    """The reader's attributes that a tag reads; *bare* where one is printed and no `default` stands by it."""
    tree = _tree(tag)
    covered: set[str] = set()
    for node in tree.find_all((nodes.Filter, nodes.CondExpr)):
        if isinstance(node, nodes.CondExpr) or (isinstance(node, nodes.Filter) and node.name == "default"):
            covered |= uses(node).attributes
    return [
        Ask(name, tag.place, bare=tag.kind == "print" and name not in covered) for name in sorted(uses(tree).attributes)
    ]


def segments_of(tag: Tag) -> frozenset[str]:
    """The segments that a tag names."""
    return uses(_tree(tag)).segments


def conditions_of(tags: Iterable[Tag], local: frozenset[str]) -> list[Condition]:
    """The conditions on the reader alone, each once: what tells one variant from another."""
    found: dict[str, Condition] = {}
    for tag in tags:
        if tag.kind in ("if", "elif"):
            source = " ".join(tag.source.split()).split(" ", 1)[1]
            names = {n.name for n in _tree(tag).find_all(nodes.Name)}
            if not names & local:
                found.setdefault(source, Condition(source, tag.place))
    return list(found.values())
