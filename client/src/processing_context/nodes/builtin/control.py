"""Nodes that choose between branches, and nodes for experiments and tests of workflows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from pydantic import Field

from processing_context.nodes.base import BaseNode
from processing_context.wire.events import NodeProgress

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

_STEP_S = 0.1
_MAX_STEPS = 100


class Branches(TypedDict, total=False):
    """Outputs of `If`, one of which has a value."""

    if_true: Any
    if_false: Any


class Merged(TypedDict, total=False):
    """Output of `Merge`."""

    output: Any


class If(BaseNode):
    """Pass the value on to one of two branches; the other one is skipped."""

    namespace: ClassVar[str] = "control"

    condition: bool = False
    value: Any = None

    async def process(self, context: ProcessingContext) -> Branches:
        """Return the value for the branch of the condition."""
        return {"if_true": self.value} if self.condition else {"if_false": self.value}


class Merge(BaseNode):
    """Join branches: return the first input that has a value. Accepts more inputs than two."""

    namespace: ClassVar[str] = "control"
    _dynamic: ClassVar[bool] = True

    a: Any = None
    b: Any = None

    async def process(self, context: ProcessingContext) -> Merged:
        """Return the first value: of `a`, `b`, then the others in the order of their edges."""
        declared = [name for name in ("a", "b") if name in self._received]
        values = {"a": self.a, "b": self.b} | self.dynamic_properties
        for name in (*declared, *self._received):
            return {"output": values[name]}
        return {}


class _Control(BaseNode):
    namespace: ClassVar[str] = "control"

    value: Any = None

    @classmethod
    def is_cacheable(cls) -> bool:
        """Return False: these nodes are used for their side effects."""
        return False


class Sleep(_Control):
    """Wait for some seconds, reporting progress, then return the value."""

    seconds: float = Field(default=1.0, ge=0, le=86_400)

    async def process(self, context: ProcessingContext) -> Any:
        """Wait."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        steps = max(1, min(_MAX_STEPS, round(self.seconds / _STEP_S)))
        for step in range(1, steps + 1):
            # By the clock, so that late wake-ups do not accumulate.
            await asyncio.sleep(start + self.seconds * step / steps - loop.time())
            context.post_message(
                NodeProgress(
                    node_id=self.id, progress=self.seconds * step / steps, total=self.seconds
                )
            )
        return self.value


class Fail(_Control):
    """Fail with a message."""

    message: str = "failed on purpose"

    async def process(self, context: ProcessingContext) -> Any:
        """Raise an error with the message."""
        raise RuntimeError(self.message)
