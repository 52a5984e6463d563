"""A merge template's Jinja tree, rewritten so that its function finds everything prepared.

Static text becomes what goes over the wire; every printed expression is wrapped in the filter of the place where it
stands (text, HTML, address, part of an address); ``subscriber.x`` and ``links.x`` become local variables,
``segment.x`` a plain look-up; constants are put in; loops and joins are bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.visitor import NodeTransformer

from digest import bounds

if TYPE_CHECKING:
    from digest.message.templates import MergeEnvironment, Style

# Read past the sandbox, which has nothing to guard in them.
HOISTED = ("subscriber", "links")
_READ = (*HOISTED, "segment")
HOISTED_ONE = " of a hoisted one"
"""Ends the name of the filter that writes a hoisted value: every such value can be a key of `templates._Wired`."""
LINKS = ("unsubscribe", "view")
"""What ``links`` holds."""
TURNS, CONCATENATED = "the turns", "the whole"
"""Filters that bound a loop and a ``~``; with a space in their names, as those of the styles."""

_STATEMENTS = (nodes.Output, nodes.If, nodes.For, nodes.Assign)


def rewritten(
    environment: MergeEnvironment,
    body: list[nodes.Node],
    style: Style,
    constants: Mapping[str, Mapping[str, str]],
    *,
    muted: str = "",
) -> list[nodes.Node]:
    """A template's statements, rewritten. `muted`: the name of the set that holds the tags to leave out when it runs.

    Raises `TemplateSyntaxError`, with the tag's number for a line, for a statement that no issue may hold.
    """
    rewrite = _Rewrite(environment, style, constants, _assigned(body), muted)
    return [rewrite.visit(statement) for statement in body]


def _assigned(body: list[nodes.Node]) -> frozenset[str]:
    """Names the template sets itself: they hide the context's."""
    return frozenset(name.name for part in body for name in part.find_all(nodes.Name) if name.ctx in ("store", "param"))


class _Rewrite(NodeTransformer):
    def __init__(
        self,
        environment: MergeEnvironment,
        style: Style,
        constants: Mapping[str, Mapping[str, str]],
        hidden: frozenset[str],
        muted: str,
    ) -> None:
        self._environment = environment
        self._style = style
        self._constants = {name: of for name, of in constants.items() if name not in hidden}
        self._read = [name for name in _READ if name not in hidden]
        self._muted = muted
        self._depth = 0

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        if isinstance(node, nodes.Stmt) and (not isinstance(node, _STATEMENTS) or getattr(node, "recursive", False)):
            raise TemplateSyntaxError("only if, for and set may stand in an issue", node.lineno)
        return super().generic_visit(node, *args, **kwargs)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  # Jinja's visitor dispatches by this name
        self._depth += 1
        if self._depth > bounds.DEPTH:
            raise TemplateSyntaxError(f"loops stand at most {bounds.DEPTH} deep", node.lineno)
        visited = self.generic_visit(node)
        self._depth -= 1
        node.iter = nodes.Filter(node.iter, TURNS, [], [], None, None, lineno=node.lineno)
        return visited

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  # as above
        first, *others = [self.visit(part) for part in node.nodes]
        return nodes.Filter(first, CONCATENATED, others, [], None, None, lineno=node.lineno)

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802  # as above
        node.nodes = [self._piece(piece) for piece in node.nodes]
        return node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802  # as above
        return self._looked_up(node, node.node, node.attr)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802  # as above
        key = node.arg.value if isinstance(node.arg, nodes.Const) else None
        return self._looked_up(node, node.node, key)

    def _piece(self, piece: nodes.Expr) -> nodes.Expr:
        if isinstance(piece, nodes.TemplateData):
            return nodes.TemplateData(self._style.data(piece.data), lineno=piece.lineno)
        role = "value"
        if isinstance(piece, nodes.Filter) and piece.name in ("link", "urlpart") and piece.node is not None:
            role, piece = piece.name, piece.node
        return self._printed(self.visit(piece), f"{self._style.name} {role}")

    def _printed(self, piece: nodes.Expr, writer: str) -> nodes.Expr:
        tag = piece.lineno
        if self._environment.is_hoisted(piece):
            writer += HOISTED_ONE
        printed = nodes.Filter(piece, writer, [], [], None, None, lineno=tag)
        if not self._muted:
            return printed
        muted = nodes.Name(self._muted, "load", lineno=tag)
        test = nodes.Compare(nodes.Const(tag, lineno=tag), [nodes.Operand("notin", muted, lineno=tag)], lineno=tag)
        return nodes.CondExpr(test, printed, nodes.Const("", lineno=tag), lineno=tag)

    def _looked_up(self, node: nodes.Expr, of: nodes.Expr, key: object) -> nodes.Node:
        if isinstance(of, nodes.Name) and isinstance(key, str):
            if key in self._constants.get(of.name, {}):
                return nodes.Const(self._constants[of.name][key], lineno=node.lineno)
            if of.name in self._read and not key.startswith("_") and (of.name != "links" or key in LINKS):
                return self._read_past(of, key, node.lineno)
        return self.generic_visit(node)

    def _read_past(self, of: nodes.Name, key: str, tag: int) -> nodes.Expr:
        if of.name in HOISTED:
            return nodes.Name(self._environment.hoisted(of.name, key), "load", lineno=tag)
        return nodes.Filter(of, self._environment.looked_up(key), [], [], None, None, lineno=tag)
