"""Nodes for trying things out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from processing_context.nodes.base import BaseNode
from processing_context.wire.events import NodeProgress

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

_STEP_S = 0.1
_MAX_STEPS = 100


class _Control(BaseNode):
    namespace: ClassVar[str] = "control"

    value: Any = None

    @classmethod
    def is_cacheable(cls) -> bool:
        """What these do is their effect."""
        return False


class Sleep(_Control):
    """Wait some seconds, telling how far it is, then pass the value on."""

    seconds: float = Field(default=1.0, ge=0, le=86_400)

    async def process(self, context: ProcessingContext) -> Any:
        """Wait."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        steps = max(1, min(_MAX_STEPS, round(self.seconds / _STEP_S)))
        for step in range(1, steps + 1):
            # Against the clock, so that late wake-ups do not add up.
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
        """Raise the message."""
        raise RuntimeError(self.message)
