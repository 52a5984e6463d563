"""What stands in the tree of a condition: which attributes it reads, which issues it asks for."""

from __future__ import annotations

from itertools import chain

from jinja2 import nodes

from digest.expressions import parse_expression


class NotAllowedError(ValueError):
    """A form that no condition may have; `cure` is what to write instead."""

    def __init__(self, message: str, cure: str = "") -> None:
        self.cure = cure
        super().__init__(message)


def parsed(source: str) -> nodes.Expr:
    """An expression's tree. Raises `ValueError` for one that cannot be parsed."""
    try:
        return parse_expression(source)
    except RecursionError as exc:
        raise NotAllowedError("an expression nested too deeply") from exc


def read_attribute(node: nodes.Expr) -> str:
    """The attribute that ``subscriber.x`` or ``subscriber["x"]`` reads; empty for anything else."""
    if isinstance(node, nodes.Getattr | nodes.Getitem) and isinstance(node.node, nodes.Name):
        key = key_of(node)
        return key if node.node.name == "subscriber" and isinstance(key, str) else ""
    return ""


def asked_issue(node: nodes.Call) -> str | None:
    """The slug that ``received("slug")`` asks for; None for any other form of it."""
    whole = len(node.args) == 1 and not (node.kwargs or node.dyn_args or node.dyn_kwargs)
    slug = node.args[0].value if whole and isinstance(node.args[0], nodes.Const) else None
    return slug if isinstance(slug, str) else None


def issues_asked(tree: nodes.Node) -> frozenset[str]:
    """Every slug that some ``received("slug")`` of an expression or a template asks for."""
    calls = chain([tree] if isinstance(tree, nodes.Call) else [], tree.find_all(nodes.Call))
    found = (asked_issue(c) for c in calls if isinstance(c.node, nodes.Name) and c.node.name == "received")
    return frozenset(slug for slug in found if slug is not None)


def key_of(node: nodes.Getattr | nodes.Getitem) -> object:
    """What is looked up: ``x`` in ``a.x`` and in ``a["x"]``; None where that is computed."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) else None


def never_none(operand: nodes.Operand) -> bool:
    """Whether it is an equality, or a membership, with constants of which none is None."""
    constants = [operand.expr]
    if operand.op in ("in", "notin"):
        constants = operand.expr.items if isinstance(operand.expr, nodes.List | nodes.Tuple) else []
    elif operand.op not in ("eq", "ne"):
        return False
    return bool(constants) and all(isinstance(c, nodes.Const) and c.value is not None for c in constants)


def joined(node: nodes.And | nodes.Or) -> list[nodes.Expr]:
    """The operands of a chain of one kind, in order."""
    found, kind = [node.right], type(node)
    left = node.left
    while isinstance(left, kind):
        found.append(left.right)
        left = left.left
    return [left, *reversed(found)]
