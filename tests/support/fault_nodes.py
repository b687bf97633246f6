"""Nodes for fault tests: slow ones, and ones that exhaust memory, fork, or kill their process."""

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
        """Return False: these nodes are run for their side effects."""
        return False


class Counts(Fault):
    """Logs 0, 1, 2 … and returns the sum."""

    count: int = 0

    async def process(self, context: ProcessingContext) -> int:
        for number in range(self.count):
            context.post_message(Log(level="info", message=str(number), node_id=self.id))
            await asyncio.sleep(STEP_S)
        return sum(range(self.count))


class CountsUntil(Fault):
    """Logs 0, 1, 2 … until a file exists, and returns the number of log lines."""

    path: str = ""

    async def process(self, context: ProcessingContext) -> int:
        said = 0
        while not await asyncio.to_thread(Path(self.path).exists):
            context.post_message(Log(level="info", message=str(said), node_id=self.id))
            said += 1
            await asyncio.sleep(5 * STEP_S)
        return said


class Allocates(Fault):
    """Allocates more memory than exists, in the worker's process."""

    def process(self, context: ProcessingContext) -> int:
        return len(bytearray(1 << 45))


class AllocatesApart(Fault):
    """Allocates memory until that fails, in a separate process."""

    cpu_bound: ClassVar[bool] = True

    def process(self, context: ProcessingContext) -> int:
        taken = []
        while True:
            taken.append(bytearray(16 * 1024 * 1024))


class KillsWorker(Fault):
    """Kills the worker's process, as the kernel does when memory is short."""

    async def process(self, context: ProcessingContext) -> int:
        # The kill comes after the event that the node is running.
        await context.flush()
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


class ForksAndDies(Fault):
    """Forks a child that inherits its open files, and kills itself."""

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
    """Forks children that outlive it, and completes."""

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
    """Forks the worker; the child keeps the worker's connections open."""

    def process(self, context: ProcessingContext) -> int:
        child = os.fork()
        if child == 0:
            time.sleep(3600)
            os._exit(0)
        return child
