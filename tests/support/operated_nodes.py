"""Nodes for tests of the metrics and logs of workers."""

# ruff: noqa: ARG002  # every node gets a context

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, ClassVar

from processing_context.nodes import BaseNode

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


class Operated(BaseNode):
    namespace: ClassVar[str] = "operated"


class Stalls(Operated):
    """Blocks the loop until a file exists."""

    until: str = ""

    async def process(self, context: ProcessingContext) -> str:
        while not os.path.exists(self.until):  # noqa: ASYNC240, PTH110  # that is the fault
            time.sleep(0.05)  # noqa: ASYNC251
        return "done"


class Forks(Operated):
    """Forks; the child continues as if it were the worker."""

    async def process(self, context: ProcessingContext) -> int:
        return os.fork()


class Starts(Operated):
    """Runs a child job and returns its id."""

    graph: dict[str, Any] = {}

    async def process(self, context: ProcessingContext) -> Any:
        return (await context.run_worker(self.graph))["it"]


class Tells(Operated):
    """Returns the id of its job."""

    async def process(self, context: ProcessingContext) -> str | None:
        return context.job_id
