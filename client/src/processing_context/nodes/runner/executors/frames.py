"""How a worker and the process of a node talk: frames with their length before them.

The frames are pickled. They cross a socket pair that nobody else holds, and both ends run the same
node code; nothing from outside is ever unpickled.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Any

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Call:
    """What the child runs: a node, and how to make the context that it gets."""

    node: Any
    context: dict[str, Any]
    traceparent: str | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Something that the node gave."""

    value: Any


@dataclass(frozen=True, slots=True)
class Posted:
    """A message for the job's queue."""

    message: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The node raised."""

    message: str
    logs: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The node is done."""


Frame = Piece | Posted | Failed | Ended


def pack(frame: Any) -> bytes:
    """Return a frame as bytes.

    Raises:
        TypeError: It holds something that cannot go to another process.
    """
    try:
        return pickle.dumps(frame, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"cannot be passed between processes: {error}") from error


def unpack(content: bytes) -> Any:
    """Return what `pack` was given."""
    return pickle.loads(content)  # noqa: S301  # from our own child or parent, see above


def send(peer: socket.socket, content: bytes) -> None:
    """Send a frame, waiting for room."""
    peer.sendall(_LENGTH.pack(len(content)))
    peer.sendall(content)


def receive(peer: socket.socket) -> bytes:
    """Return the next frame.

    Raises:
        EOFError: The other end is gone.
    """
    return _read(peer, _LENGTH.unpack(_read(peer, _LENGTH.size))[0])


async def write(writer: asyncio.StreamWriter, content: bytes) -> None:
    """Send a frame from a loop."""
    writer.write(_LENGTH.pack(len(content)))
    writer.write(content)
    await writer.drain()


async def read(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame on a loop.

    Raises:
        asyncio.IncompleteReadError: The other end is gone.
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
