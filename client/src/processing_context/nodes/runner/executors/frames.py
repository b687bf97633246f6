"""Protocol between a worker and the process of a node: pickled frames with a length prefix.

The frames cross a socket pair that no other process holds, and both ends run the same node code; no
data from outside is unpickled.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Any

from processing_context.nodes.runner.node_log import Level

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Call:
    """A node to run, and the arguments of its context."""

    node: Any
    context: dict[str, Any]
    traceparent: str | None = None
    memory_bytes: int | None = None
    log_level: int = logging.INFO


@dataclass(frozen=True, slots=True)
class Piece:
    """A value that the node returned or yielded."""

    value: Any


@dataclass(frozen=True, slots=True)
class Posted:
    """A message for the job's queue."""

    message: Any


@dataclass(frozen=True, slots=True)
class Logged:
    """A line that the node printed or logged."""

    level: Level
    line: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The node raised an error."""

    message: str
    logs: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The node has ended."""


Frame = Piece | Posted | Logged | Failed | Ended


def pack(frame: Any) -> bytes:
    """Return a frame as bytes.

    Raises:
        TypeError: The frame contains a value that cannot be pickled.
    """
    try:
        return pickle.dumps(frame, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"cannot be passed between processes: {error}") from error


def unpack(content: bytes) -> Any:
    """Return a frame from its bytes."""
    return pickle.loads(content)  # noqa: S301  # from the own child or parent


def send(peer: socket.socket, content: bytes) -> None:
    """Send a frame; blocks."""
    peer.sendall(_LENGTH.pack(len(content)))
    peer.sendall(content)


def receive(peer: socket.socket) -> bytes:
    """Return the next frame; blocks.

    Raises:
        EOFError: The other end is closed.
    """
    return _read(peer, _LENGTH.unpack(_read(peer, _LENGTH.size))[0])


async def write(writer: asyncio.StreamWriter, content: bytes) -> None:
    """Send a frame on the event loop."""
    writer.write(_LENGTH.pack(len(content)))
    writer.write(content)
    await writer.drain()


async def read(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame on the event loop.

    Raises:
        asyncio.IncompleteReadError: The other end is closed.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length)


def _read(peer: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        part = peer.recv(min(length - len(content), 1 << 20))
        if not part:
            raise EOFError
        content += part
    return bytes(content)
