"""Child process of one node: `python -m …executors.process_main <socket> <parent>`."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from processing_context.context import ProcessingContext
from processing_context.nodes.runner.capture import capture_all
from processing_context.nodes.runner.executors import frames
from processing_context.nodes.runner.executors.executor import pieces_here
from processing_context.nodes.runner.node_log import NodeLog
from processing_context.nodes.runner.tracebacks import short_traceback, summary

MIB = 1024 * 1024
_PR_SET_PDEATHSIG = 1


class _Peer:
    """Connection to the worker; thread-safe."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, frame: frames.Frame) -> None:
        content = frames.pack(frame)
        with self._lock:
            frames.send(self._connection, content)


class _ChildContext(ProcessingContext):
    """Context whose messages are sent to the worker, which numbers them."""

    def __init__(self, peer: _Peer, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._peer = peer

    def post_message(self, message: Any) -> None:
        """Send the message to the worker."""
        self._peer.send(frames.Posted(message))


def main(descriptor: int, parent: int) -> None:
    """Receive a node over the socket, run it, and exit."""
    _exit_with_parent(parent)
    _raise_oom_score()
    connection = socket.socket(fileno=descriptor)
    peer = _Peer(connection)
    log = NodeLog("", lambda _, level, line: peer.send(frames.Logged(level, line)))
    capture_all(log)
    sys.path[:] = json.loads(frames.receive(connection))
    try:
        call: frames.Call = frames.unpack(frames.receive(connection))
        logging.getLogger().setLevel(call.log_level)
        _limit_memory(call.memory_bytes)
        asyncio.run(_run(call, peer))
        last: frames.Frame = frames.Ended()
    except MemoryError as error:
        last = frames.Failed(_out_of_memory(), short_traceback(error))
    except Exception as error:  # any error of the node belongs to the job
        last = frames.Failed(summary(error), short_traceback(error))
    log.close()
    sys.stdout.flush()
    sys.stderr.flush()
    peer.send(last)
    # Not sys.exit: a thread that the node left running would block it.
    os._exit(0)


async def _run(call: frames.Call, peer: _Peer) -> None:
    async with _ChildContext(peer, **call.context) as context:
        context._core.api.traceparent = call.traceparent
        async for piece in pieces_here(call.node, context):
            await asyncio.to_thread(peer.send, frames.Piece(piece))


def _raise_oom_score() -> None:
    """Let the system kill this process rather than the worker when memory runs out."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # some containers mount /proc read-only
            Path("/proc/self/oom_score_adj").write_text("1000")


def _limit_memory(memory_bytes: int | None) -> None:
    if memory_bytes is not None:
        # RLIMIT_DATA, not RLIMIT_AS: libraries map far more than they use.
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, most))


def _out_of_memory() -> str:
    limit, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))  # the report takes memory, too
    if limit == resource.RLIM_INFINITY:
        return "out of memory"
    return f"out of memory: a node may allocate {limit // MIB} MiB on this worker"


def _exit_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
