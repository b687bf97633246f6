"""Nodes for tests of the runner; a module, because some run in separate processes."""

# ruff: noqa: ARG002  # every node gets a context

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

from pydantic import Field

from processing_context.nodes import BaseNode
from processing_context.wire.events import NodeProgress
from processing_context.wire.refs import AssetRef, ImageRef

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


class Sample(BaseNode):
    namespace: ClassVar[str] = "sample"


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Everything(Sample):
    """All kinds of properties."""

    image: ImageRef = ImageRef()
    radius: float = Field(default=2.0, ge=0, le=64, title="Blur radius", description="In pixels.")
    color: Color = Color.RED
    mode: Literal["fast", "good"] = "fast"
    names: list[str] = []
    limit: int | None = None
    either: int | str = 0
    needed: str

    async def process(self, context: ProcessingContext) -> str:
        return self.needed


class Sides(TypedDict):
    left: int
    right: int


class Split(Sample):
    """Two outputs."""

    value: int = 0

    async def process(self, context: ProcessingContext) -> Sides:
        return {"left": self.value - 1, "right": self.value + 1}


class Misspelled(Sample):
    async def process(self, context: ProcessingContext) -> Sides:
        return {"left": 1, "rihgt": 2}  # type: ignore[typeddict-unknown-key,typeddict-item]


class Words(Sample):
    """Streams text."""

    text: str = ""

    async def process(self, context: ProcessingContext) -> AsyncGenerator[str, None]:
        for word in self.text.split(" "):
            await asyncio.sleep(0)
            yield f"{word} "


class Counting(Sample):
    """Streams numbers, under two names."""

    to: int = 3

    async def process(self, context: ProcessingContext) -> AsyncGenerator[Sides, None]:
        for number in range(1, self.to + 1):
            yield {"left": number, "right": -number}


class InThread(Sample):
    """Says that it runs, and blocks until it may end."""

    may_end: ClassVar[threading.Event] = threading.Event()

    def process(self, context: ProcessingContext) -> str:
        context.post_message(NodeProgress(node_id=self.id, progress=1, total=1))
        self.may_end.wait()
        return threading.current_thread().name


class MeetsInThread(Sample):
    """Blocks until all the others of its kind are there as well."""

    barrier: ClassVar[threading.Barrier] = threading.Barrier(8)

    def process(self, context: ProcessingContext) -> int:
        return self.barrier.wait(60)


class Meets(Sample):
    """Waits until all the others of its kind are there as well."""

    barrier: ClassVar[asyncio.Barrier] = asyncio.Barrier(5)

    async def process(self, context: ProcessingContext) -> int:
        async with asyncio.timeout(60):
            return await self.barrier.wait()


class Waits(Sample):
    """Waits for a node that opens."""

    opened: ClassVar[asyncio.Event] = asyncio.Event()

    async def process(self, context: ProcessingContext) -> None:
        async with asyncio.timeout(60):
            await self.opened.wait()


class Opens(Sample):
    """Lets those go on that wait."""

    value: int = 0

    async def process(self, context: ProcessingContext) -> None:
        Waits.opened.set()


class InProcess(Sample):
    """Runs elsewhere, and says where."""

    cpu_bound: ClassVar[bool] = True

    image: ImageRef = ImageRef()

    def process(self, context: ProcessingContext) -> dict[str, Any]:
        context.post_message(NodeProgress(node_id=self.id, progress=1, total=2))
        return {
            "pid": os.getpid(),
            "user": context.user_id,
            "node": context.node_id,
            "size": len(self.image.data or b""),
        }


class ProcessStream(Sample):
    cpu_bound: ClassVar[bool] = True

    async def process(self, context: ProcessingContext) -> AsyncGenerator[int, None]:
        for number in range(3):
            yield number


class ProcessFails(Sample):
    cpu_bound: ClassVar[bool] = True

    how: str = "raise"

    def process(self, context: ProcessingContext) -> Any:
        if self.how == "raise":
            raise KeyError("nothing there")
        if self.how == "exit":
            sys.exit(3)
        if self.how == "crash":
            os.abort()
        return threading.Lock()


class ProcessForever(Sample):
    """Starts a child process, reports both process ids, and never ends."""

    cpu_bound: ClassVar[bool] = True

    def process(self, context: ProcessingContext) -> None:
        other = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
        context.post_message(
            NodeProgress(node_id=self.id, progress=0, total=0, chunk=f"{os.getpid()} {other.pid}")
        )
        while True:
            time.sleep(60)


class Gives(Sample):
    """Returns what a test put there."""

    values: ClassVar[dict[str, Any]] = {}

    key: str = ""

    async def process(self, context: ProcessingContext) -> Any:
        return self.values[self.key]


class Takes(Sample):
    """Remembers what it got."""

    taken: ClassVar[list[Any]] = []

    image: ImageRef = ImageRef()

    async def process(self, context: ProcessingContext) -> AssetRef:
        self.taken.append(self.image)
        return AssetRef(uri="https://example.com/a.bin")


class Exits(Sample):
    async def process(self, context: ProcessingContext) -> None:
        sys.exit(7)


class Panics(Sample):
    """Raises what no `except Exception` catches, as extensions in Rust do."""

    async def process(self, context: ProcessingContext) -> None:
        raise KeyboardInterrupt("panic")


class CancelsItself(Sample):
    async def process(self, context: ProcessingContext) -> None:
        inner = asyncio.ensure_future(asyncio.sleep(10))
        inner.cancel()
        await inner


class Looks(Sample):
    """Asks its context about the run."""

    a: int = 0

    async def process(self, context: ProcessingContext) -> dict[str, Any]:
        return {"inputs": context.get_node_inputs(self.id), "node": context.node_id}


class Patient(Sample):
    """Waits, and has not long for it."""

    timeout_s: ClassVar[float | None] = 0.2

    async def process(self, context: ProcessingContext) -> None:
        await asyncio.Event().wait()


class Deaf(Sample):
    """Ignores cancellation until a test has observed that."""

    was_seen: ClassVar[asyncio.Event] = asyncio.Event()

    async def process(self, context: ProcessingContext) -> None:
        while not Deaf.was_seen.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)


class Raises(Sample):
    """Raises a timeout of its own."""

    timeout_s: ClassVar[float | None] = 3600

    async def process(self, context: ProcessingContext) -> None:
        raise TimeoutError("no answer from elsewhere")


class Hoards(Sample):
    """Allocates without end, in a process of its own."""

    cpu_bound: ClassVar[bool] = True

    def process(self, context: ProcessingContext) -> None:
        hoard = []
        while True:
            hoard.append(bytearray(16 * 1024 * 1024))


class Effect(Sample):
    """Has an effect."""

    seen: ClassVar[list[Any]] = []

    value: Any = None

    async def process(self, context: ProcessingContext) -> Any:
        self.seen.append(self.value)
        return self.value


class Pair(Sample):
    """Returns its inputs."""

    first: str = ""
    second: str = "of the class"

    async def process(self, context: ProcessingContext) -> list[str]:
        return [self.first, self.second]


class Wants(Sample):
    """Needs a value, and images."""

    needed: str
    title: str = ""
    image: ImageRef = ImageRef()
    made: ImageRef = Field(default_factory=ImageRef)

    async def process(self, context: ProcessingContext) -> str | None:
        return self.image.asset_id


class Maybe(Sample):
    """Has properties with and without null."""

    image: ImageRef | None = None
    text: str = "default"

    async def process(self, context: ProcessingContext) -> list[str]:
        return ["no image" if self.image is None else "an image", self.text]


class ForgetsToReturn(Sample):
    async def process(self, context: ProcessingContext) -> ImageRef:  # type: ignore[empty-body]
        """Compute an image, and no more."""


class WrongSlot(Sample):
    async def process(self, context: ProcessingContext) -> Sides:
        return {"left": 1, "right": "two"}  # type: ignore[typeddict-item]


class StreamsWrong(Sample):
    async def process(self, context: ProcessingContext) -> AsyncGenerator[str, None]:
        yield 3  # type: ignore[misc]
