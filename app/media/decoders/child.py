"""Main program of a decoder process, which reads tasks from stdin and writes results to stdout.

The process has no secrets in its environment, cannot write files or open sockets, has limited
memory, and is killed when the service ends.
"""

from __future__ import annotations

import ctypes
import io
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from app.media.decoders import syscall_filter
from app.media.decoders.protocol import HEAD, RANGE, Kind, frame
from app.media.decoders.refusals import Refusal, TooMuch

BLOCK_BYTES = 256 * 1024
ADDRESS_SPACE_BYTES = 1024 * 1024 * 1024
"""Address space beyond the memory limit, for the code of libraries: numpy, pyarrow, pandas and PyAV
together map some 400 MiB, and allocators reserve more than they use."""
_PR_SET_PDEATHSIG = 1


class Channel:
    """Connection to the service, which sends and receives frames."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._in = incoming
        self._out = outgoing

    def send(self, kind: Kind, payload: bytes) -> None:
        """Send a frame."""
        self._out.write(frame(kind, payload))
        self._out.flush()

    def receive(self) -> bytes:
        """Return the payload of the next frame.

        Raises:
            EOFError: The service has closed the connection.
        """
        _, length = HEAD.unpack(self._exactly(HEAD.size))
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = self._in.read(count)
        if len(data) < count:
            raise EOFError
        return data


class RemoteFile(io.RawIOBase):
    """Source of a task as a readable and seekable binary file."""

    def __init__(self, channel: Channel, size: int) -> None:
        self._channel = channel
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, and return it.

        Raises:
            ValueError: The position is negative.
        """
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"negative seek position {start + offset}")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read bytes at the position into a buffer; return their number."""
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        self._channel.send(Kind.READ, RANGE.pack(self._position, end))
        data = self._channel.receive()
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def main(parent_id: int, memory_bytes: int) -> None:
    """Process tasks until the service closes the connection.

    Args:
        parent_id: The process id of the service.
        memory_bytes: The limit for memory.
    """
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("r+b") as null:
        for number in (0, 1, 2):
            os.dup2(null.fileno(), number)
    _confine(memory_bytes)
    if os.getppid() != parent_id:
        return
    channel = Channel(incoming, outgoing)
    while True:
        try:
            task = orjson.loads(channel.receive())
        except EOFError:
            return
        _process(channel, task)


def _confine(memory_bytes: int) -> None:
    prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # If memory runs out, the kernel kills decoders before the service.
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.nice(5)
    limits = {
        # Private writable memory, which all allocators use; shared memory only counts below.
        resource.RLIMIT_DATA: memory_bytes,
        resource.RLIMIT_AS: memory_bytes + ADDRESS_SPACE_BYTES,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    if syscall_filter.is_supported():
        syscall_filter.install()


def _process(channel: Channel, task: dict[str, Any]) -> None:
    source = io.BufferedReader(RemoteFile(channel, task["size"]), BLOCK_BYTES)
    try:
        result = _function(task["function"])(source, **task["options"])
    except EOFError:
        raise
    except Refusal as exc:
        _refuse(channel, exc)
    except MemoryError:
        _refuse(channel, TooMuch("Decoding the file needs more memory than the limit."))
    except Exception:
        channel.send(Kind.FAILED, traceback.format_exc().encode(errors="replace"))
    else:
        channel.send(Kind.RESULT, result)


def _refuse(channel: Channel, refusal: Refusal) -> None:
    channel.send(Kind.REFUSED, orjson.dumps({"code": refusal.code, "detail": str(refusal)}))


def _function(path: str) -> Callable[..., bytes]:
    module, _, name = path.partition(":")
    function: Callable[..., bytes] = getattr(import_module(module), name)
    return function


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
