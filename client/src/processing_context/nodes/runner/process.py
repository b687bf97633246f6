"""Running a node in a process of its own, from the worker's side."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

from processing_context.nodes.base import BaseNode
from processing_context.nodes.errors import NodeProcessError
from processing_context.nodes.runner import frames

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


async def pieces_from_process(node: BaseNode, context: ProcessingContext) -> AsyncGenerator[Any]:
    """Yield what a node gives that runs in a new process; leaving early kills it.

    Raises:
        NodeProcessError: The node raised there, or the process died.
    """
    call = frames.pack(frames.Call(node, _arguments(context)))
    async with _child() as (process, reader, writer):
        # The child may be gone before it reads: what it died of comes with the first read.
        with contextlib.suppress(ConnectionError):
            await frames.write(writer, json.dumps(sys.path).encode())
            await frames.write(writer, call)
        while True:
            frame = await _next(reader, process)
            if isinstance(frame, frames.Piece):
                yield frame.value
            elif isinstance(frame, frames.Posted):
                context.post_message(frame.message)
                if context.outbox is not None:
                    await context.outbox.drain()
            elif isinstance(frame, frames.Failed):
                raise NodeProcessError(frame.message, frame.logs)
            else:
                return


@contextlib.asynccontextmanager
async def _child() -> AsyncIterator[
    tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]
]:
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "processing_context.nodes.runner.child"),
                *(str(theirs.fileno()), str(os.getpid())),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
    try:
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            yield process, reader, writer
        finally:
            writer.close()
    finally:
        # The whole session, so that what the node itself started goes too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


async def _next(reader: asyncio.StreamReader, process: asyncio.subprocess.Process) -> frames.Frame:
    try:
        content = await frames.read(reader)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        status = await process.wait()
        raise NodeProcessError(f"the process of the node {_death(status)}", "") from error
    frame: frames.Frame = await asyncio.to_thread(frames.unpack, content)
    return frame


def _arguments(context: ProcessingContext) -> dict[str, Any]:
    http = context._http
    return {
        "base_url": http.base_url if http.is_configured else None,
        "token": http.token,
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
        return f"ended by itself with status {status}"
    hint = "; the system may be out of memory" if -status == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-status).name}{hint}"
