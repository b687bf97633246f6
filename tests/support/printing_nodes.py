"""Nodes that print and log, for tests of the logs of jobs."""

# ruff: noqa: ARG002, T201  # every node gets a context; printing is what they are for

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

from processing_context.nodes import BaseNode
from processing_context.wire.events import NodeProgress

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

logger = logging.getLogger(__name__)
POOL = ThreadPoolExecutor(1)
"""A pool that nodes of all jobs share; its thread starts in the first job that uses it."""


class Printing(BaseNode):
    namespace: ClassVar[str] = "printing"

    text: str = "line"
    after: Any = None


def speak(text: str) -> None:
    """Write to both streams and to the log."""
    print(f"{text} out")
    print(f"{text} err", file=sys.stderr)
    logger.info("%s logged", text)
    logger.warning("%s warned", text)


class Speaks(Printing):
    """Prints and logs in a coroutine, in a task, and in a thread of the loop's pool."""

    async def process(self, context: ProcessingContext) -> str:
        speak(self.text)
        await asyncio.create_task(self._later())
        await asyncio.to_thread(print, f"{self.text} of the pool")
        return self.text

    async def _later(self) -> None:
        await asyncio.sleep(0)
        print(f"{self.text} of the task")


class SpeaksInThread(Printing):
    """Prints and logs in a thread."""

    def process(self, context: ProcessingContext) -> str:
        speak(self.text)
        return self.text


class SpeaksInProcess(Printing):
    """Prints and logs in a process, which also writes to its descriptors and starts another."""

    cpu_bound: ClassVar[bool] = True

    def process(self, context: ProcessingContext) -> str:
        speak(self.text)
        os.write(1, f"{self.text} descriptor\n".encode())
        os.write(2, f"{self.text} error descriptor".encode())
        subprocess.run([sys.executable, "-c", f"print('{self.text} child')"], check=True)
        print(f"{self.text} without an end", end="")
        return self.text


class _Cycle:
    def __init__(self, text: str) -> None:
        self.text = text
        self.me = self

    def __del__(self) -> None:
        print(f"{self.text} finalized")


class SpeaksElsewhere(Printing):
    """Prints where no output can be attributed to a node, and while another job does the same.

    In threads that it starts, in a pool shared with other jobs, in finalizers, and after its end.
    """

    def process(self, context: ProcessingContext) -> str:
        thread = threading.Thread(target=self._many)
        thread.start()
        POOL.submit(self._many).result()
        _Cycle(self.text)
        gc.collect()
        thread.join()
        threading.Timer(0.3, print, [f"{self.text} late"]).start()
        print(f"{self.text} of the node")
        return self.text

    def _many(self) -> None:
        for number in range(50):
            print(f"{self.text} {number}")
            logger.warning("%s %d logged", self.text, number)
            time.sleep(0.005)


class PrintsMany(Printing):
    """Prints many lines without a pause, in the loop or in a thread."""

    lines: int = 10_000

    async def process(self, context: ProcessingContext) -> int:
        for number in range(self.lines):
            print(f"{self.text} {number}")
        return self.lines


class PrintsManyInThread(Printing):
    """Prints many lines in a thread."""

    lines: int = 10_000

    def process(self, context: ProcessingContext) -> int:
        for number in range(self.lines):
            print(f"{self.text} {number}")
        return self.lines


class Ticks(Printing):
    """Reports progress while another node prints."""

    ticks: int = 20

    async def process(self, context: ProcessingContext) -> int:
        for tick in range(self.ticks):
            context.post_message(
                NodeProgress(node_id=self.id, progress=tick, total=self.ticks, chunk=f"{tick};")
            )
            await asyncio.sleep(0.02)
        return self.ticks


class Forked(Printing):
    """Prints in a fork of the worker's process."""

    def process(self, context: ProcessingContext) -> str:
        child = os.fork()
        if child == 0:
            try:
                print(f"{self.text} of the fork", flush=True)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        print(f"{self.text} of the node")
        return self.text
