"""Nodes that wait for the test, or take what their machine has."""

# ruff: noqa: ARG002  # every node gets a context

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from processing_context.nodes import BaseNode
from processing_context.wire.events import Log, NodeProgress

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

STEP_S = 0.02


class Fault(BaseNode):
    namespace: ClassVar[str] = "fault"

    @classmethod
    def is_cacheable(cls) -> bool:
        """What these do is their effect."""
        return False


class Counts(Fault):
    """Says 0, 1, 2 …, and returns the sum."""

    count: int = 0

    async def process(self, context: ProcessingContext) -> int:
        for number in range(self.count):
            context.post_message(Log(level="info", message=str(number), node_id=self.id))
            await asyncio.sleep(STEP_S)
        return sum(range(self.count))


class CountsUntil(Fault):
    """Says 0, 1, 2 … until a file is there, and returns how many it said."""

    path: str = ""

    async def process(self, context: ProcessingContext) -> int:
        said = 0
        while not await asyncio.to_thread(Path(self.path).exists):
            context.post_message(Log(level="info", message=str(said), node_id=self.id))
            said += 1
            await asyncio.sleep(5 * STEP_S)
        return said


class Allocates(Fault):
    """Asks for more memory than there is, in the worker itself."""

    def process(self, context: ProcessingContext) -> int:
        return len(bytearray(1 << 45))


class AllocatesApart(Fault):
    """Takes memory until it gets no more, in a process of its own."""

    cpu_bound: ClassVar[bool] = True

    def process(self, context: ProcessingContext) -> int:
        taken = []
        while True:
            taken.append(bytearray(16 * 1024 * 1024))


class KillsWorker(Fault):
    """Ends its process as the kernel does when memory is short."""

    async def process(self, context: ProcessingContext) -> int:
        # After its worker has told that it runs.
        await context.flush()
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


class ForksAndDies(Fault):
    """Leaves a child that holds all that it had open, and is killed."""

    cpu_bound: ClassVar[bool] = True

    def process(self, context: ProcessingContext) -> int:
        child = os.fork()
        if child == 0:
            time.sleep(3600)
            os._exit(0)
        context.post_message(NodeProgress(node_id=self.id, progress=child, total=1))
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


class Forks(Fault):
    """Leaves children behind, and ends well."""

    cpu_bound: ClassVar[bool] = True

    def process(self, context: ProcessingContext) -> list[int]:
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                time.sleep(3600)
                os._exit(0)
            children.append(child)
        return children


class ForksWorker(Fault):
    """Leaves a child of the worker itself, that holds the worker's connections open."""

    def process(self, context: ProcessingContext) -> int:
        child = os.fork()
        if child == 0:
            time.sleep(3600)
            os._exit(0)
        return child
