"""Decoder functions that crash, hang, or exceed limits, as libraries do with hostile files."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import orjson
import pyarrow as pa

from app.media.decoders.refusals import CannotDecode


def pid(_source: BinaryIO) -> bytes:
    return str(os.getpid()).encode()


def cut(source: BinaryIO, *, start: int, end: int) -> bytes:
    source.seek(start)
    return source.read(end - start)


def refuse(_source: BinaryIO) -> bytes:
    raise CannotDecode("not like this")


def fail(_source: BinaryIO) -> bytes:
    raise RuntimeError("/a/path/of/ours")


def segfault(_source: BinaryIO) -> bytes:
    return ctypes.string_at(0)


def leave(_source: BinaryIO) -> bytes:
    os._exit(0)


def abort(_source: BinaryIO) -> bytes:
    os.abort()


def swallow(_source: BinaryIO, *, count: int) -> bytes:
    return bytes(bytearray(count))


def fill_numpy(_source: BinaryIO, *, count: int) -> bytes:
    return str(np.ones(count, np.uint8).size).encode()


def fill_arrow(_source: BinaryIO, *, count: int) -> bytes:
    pieces = [pa.allocate_buffer(1024 * 1024) for _ in range(count // (1024 * 1024))]
    return str(sum(piece.size for piece in pieces)).encode()


def open_sockets(_source: BinaryIO) -> bytes:
    """Return the results of attempts to open sockets, by direct system calls too."""
    families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK)
    attempts: list[Callable[[], object]] = [socket.socketpair]
    attempts += [partial(socket.socket, family, socket.SOCK_RAW) for family in families]
    attempts += [partial(socket.socket, family, socket.SOCK_STREAM) for family in families[:3]]
    attempts += [partial(socket.create_connection, ("127.0.0.1", 9))]
    results = []
    for attempt in attempts:
        try:
            attempt()
            results.append("opened")
        except PermissionError:
            results.append("refused")
    libc = ctypes.CDLL(None, use_errno=True)
    io_uring_setup = 425
    results.append("opened" if libc.syscall(io_uring_setup, 1, None) >= 0 else "refused")
    return orjson.dumps([*results, errno.errorcode[ctypes.get_errno()]])


def hang(source: BinaryIO) -> bytes:
    """Read a byte, so that the test sees the start, and never return."""
    source.read(1)
    while True:
        time.sleep(1)


def write(_source: BinaryIO, *, path: str) -> bytes:
    Path(path).write_bytes(b"x" * 100_000)
    return b""


def environment(_source: BinaryIO) -> bytes:
    return orjson.dumps(dict(os.environ))


def chatter(_source: BinaryIO) -> bytes:
    print("x" * 1_000_000)  # noqa: T201
    os.write(1, b"y")
    os.write(2, b"z")
    return b"done"
