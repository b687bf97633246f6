"""Nodes that block, never end, or return invalid values, for tests of workers."""

# ruff: noqa: ARG002  # every node gets a context

from __future__ import annotations

import asyncio
import os
import time
from asyncio import to_thread
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from processing_context.nodes import BaseNode
from processing_context.wire.events import NodeProgress
from processing_context.wire.refs import ImageRef

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


class Faulty(BaseNode):
    namespace: ClassVar[str] = "faulty"


class BlocksLoop(Faulty):
    """Blocks the worker's event loop; creates a file first, and ends when another one exists."""

    begun: str = ""
    go: str = ""

    async def process(self, context: ProcessingContext) -> str:
        Path(self.begun).touch()  # noqa: ASYNC240  # that is the fault
        while not Path(self.go).exists():  # noqa: ASYNC240
            time.sleep(0.05)  # noqa: ASYNC251
        return "done"


class WaitsForFile(Faulty):
    """Ends when a file exists."""

    path: str = ""

    async def process(self, context: ProcessingContext) -> str:
        while not await to_thread(Path(self.path).exists):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return "rested"


class BlocksThread(Faulty):
    """Cannot be stopped."""

    def process(self, context: ProcessingContext) -> str:
        time.sleep(3600)
        return "done"


class NeverEnds(Faulty):
    """Waits forever."""

    async def process(self, context: ProcessingContext) -> Any:
        await asyncio.Event().wait()


class IgnoresCancel(Faulty):
    """Ignores cancellation."""

    async def process(self, context: ProcessingContext) -> Any:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                context.post_message(NodeProgress(node_id=self.id, progress=1, total=1))


class Unsendable(Faulty):
    """Returns a value that JSON cannot represent."""

    async def process(self, context: ProcessingContext) -> Any:
        return {"lock": asyncio.Lock()}


class Large(Faulty):
    """Returns a text of many characters."""

    characters: int = 0

    async def process(self, context: ProcessingContext) -> str:
        return "é" * self.characters


class Frames(Faulty):
    """Streams images."""

    async def process(self, context: ProcessingContext) -> AsyncGenerator[ImageRef, None]:
        from PIL import Image

        for shade in (0, 128, 255):
            yield await context.image_from_pil(Image.new("L", (64, 64), shade))


class Secrets(Faulty):
    """Looks for the worker's token."""

    async def process(self, context: ProcessingContext) -> list[str]:
        started_with = [Path("/proc/self", name) for name in ("environ", "cmdline")]
        found = [str(path) for path in started_with if b"ctx_" in await to_thread(path.read_bytes)]
        return found + [name for name in os.environ if "TOKEN" in name]


class Busy(Faulty):
    """Computes forever in a separate process, and reports its process id."""

    cpu_bound: ClassVar[bool] = True

    def process(self, context: ProcessingContext) -> None:
        context.post_message(NodeProgress(node_id=self.id, progress=os.getpid(), total=1))
        while True:
            pass
