"""Conditions as Python functions: the allow-listed nodes of Jinja's tree, translated once.

An expression becomes a tree of Python's own (`ast`), never text, and is compiled like any function. What it
means is what the sandbox makes of it: an attribute that is not there is `Absent`, filters, tests, calls and
look-ups go through the same environment, ``*``, ``**``, ``+`` and ``%`` through its limits. Only the common case is
shorter: reading an attribute, comparing it with a constant, asking another segment.

Everything else is refused: `NotAllowedError` says which form, before there is a reader.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import getitem
from typing import Any, ClassVar

from jinja2 import Undefined, nodes
from jinja2.exceptions import UndefinedError
from jinja2.runtime import str_join
from jinja2.utils import _PassArg

from digest.audience.subscriber import Value
from digest.audience.trees import NotAllowedError, asked_issue, joined, key_of, never_none, read_attribute
from digest.expressions import ARM, RECEIVED, Absent, ExpressionEnvironment
from digest.localized import FILTERS as WRITTEN

METHODS = ("startswith", "endswith", "lower", "upper", "strip")
"""The methods of text that an expression may call."""

CALL_CURE = f"days_since(…), received(“…”), or a method of text: {', '.join(METHODS)}"
RECEIVED_CURE = 'write received("2025-09-12-slug")'

Outcomes = Callable[[Mapping[str, Value]], tuple[bool, ...]]
"""The values of one reader in, the outcome of each condition out."""

Constants = Mapping[str, Mapping[str, str]]

_COMPARED: Mapping[str, type[ast.cmpop]] = {
    "eq": ast.Eq,
    "ne": ast.NotEq,
    "lt": ast.Lt,
    "lteq": ast.LtE,
    "gt": ast.Gt,
    "gteq": ast.GtE,
    "in": ast.In,
    "notin": ast.NotIn,
}
_COMPUTED: Mapping[type[nodes.BinExpr], type[ast.operator]] = {
    nodes.Sub: ast.Sub,
    nodes.Div: ast.Div,
    nodes.FloorDiv: ast.FloorDiv,
}
_LIMITED: Mapping[type[nodes.BinExpr], str] = {nodes.Mul: "*", nodes.Pow: "**", nodes.Mod: "%", nodes.Add: "+"}
_JOINED: Mapping[type[nodes.BinExpr], type[ast.boolop]] = {nodes.And: ast.And, nodes.Or: ast.Or}
_SIGNED: Mapping[type[nodes.UnaryExpr], type[ast.unaryop]] = {nodes.Neg: ast.USub, nodes.Pos: ast.UAdd}


class Translator:
    """Turns Jinja's trees into functions over one environment.

    `segments` are the names that may be read bare or as ``segment.name``; `constants` what ``issue.x`` and
    ``newsletter.x`` stand for, where conditions may read them. All methods raise `NotAllowedError`.
    """

    def __init__(
        self, environment: ExpressionEnvironment, segments: Iterable[str] = (), constants: Constants | None = None
    ) -> None:
        self._environment = environment
        self._context = environment.from_string("").new_context()
        self._segments = frozenset(segments)
        self._constants = constants or {}
        self._segment_locals: dict[str, str] | None = None
        self._globals: dict[str, Any] = {}

    def condition(self, tree: nodes.Expr) -> Callable[[Mapping[str, Value], Any], bool]:
        """A function of a reader's values and the segments (anything that can be indexed by name).

        What is computed with a value that is not there is false; all else that goes wrong is raised.
        """
        self._begin(None)
        verdict = ast.Return(self._flag(tree))
        return self._function([_absent_is(verdict, ast.Return(ast.Constant(False)))], ["values", "segment"])

    def outcomes(self, segments: Sequence[tuple[str, nodes.Expr]], conditions: Sequence[nodes.Expr]) -> Outcomes:
        """A function of a reader's values that computes everything at once.

        First `segments` (each after those it reads), as `condition` does; then `conditions`, whose outcomes
        are returned. Raises what any of them raises, an absent value in one of `conditions` included.
        """
        self._begin({name: f"segment_{number}" for number, (name, _) in enumerate(segments)})
        body = [self._segment(name, tree) for name, tree in segments]
        body.append(ast.Return(ast.Tuple([self._flag(tree) for tree in conditions], ast.Load())))
        return self._function(body, ["values"])

    def _begin(self, segment_locals: dict[str, str] | None) -> None:
        self._segment_locals = segment_locals
        self._globals = {"UndefinedError": UndefinedError, "Undefined": Undefined}

    def _segment(self, name: str, tree: nodes.Expr) -> ast.stmt:
        locals_ = self._segment_locals or {}

        def assigned(value: ast.expr) -> ast.stmt:
            return ast.Assign([ast.Name(locals_[name], ast.Store())], value)

        return _absent_is(assigned(self._flag(tree)), assigned(ast.Constant(False)))

    def _function(self, body: list[ast.stmt], parameters: list[str]) -> Callable[..., Any]:
        getter = ast.Attribute(_name("values"), "get", ast.Load())
        body = [ast.Assign([ast.Name("get", ast.Store())], getter), *body]
        arguments = ast.arguments([], [ast.arg(name) for name in parameters], None, [], [], None, [])
        function = ast.FunctionDef("condition", arguments, body, [], None)
        try:
            code = compile(ast.fix_missing_locations(ast.Module([function], [])), "<condition>", "exec")
        except (RecursionError, MemoryError) as exc:
            raise NotAllowedError("an expression nested too deeply") from exc
        names = self._globals
        exec(code, names)  # noqa: S102 -- a tree made here of allow-listed nodes; no text of an author is run
        found: Callable[..., Any] = names["condition"]
        return found

    def _flag(self, tree: nodes.Expr) -> ast.expr:
        try:
            return ast.IfExp(self._truth(tree), ast.Constant(True), ast.Constant(False))
        except RecursionError as exc:
            raise NotAllowedError("an expression nested too deeply") from exc

    def _kept(self, value: object) -> ast.expr:
        """A name for something that exists already."""
        name = f"kept_{len(self._globals)}"
        self._globals[name] = value
        return _name(name)

    # In a condition's place only truth counts: None stands as well for what is absent.

    def _truth(self, node: nodes.Expr) -> ast.expr:
        if isinstance(node, nodes.And | nodes.Or):
            return ast.BoolOp(_JOINED[type(node)](), list(map(self._truth, joined(node))))
        if isinstance(node, nodes.Not):
            return ast.UnaryOp(ast.Not(), self._truth(node.node))
        if attribute := read_attribute(node):
            return self._read(attribute)
        return self._value(node)

    def _value(self, node: nodes.Expr) -> ast.expr:
        for kind, translated in self._FORMS:
            if isinstance(node, kind):
                return translated(self, node)
        raise NotAllowedError(f"“{type(node).__name__.lower()}” cannot stand in a condition")

    def _named(self, node: nodes.Name) -> ast.expr:
        if node.name in self._segments:
            return self._asked(node.name)
        if node.name == "arm":
            return _call(_name("get"), ast.Constant(ARM))
        raise NotAllowedError(f"“{node.name}” cannot stand alone in a condition")

    def _asked(self, segment: str) -> ast.expr:
        if segment not in (self._segments if self._segment_locals is None else self._segment_locals):
            raise NotAllowedError(f"there is no segment “{segment}”")
        if self._segment_locals is None:
            return ast.Subscript(_name("segment"), ast.Constant(segment), ast.Load())
        return _name(self._segment_locals[segment])

    def _read(self, attribute: str) -> ast.expr:
        """The value, None when it is absent."""
        if attribute.startswith("_"):
            raise NotAllowedError(f"“{attribute}” cannot be read")
        return _call(_name("get"), ast.Constant(attribute))

    def _looked_up(self, node: nodes.Getattr | nodes.Getitem) -> ast.expr:
        if attribute := read_attribute(node):
            found = ast.NamedExpr(ast.Name("value", ast.Store()), self._read(attribute))
            missing = ast.Compare(found, [ast.Is()], [ast.Constant(None)])
            return ast.IfExp(missing, self._kept(Absent(name=attribute)), _name("value"))
        key = key_of(node)
        if isinstance(node.node, nodes.Name) and isinstance(key, str):
            if node.node.name == "segment":
                return self._asked(key)
            if node.node.name in self._constants and key in self._constants[node.node.name]:
                return ast.Constant(self._constants[node.node.name][key])
        of = self._value(node.node)
        if isinstance(node, nodes.Getattr):
            if node.attr.startswith("_"):
                raise NotAllowedError(f"“{node.attr}” cannot be read")
            if node.attr in METHODS:
                raise NotAllowedError(f"“{node.attr}” does nothing alone", f"write .{node.attr}(…)")
            return _call(self._kept(self._environment.getattr), of, ast.Constant(node.attr))
        if isinstance(node.arg, nodes.Slice):
            ends = [self._value(end or nodes.Const(None)) for end in (node.arg.start, node.arg.stop, node.arg.step)]
            return _call(self._kept(getitem), of, _call(self._kept(slice), *ends))
        return _call(self._kept(self._environment.getitem), of, self._value(node.arg))

    def _compared(self, node: nodes.Compare) -> ast.expr:
        operators = [_COMPARED[operand.op]() for operand in node.ops]
        others = [self._value(operand.expr) for operand in node.ops]
        first = self._value(node.expr)
        attribute = read_attribute(node.expr)
        if attribute and len(node.ops) == 1 and never_none(node.ops[0]):
            first = self._read(attribute)  # None equals as little as what is absent
        return ast.Compare(first, operators, others)

    def _computed(self, node: nodes.BinExpr | nodes.UnaryExpr) -> ast.expr:
        if isinstance(node, nodes.UnaryExpr):
            return ast.UnaryOp(_SIGNED[type(node)](), self._value(node.node))
        if isinstance(node, nodes.And | nodes.Or):
            return ast.BoolOp(_JOINED[type(node)](), list(map(self._value, joined(node))))
        left, right = self._value(node.left), self._value(node.right)
        if type(node) in _LIMITED:
            limited = self._kept(self._environment.call_binop)
            return _call(limited, ast.Constant(None), ast.Constant(_LIMITED[type(node)]), left, right)
        return ast.BinOp(left, _COMPUTED[type(node)](), right)

    def _collected(self, node: nodes.List | nodes.Tuple | nodes.Concat) -> ast.expr:
        if isinstance(node, nodes.Concat):
            return _call(self._kept(str_join), ast.Tuple(list(map(self._value, node.nodes)), ast.Load()))
        items = list(map(self._value, node.items))
        return ast.List(items, ast.Load()) if isinstance(node, nodes.List) else ast.Tuple(items, ast.Load())

    def _paired(self, node: nodes.Dict) -> ast.expr:
        pairs = [(self._value(pair.key), self._value(pair.value)) for pair in node.items]
        return ast.Dict([key for key, _ in pairs], [value for _, value in pairs])

    def _constant(self, node: nodes.Const) -> ast.expr:
        return ast.Constant(node.value)

    def _denied(self, node: nodes.Not) -> ast.expr:
        return ast.UnaryOp(ast.Not(), self._truth(node.node))

    def _chosen(self, node: nodes.CondExpr) -> ast.expr:
        if node.expr2 is None:
            words = "the inline if-expression has no else"
            otherwise: ast.expr = _call(_name("Undefined"), ast.Constant(words))
        else:
            otherwise = self._value(node.expr2)
        return ast.IfExp(self._truth(node.test), self._value(node.expr1), otherwise)

    def _applied(self, node: nodes.Filter | nodes.Test) -> ast.expr:
        known = self._environment.filters if isinstance(node, nodes.Filter) else self._environment.tests
        if node.node is None or node.name not in known:
            raise NotAllowedError(f"there is no “{node.name}”")
        function: Any = known[node.name]
        if function in WRITTEN.values():
            raise NotAllowedError(f"“{node.name}” writes for the eye, and decides nothing", "compare the value itself")
        passed: Mapping[_PassArg | None, object] = {
            # As Jinja's compiler does it: the one place that knows the marks of its decorators.
            _PassArg.context: self._context,
            _PassArg.eval_context: self._context.eval_ctx,
            _PassArg.environment: self._environment,
        }
        first = [self._kept(passed[kind])] if (kind := _PassArg.from_obj(function)) else []
        return self._call_of(self._kept(function), [*first, self._value(node.node)], node)

    def _called(self, node: nodes.Call) -> ast.expr:
        of = node.node
        if isinstance(of, nodes.Name) and of.name == "received":
            return self._received(node)
        if isinstance(of, nodes.Name) and of.name in self._environment.globals:
            return self._call_of(self._kept(self._environment.globals[of.name]), [], node)
        if isinstance(of, nodes.Getattr) and of.attr in METHODS:
            method = self._kept(self._method(of.attr))
            return self._call_of(method, [self._value(of.node)], node)
        raise NotAllowedError("a call that is not allowed here", CALL_CURE)

    def _received(self, node: nodes.Call) -> ast.expr:
        slug = asked_issue(node)
        if slug is None:
            raise NotAllowedError("received takes the name of one issue", RECEIVED_CURE)
        known = ast.BoolOp(ast.Or(), [_call(_name("get"), ast.Constant(RECEIVED)), ast.Tuple([], ast.Load())])
        return ast.Compare(ast.Constant(slug), [ast.In()], [known])

    def _method(self, name: str) -> Callable[..., Any]:
        environment, context, of_text = self._environment, self._context, getattr(str, name)

        def called(of: Any, *args: Any, **kwargs: Any) -> Any:
            if type(of) is str:
                return of_text(of, *args, **kwargs)
            return environment.call(context, environment.getattr(of, name), *args, **kwargs)

        return called

    def _call_of(
        self, function: ast.expr, first: list[ast.expr], node: nodes.Filter | nodes.Test | nodes.Call
    ) -> ast.expr:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise NotAllowedError("“*” before an argument cannot stand in a condition")
        named = [ast.keyword(str(pair.key), self._value(pair.value)) for pair in node.kwargs]
        return ast.Call(function, [*first, *map(self._value, node.args)], named)

    _FORMS: ClassVar[tuple[tuple[tuple[type[nodes.Expr], ...], Callable[[Translator, Any], ast.expr]], ...]] = (
        ((nodes.Const,), _constant),
        ((nodes.Name,), _named),
        ((nodes.Getattr, nodes.Getitem), _looked_up),
        ((nodes.Compare,), _compared),
        ((nodes.Not,), _denied),
        ((nodes.BinExpr, nodes.UnaryExpr), _computed),
        ((nodes.CondExpr,), _chosen),
        ((nodes.List, nodes.Tuple, nodes.Concat), _collected),
        ((nodes.Dict,), _paired),
        ((nodes.Filter, nodes.Test), _applied),
        ((nodes.Call,), _called),
    )
    """All that may stand in a condition."""


def _absent_is(attempt: ast.stmt, otherwise: ast.stmt) -> ast.stmt:
    """Names were checked before, so what is undefined is a value this reader does not have."""
    return ast.Try([attempt], [ast.ExceptHandler(_name("UndefinedError"), None, [otherwise])], [], [])


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _call(function: ast.expr, *arguments: ast.expr) -> ast.expr:
    return ast.Call(function, list(arguments), [])
