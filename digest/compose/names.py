"""What the Jinja of an issue reads, checked before there is a reader: names, filters, segments."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import TypeGuard

from jinja2 import TemplateSyntaxError, nodes

from digest.audience.compiling import RECEIVED_CURE
from digest.audience.readers import Readers
from digest.audience.trees import asked_issue, issues_asked
from digest.bounds import CALLABLE
from digest.compose.compiled import Ask, Condition
from digest.errors import Problem, nearest
from digest.expressions import Uses, environment, parse_expression, uses
from digest.issue.jinja import names_set
from digest.issue.model import Tag, TagKind
from digest.localized import LOCALIZED, misuse


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
def _uses(tree: nodes.Node, local: frozenset[str] = frozenset()) -> Uses:
    """What a tree of ours reads: those of `_parsed` are never changed."""
    return uses(tree, local)


@lru_cache(maxsize=4096)
def _compile_error(kind: TagKind, source: str) -> str:
    """What Jinja finds only when it compiles: a filter or test that there is none of."""
    try:
        environment().compile(_parsed(kind, source))
    except TemplateSyntaxError as exc:
        return exc.message or "syntax error"
    return ""


def tag_problems(
    tag: Tag, readers: Readers, local: frozenset[str], arms: Collection[str] = ("a", "b")
) -> list[Problem]:
    """Unknown attributes, segments, arms, names and filters of one tag, each with the nearest right one.

    Also what no expression may do: call or read what it should not, or nest too deeply.
    """
    try:
        return _problems(tag, readers, local, arms)
    except RecursionError:
        return [Problem(tag.place, "an expression nested too deeply", code="bad-expression")]


def _problems(tag: Tag, readers: Readers, local: frozenset[str], arms: Collection[str]) -> list[Problem]:
    tree = _tree(tag)
    found = _uses(tree, local)
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
    problems += [Problem(tag.place, *wrong, code="bad-expression") for wrong in _forms_wrong(tree)]
    if "arm" not in local:
        problems += [
            Problem(tag.place, f"unknown arm “{name}”", nearest(name, arms), code="unknown-arm")
            for name in sorted(_arms_compared(tree) - set(arms))
        ]
    if message := _compile_error(tag.kind, tag.source):
        word = message.split("'")[1] if "'" in message else ""
        choices = environment().filters if "filter" in message else environment().tests
        problems.append(Problem(tag.place, _told(message), nearest(word, choices), code="unknown-filter"))
    return problems


@lru_cache(maxsize=4096)
def _forms_wrong(tree: nodes.Template) -> tuple[tuple[str, str], ...]:
    """What an issue may not do, and what to do instead."""
    return tuple(_wrong_forms(tree))


def _wrong_forms(tree: nodes.Template) -> Iterator[tuple[str, str]]:
    for node in tree.find_all(nodes.Node):
        read = node.attr if isinstance(node, nodes.Getattr) else getattr(getattr(node, "arg", None), "value", "")
        if isinstance(node, nodes.Getattr | nodes.Getitem) and str(read).startswith("_"):
            yield f"“{read}” cannot be read", ""
        elif isinstance(node, nodes.Call) and not _may_be_called(node.node):
            yield "a call that is not allowed here", f"a method of text, or one of: {', '.join(environment().globals)}"
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "received":
            if asked_issue(node) is None:
                yield "received takes the name of one issue", RECEIVED_CURE
        elif isinstance(node, nodes.Filter) and node.name in LOCALIZED:
            if wrong := _misused(node):
                yield f"{node.name}: {wrong}", ""
        elif isinstance(node, nodes.For) and node.recursive:
            yield "a loop that calls itself", "leave “recursive” out"


def _may_be_called(called: nodes.Expr) -> bool:
    if isinstance(called, nodes.Name):
        return called.name in environment().globals
    return isinstance(called, nodes.Getattr) and called.attr in CALLABLE


def _misused(node: nodes.Filter) -> str:
    """What is wrong with a filter's arguments, where they are constants."""
    try:
        arguments = [argument.as_const() for argument in node.args]
        named = {str(pair.key): pair.value.as_const() for pair in node.kwargs}
    except nodes.Impossible:
        return ""
    return misuse(node.name, arguments, named)


@lru_cache(maxsize=4096)
def _arms_compared(tree: nodes.Template) -> frozenset[str]:
    """The names of arms that expressions compare with."""
    found: set[str] = set()
    for compare in tree.find_all(nodes.Compare):
        if isinstance(compare.expr, nodes.Name) and compare.expr.name == "arm":
            sides = [operand.expr for operand in compare.ops]
            found |= {c.value for side in sides for c in (side, *side.find_all(nodes.Const)) if _is_text(c)}
    return frozenset(found)


def _is_text(node: nodes.Node) -> TypeGuard[nodes.Const]:
    return isinstance(node, nodes.Const) and isinstance(node.value, str)


@lru_cache(maxsize=4096)
def _names(tree: nodes.Template) -> frozenset[str]:
    """Every bare name in it."""
    return frozenset(n.name for n in tree.find_all(nodes.Name))


@lru_cache(maxsize=256)
def names_read(source: str) -> frozenset[str]:
    """The bare names that an expression reads."""
    tree = parse_expression(source)
    return frozenset(n.name for n in (tree, *tree.find_all(nodes.Name)) if isinstance(n, nodes.Name))


def asks_for_arm(tag: Tag) -> bool:
    """Whether a tag reads which arm its reader is in."""
    return "arm" in tag.source and any(n.name == "arm" and n.ctx == "load" for n in _tree(tag).find_all(nodes.Name))


def issues_asked_by(tag: Tag) -> frozenset[str]:
    """The issues of which a tag asks whether its reader received them."""
    return issues_asked(_tree(tag)) if "received" in tag.source else frozenset()


def _told(message: str) -> str:
    return message.replace("No filter named ", "unknown filter ").replace("No test named ", "unknown test ").rstrip(".")


def _name_cure(name: str, readers: Readers, local: frozenset[str]) -> str:
    if name in readers.types:
        return f"did you mean subscriber.{name}?"
    if name in readers.segments:
        return f"did you mean segment.{name}?"
    return nearest(name, {"subscriber", "segment", "newsletter", "issue", "arm", "days_since", "received", *local})


def asks_of(tag: Tag) -> list[Ask]:
    """The reader's attributes that a tag reads; *bare* where one is printed and no `default` stands by it."""
    tree = _tree(tag)
    covered = _covered(tree)
    return [
        Ask(name, tag.place, bare=tag.kind == "print" and name not in covered)
        for name in sorted(_uses(tree).attributes)
    ]


@lru_cache(maxsize=4096)
def _covered(tree: nodes.Template) -> frozenset[str]:
    """The attributes that something stands in for where a reader has none."""
    covered: set[str] = set()
    for node in tree.find_all((nodes.Filter, nodes.CondExpr)):
        if isinstance(node, nodes.CondExpr) or (isinstance(node, nodes.Filter) and node.name == "default"):
            covered |= _uses(node).attributes
    return frozenset(covered)


def segments_of(tag: Tag) -> frozenset[str]:
    """The segments that a tag names."""
    return _uses(_tree(tag)).segments


def conditions_of(tags: Iterable[Tag], local: frozenset[str]) -> list[Condition]:
    """The conditions on the reader alone, each once: what tells one variant from another."""
    found: dict[str, Condition] = {}
    for tag in tags:
        if tag.kind in ("if", "elif"):
            source = " ".join(tag.source.split()).split(" ", 1)[1]
            if not local & _names(_tree(tag)):
                found.setdefault(source, Condition(source, tag.place))
    return list(found.values())
