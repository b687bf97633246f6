"""Decoder functions that crash, hang, or exceed limits, as libraries do with hostile files."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import BinaryIO

import orjson

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
