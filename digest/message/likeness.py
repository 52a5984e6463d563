"""Which readers are alike for an issue: the same goes wrong for all of them, so one is tried for all.

What a template does for a reader depends on the outcome of its conditions, on whether a value it prints is
there, on whether a value fits a link; and where an expression does more with a value, on the value itself.
Of all that a key is made in a few microseconds. Two readers with one key can't be told apart by any of the
issue's templates, but for the texts they print.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from itertools import chain

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from digest.audience.subscriber import Value
from digest.audience.trees import read_attribute
from digest.expressions import ARM, RECEIVED, uses
from digest.localized import LOCALIZED
from digest.message import values as written
from digest.message.merge import Merger

Key = Callable[[Mapping[str, Value]], Hashable]
"""The values of a reader in, their key out. Raises whatever a condition raises."""

_Kind = Callable[[Value | None], Hashable]


class _NoKeyError(Exception):
    """A template reads the reader in a way that no key covers."""


def key_of(merger: Merger) -> Key | None:
    """The key for one issue; None when there is none, so that every reader has to be tried."""
    compiled = merger.compiled
    asked = _Asked()
    try:
        for template in (compiled.subject, compiled.html, compiled.text):
            tree = merger.environment.parse(template.source)
            local = frozenset(n.name for n in tree.find_all(nodes.Name) if n.ctx in ("store", "param"))
            if local & {"subscriber", "segment"}:
                return None
            asked.statements(tree.body, local)
    except (_NoKeyError, TemplateSyntaxError):
        return None
    outcomes = merger.outcomes(list(asked.conditions.values()))
    kinds = [(name, kind) for name, kind in asked.kinds]

    def key(values: Mapping[str, Value]) -> Hashable:
        get = values.get
        return outcomes(values), *[kind(get(name)) for name, kind in kinds]

    return key


def _is_there(value: Value | None) -> Hashable:
    return value is not None


def _fits_a_link(value: Value | None) -> Hashable:
    if value is None:
        return None
    try:
        written.url(value)
    except written.UnfitValueError:
        return False
    return True


def _itself(value: Value | None) -> Hashable:
    return type(value), value  # 1, 1.0 and True are equal, but not printed alike


class _Asked:
    """What templates ask of a reader: conditions in their order, and attributes with what matters of them."""

    def __init__(self) -> None:
        self.conditions: dict[str, str | nodes.Expr] = {}
        self.kinds: dict[tuple[str, _Kind], None] = {}

    def statements(self, body: list[nodes.Node], local: frozenset[str]) -> None:
        """All of these, and what is in them."""
        for statement in body:
            if isinstance(statement, nodes.Output):
                for piece in statement.nodes:
                    self._printed(piece)
            elif isinstance(statement, nodes.If):
                self._decided(statement.test, local)
                for inner in (statement.body, statement.elif_, statement.else_):
                    self.statements(list(inner), local)
            else:
                self._values(statement)

    def _decided(self, test: nodes.Node, local: frozenset[str]) -> None:
        names = {n.name for n in chain([test], test.find_all(nodes.Name)) if isinstance(n, nodes.Name)}
        if names & (local | {"links"}) or not isinstance(test, nodes.Expr):
            self._values(test)
        else:
            self.conditions[repr(test)] = test

    def _printed(self, piece: nodes.Expr) -> None:
        of, kind = piece, _is_there
        if isinstance(piece, nodes.Filter) and piece.name in ("link", "urlpart") and piece.node is not None:
            of = piece.node
            kind = _fits_a_link if piece.name == "link" else _is_there
        if kind is _is_there:
            of = _plain(of)
        if name := read_attribute(of):
            self.kinds[name, kind] = None
        elif kind is _fits_a_link or not _never_fails(of):
            self._values(of)

    def _values(self, node: nodes.Node) -> None:
        """What is computed here may depend on everything that is read here."""
        for member in chain([node], node.find_all(nodes.Node)):
            _refuse_whole_reader(member)
        found = uses(node)
        for name in sorted(found.attributes):
            self.kinds[name, _itself] = None
        for name in sorted(found.segments):
            source = f'segment["{name}"]'
            self.conditions[source] = source
        for member in chain([node], node.find_all((nodes.Filter, nodes.Call, nodes.Name))):
            if isinstance(member, nodes.Filter) and member.name in LOCALIZED:
                self.kinds["language", _itself] = None
            elif isinstance(member, nodes.Name) and member.name == "arm":
                self.kinds[ARM, _itself] = None
            elif isinstance(member, nodes.Call):
                self.kinds[RECEIVED, _itself] = None


_FIT_ALL = frozenset({"capitalize", "lower", "possessive", "string", "title", "trim", "upper"})


def _plain(node: nodes.Expr) -> nodes.Expr:
    """What is written, without the filters that write any value that is there."""
    while isinstance(node, nodes.Filter) and node.name in _FIT_ALL and node.node is not None:
        if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            break
        node = node.node
    return node


def _never_fails(node: nodes.Expr) -> bool:
    """``subscriber.x | default("text")``"""
    return (
        isinstance(node, nodes.Filter)
        and node.name == "default"
        and node.node is not None
        and bool(read_attribute(node.node))
        and bool(node.args)
        and all(isinstance(argument, nodes.Const) and argument.value is not None for argument in node.args)
        and not (node.kwargs or node.dyn_args or node.dyn_kwargs)
    )


def _refuse_whole_reader(node: nodes.Node) -> None:
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Name) and child.name in ("subscriber", "segment") and not _reads(node):
            raise _NoKeyError


def _reads(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Getattr) or (isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const))
