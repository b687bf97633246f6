"""Number nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from processing_context.nodes.base import BaseNode
from processing_context.nodes.builtin.expressions import Number, evaluate

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


class Calculate(BaseNode):
    """Evaluate an expression over `a`, `b` and properties that the graph defines.

    `+ - * / // % **`, comparisons, `x if c else y`, `pi`, `e`, and the functions `min max abs round
    sqrt floor ceil exp log sin cos tan`.
    """

    namespace: ClassVar[str] = "math"
    _dynamic: ClassVar[bool] = True

    expression: str = Field(default="a + b", max_length=1000)
    a: int | float = 0
    b: int | float = 0

    async def process(self, context: ProcessingContext) -> int | float:
        """Evaluate the expression."""
        variables: dict[str, Number] = {"a": self.a, "b": self.b}
        for name, value in self.dynamic_properties.items():
            if not isinstance(value, int | float):
                raise ValueError(f"{name} must be a number, not {type(value).__name__}")
            variables[name] = value
        return evaluate(self.expression, variables)
