"""Evaluation of arithmetic expressions without `eval`."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

Number = int | float

_MAX_BITS = 4096
"""Limit of integers, so that `9 ** 9 ** 9` cannot exhaust a worker's memory."""

_MAX_DIGITS = 30


def _round(value: Number, digits: int = 0) -> Number:
    if not -_MAX_DIGITS <= digits <= _MAX_DIGITS:
        raise ValueError(f"round accepts at most {_MAX_DIGITS} digits, not {digits}")
    return round(value, digits) if digits else round(value)


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": _round,
    "sqrt": math.sqrt,
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "log": math.log,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
}
_CONSTANTS: dict[str, Number] = {"pi": math.pi, "e": math.e}


def evaluate(expression: str, variables: Mapping[str, Number]) -> Number:
    """Return the value of an arithmetic expression.

    Raises:
        ValueError: The expression is invalid, uses an unknown name, or has no finite real value.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        value: Number = _Evaluation({**_CONSTANTS, **variables}).of(tree.body)
    except SyntaxError as error:
        raise ValueError(f"{expression!r} is not an expression: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError(f"{expression!r} is not an expression: {error}") from error
    except (ArithmeticError, TypeError) as error:
        raise ValueError(f"{expression!r} cannot be calculated: {error}") from error
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{expression!r} has no finite real value: {value}")
    return value


class _Evaluation:
    def __init__(self, names: Mapping[str, Number]) -> None:
        self._names = names

    def of(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() as value):
                return value
            case ast.Name(id=name):
                return self._named(name)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return _UNARY[type(op)](self.of(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _binary(op, self.of(left), self.of(right))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.of(body) if self.of(test) else self.of(orelse)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return self._compare(left, ops, comparators)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                return _FUNCTIONS[name](*[self.of(argument) for argument in args])
        raise ValueError(f"{ast.unparse(node)!r} is not allowed in an expression")

    def _named(self, name: str) -> Number:
        if name not in self._names:
            known = ", ".join(sorted({*self._names, *_FUNCTIONS}))
            raise ValueError(f"unknown name {name!r} in the expression; known names: {known}")
        return self._names[name]

    def _compare(self, left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]) -> bool:
        first = self.of(left)
        for op, comparator in zip(ops, comparators, strict=True):
            if type(op) not in _COMPARE:
                raise ValueError("unknown comparison in the expression: use == != < <= > >=")
            second = self.of(comparator)
            if not _COMPARE[type(op)](first, second):
                return False
            first = second
        return True


def _binary(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() + right.bit_length()
        if isinstance(op, ast.Pow):
            bits = left.bit_length() * abs(right)
        if bits > _MAX_BITS:
            raise ValueError(f"the expression has an integer of more than {_MAX_BITS} bits")
    return _BINARY[type(op)](left, right)
