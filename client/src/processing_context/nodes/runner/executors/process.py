"""Execution of a node in a child process, from the worker's side."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

from processing_context.nodes.base import BaseNode
from processing_context.nodes.errors import NodeProcessError
from processing_context.nodes.runner.capture import current_log
from processing_context.nodes.runner.executors import frames
from processing_context.nodes.runner.executors.output import ChildOutput, forwarded_output

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

_UNPACKED_HERE = 16 * 1024
"""Bytes of a frame up to which unpacking costs less than a thread."""

_DRAIN_S = 5.0
"""Seconds to wait for frames that a process sent before it died."""


async def pieces_from_process(
    node: BaseNode, context: ProcessingContext, *, memory_bytes: int | None = None
) -> AsyncGenerator[Any]:
    """Yield the values of a node that runs in a new process, which is killed on an early exit.

    Args:
        node: The node.
        context: Its context, recreated in the process.
        memory_bytes: Memory limit; None: no limit.

    Raises:
        NodeProcessError: The node raised an error, or the process died.
    """
    trace, log = context._core.api.traceparent, current_log()
    level = logging.getLogger().getEffectiveLevel()
    call = frames.pack(frames.Call(node, _arguments(context), trace, memory_bytes, level))
    async with forwarded_output(log, context) as output, _child(output) as child:
        await child.send(json.dumps(sys.path).encode())
        await child.send(call)
        while True:
            frame = await child.next()
            if isinstance(frame, frames.Piece):
                yield frame.value
            elif isinstance(frame, frames.Posted):
                context.post_message(frame.message)
                if context.outbox is not None:
                    await context.outbox.drain()
            elif isinstance(frame, frames.Logged):
                if log is not None:
                    log.record(frame.level, frame.line)
                if context.outbox is not None:
                    await context.outbox.drain(context.node_id)
            elif isinstance(frame, frames.Failed):
                raise NodeProcessError(frame.message, frame.logs)
            else:
                return


class _Child:
    """Child process of a node."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._dead = asyncio.ensure_future(process.wait())

    async def send(self, content: bytes) -> None:
        """Send a frame. If the process has died, `next` raises the reason."""
        with contextlib.suppress(ConnectionError):
            await frames.write(self._writer, content)

    async def next(self) -> frames.Frame:
        """Return the next frame.

        Raises:
            NodeProcessError: The process died.
        """
        try:
            content = await self._read()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            status = await asyncio.shield(self._dead)
            raise NodeProcessError(f"the process of the node {_death(status)}", "") from error
        is_small = len(content) <= _UNPACKED_HERE
        frame: frames.Frame = (
            frames.unpack(content) if is_small else await asyncio.to_thread(frames.unpack, content)
        )
        return frame

    async def _read(self) -> bytes:
        reading = asyncio.ensure_future(frames.read(self._reader))
        try:
            await asyncio.wait({reading, self._dead}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                # Processes that the node forked hold the socket open, so that it would never reach
                # its end.
                _kill(self._process)
                await asyncio.wait({reading}, timeout=_DRAIN_S)
            if not reading.done():
                raise asyncio.IncompleteReadError(b"", None)
            return reading.result()
        finally:
            reading.cancel()


@contextlib.asynccontextmanager
async def _child(output: ChildOutput) -> AsyncIterator[_Child]:
    parent_end, child_end = socket.socketpair()
    with child_end:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "processing_context.nodes.runner.executors.process_main"),
                *(str(child_end.fileno()), str(os.getpid())),
                pass_fds=(child_end.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output.stdout,
                stderr=output.stderr,
                start_new_session=True,
            )
        except BaseException:
            parent_end.close()
            raise
        finally:
            output.close()
    try:
        reader, writer = await asyncio.open_connection(sock=parent_end)
        try:
            yield _Child(process, reader, writer)
        finally:
            writer.close()
    finally:
        _kill(process)
        await asyncio.shield(process.wait())


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the whole session, including processes that the node started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _arguments(context: ProcessingContext) -> dict[str, Any]:
    api = context._core.api
    return {
        "base_url": api.base_url if api.is_configured else None,
        "token": api.token,
        "user_id": context.user_id,
        "workflow_id": context.workflow_id,
        "job_id": context.job_id,
        "node_id": context.node_id,
        "graph": context.graph,
        "variables": context.variables,
        "results": context.results,
        "capabilities": context.capabilities,
        "allow_local_files": context.allow_local_files,
    }


def _death(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    hint = "; the system may be out of memory" if -status == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-status).name}{hint}"
