"""Checking an expression over a reader before there is one: names, filters, calls, compared values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import nodes

from digest.audience import values as typed
from digest.audience.compiling import CALL_CURE, METHODS, RECEIVED_CURE, Translator
from digest.audience.trees import NotAllowedError, asked_issue, read_attribute
from digest.errors import Place, Problem, nearest
from digest.expressions import TooDeepError, environment, parse_expression, uses

if TYPE_CHECKING:
    from digest.audience.readers import AttributeType

_CHAIN = "write subscriber.x in [“a”, “b”] for many “or”"
_OF = ("subscriber", "segment")
_NUMBERS = ("integer", "number")
_TEXTS = ("string", "url")


def needed_segments(source: str, segments: Collection[str]) -> frozenset[str]:
    """The declared segments an expression reads; none for an expression that cannot be parsed."""
    return _segments_or_names(source) & frozenset(segments)


@lru_cache(maxsize=1024)  # while an author writes, segments and most conditions stay as they were
def _segments_or_names(source: str) -> frozenset[str]:
    try:
        tree = parse_expression(source)
        return uses(tree).segments | _names(tree)
    except (ValueError, RecursionError):
        return frozenset()


def expression_problems(
    source: str, attributes: Mapping[str, AttributeType], segments: Collection[str], place: Place
) -> list[Problem]:
    """Everything wrong with `source`, which may read these attributes and segments."""
    try:
        tree = parse_expression(source if source.strip() else "missing expression")
        return _problems(tree, attributes, segments, place)
    except RecursionError:
        return [Problem(place, "an expression nested too deeply", _CHAIN, code="syntax")]
    except ValueError as exc:
        if isinstance(exc.__cause__, TooDeepError):
            return [Problem(place, str(exc), _CHAIN, code="syntax")]
        return [Problem(place, f"not an expression: {exc}", code="syntax")]


def _problems(
    tree: nodes.Expr, attributes: Mapping[str, AttributeType], segments: Collection[str], place: Place
) -> list[Problem]:
    problems = [
        Problem(place, message, cure, code=code) for message, cure, code in _names_wrong(tree, attributes, segments)
    ]
    problems += [Problem(place, message, cure, code="expression") for message, cure in _forms_wrong(tree)]
    problems += [Problem(place, message, cure, code="never-equal") for message, cure in _never_equal(tree, attributes)]
    problems += [Problem(place, message, cure, code="type") for message, cure in _wrong_types(tree, attributes)]
    if not problems:
        try:
            Translator(environment(), segments).condition(tree)
        except NotAllowedError as exc:
            problems.append(Problem(place, str(exc), exc.cure, code="expression"))
    return problems


def _names(tree: nodes.Node) -> frozenset[str]:
    return frozenset(n.name for n in _nodes(tree) if isinstance(n, nodes.Name))


def _nodes(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    yield from tree.find_all(nodes.Node)


def _names_wrong(
    tree: nodes.Node, attributes: Mapping[str, AttributeType], segments: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    found = uses(tree, frozenset(segments))
    for name in sorted(found.attributes - attributes.keys()):
        yield f"unknown attribute “{name}”", nearest(name, attributes), "unknown-attribute"
    for name in sorted(found.segments - set(segments)):
        yield f"unknown segment “{name}”", nearest(name, segments), "unknown-segment"
    outside = {"newsletter", "issue", "links", "arm"} & _names(tree)
    for name in sorted(found.unknown | outside):
        cure = f"did you mean subscriber.{name}?" if name in attributes else nearest(name, segments)
        yield f"unknown name “{name}”", cure, "unknown-name"


def _forms_wrong(tree: nodes.Node) -> Iterator[tuple[str, str]]:
    jinja = environment()
    if isinstance(tree, nodes.Tuple):
        yield "a comma means nothing here: it would be true for everybody", "write “or” between them"
    elif isinstance(tree, nodes.Const | nodes.List | nodes.Dict) and not _is_truth(tree):
        yield "no condition: it would be the same for everybody", "write true for everyone"
    elif isinstance(tree, nodes.Name) and tree.name in _OF:
        yield f"“{tree.name}” stands alone", f"write {tree.name}.name"
    for node in _nodes(tree):
        if isinstance(node, nodes.Filter) and node.name not in jinja.filters:
            yield f"unknown filter “{node.name}”", nearest(node.name, jinja.filters)
        elif isinstance(node, nodes.Test) and node.name not in jinja.tests:
            yield f"unknown test “{node.name}”", nearest(node.name, jinja.tests)
        elif isinstance(node, nodes.Call) and not _callable(node.node):
            yield "a call that is not allowed here", CALL_CURE
        elif isinstance(node, nodes.Call) and _is_received(node) and asked_issue(node) is None:
            yield "received takes the name of one issue", RECEIVED_CURE
        elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
            yield f"“{node.attr}” cannot be read", ""
        elif _bare_context(node):
            yield f"“{_bare_context(node)}” stands alone", f"write {_bare_context(node)}.name"


def _is_truth(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and isinstance(node.value, bool)


def _callable(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Name):
        return node.name in environment().globals
    return isinstance(node, nodes.Getattr) and node.attr in METHODS


def _is_received(node: nodes.Call) -> bool:
    return isinstance(node.node, nodes.Name) and node.node.name == "received"


def _bare_context(node: nodes.Node) -> str:
    """`subscriber` or `segment` where something of it is meant (its attribute is read through a parent)."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Name) and child.name in _OF:
            reads = isinstance(node, nodes.Getattr) or (
                isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const)
            )
            if not reads:
                return child.name
    return ""


def _never_equal(tree: nodes.Node, attributes: Mapping[str, AttributeType]) -> Iterator[tuple[str, str]]:
    """Comparisons of an attribute with a constant it can never be."""
    for compare in (node for node in _nodes(tree) if isinstance(node, nodes.Compare)):
        attribute = attributes.get(read_attribute(compare.expr))
        for operand in compare.ops:
            if attribute and operand.op in ("eq", "ne", "in", "notin"):
                for constant in _constants(operand.expr, operand.op):
                    yield from _not_a_value(attribute, constant)


def _constants(node: nodes.Node, operator: str) -> list[Any]:
    if operator in ("in", "notin"):
        members = node.items if isinstance(node, nodes.List | nodes.Tuple) else []
        return [m.value for m in members if isinstance(m, nodes.Const)]
    return [node.value] if isinstance(node, nodes.Const) else []


def _not_a_value(attribute: AttributeType, constant: object) -> Iterator[tuple[str, str]]:
    if attribute.type == "list" or constant is None:
        return
    if isinstance(constant, str) != (attribute.type in _TEXTS):
        yield f"{attribute.name} is {typed.A[attribute.type]}, never “{constant}”", ""
    elif attribute.values and constant not in attribute.values:
        known = [typed.text_of(v) for v in attribute.values]
        yield f"{attribute.name} is never “{constant}”", nearest(str(constant), known)


def _wrong_types(tree: nodes.Node, attributes: Mapping[str, AttributeType]) -> Iterator[tuple[str, str]]:
    """What a value of the declared type can't take part in."""
    for node in _nodes(tree):
        if isinstance(node, nodes.Compare) and (attribute := attributes.get(read_attribute(node.expr))):
            for operand in node.ops:
                if operand.op in ("lt", "lteq", "gt", "gteq"):
                    yield from _no_order(attribute, operand.expr)
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            attribute = attributes.get(read_attribute(node.node.node))
            if attribute and attribute.type not in _TEXTS:
                yield f"{attribute.name} is {typed.A[attribute.type]}, and “{node.node.attr}” is for text", ""
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "days_since":
            attribute = attributes.get(read_attribute(node.args[0])) if node.args else None
            if attribute and attribute.type != "date":
                yield f"{attribute.name} is {typed.A[attribute.type]}, and days_since counts from a date", ""


def _no_order(attribute: AttributeType, other: nodes.Expr) -> Iterator[tuple[str, str]]:
    if not isinstance(other, nodes.Const):
        return
    if attribute.type == "date":
        yield f"{attribute.name} is a date and has no order with “{other.value}”", "write days_since(…) < 30"
    elif (attribute.type in _NUMBERS) != (isinstance(other.value, int | float)) or attribute.type == "list":
        yield f"{attribute.name} is {typed.A[attribute.type]} and has no order with “{other.value}”", ""
