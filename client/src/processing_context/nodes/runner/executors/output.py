"""Output of the process of a node: what it writes to its file descriptors, beside its messages."""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from processing_context.nodes.runner.node_log import Level, NodeLog

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

_READ_BYTES = 64 * 1024
_LAST_S = 1.0
"""Seconds to wait after the process for processes of its own that still write."""


class ChildOutput:
    """Descriptors for the standard output and error of a child; None: those of this process."""

    def __init__(self) -> None:
        """Create descriptors that are those of this process."""
        self.stdout: int | None = None
        self.stderr: int | None = None

    def close(self) -> None:
        """Close the descriptors here, once the child has them."""
        for descriptor in (self.stdout, self.stderr):
            if descriptor is not None:
                os.close(descriptor)
        self.stdout = self.stderr = None


@asynccontextmanager
async def forwarded_output(
    log: NodeLog | None, context: ProcessingContext
) -> AsyncIterator[ChildOutput]:
    """Forward the output of a child to the log of a node, until the child and the body have ended.

    Args:
        log: The log; None: the output is not captured.
        context: Context of the node, whose outbox limits the rate.
    """
    output = ChildOutput()
    if log is None:
        yield output
        return
    output_end, output.stdout = os.pipe()
    error_end, output.stderr = os.pipe()
    readers = [
        asyncio.create_task(_forward(output_end, "info", log, context)),
        asyncio.create_task(_forward(error_end, "warning", log, context)),
    ]
    try:
        yield output
    finally:
        output.close()
        _, left = await asyncio.wait(readers, timeout=_LAST_S)
        for reader in left:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _forward(descriptor: int, level: Level, log: NodeLog, context: ProcessingContext) -> None:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    try:
        while content := await reader.read(_READ_BYTES):
            log.write(level, decoder.decode(content))
            if context.outbox is not None and context.node_id is not None:
                await context.outbox.drain(context.node_id)
    finally:
        transport.close()
