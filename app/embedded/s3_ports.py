"""Ports of the embedded S3 server, which are the same at each start if they are free."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
from pathlib import Path

from app.embedded.weed import GRPC, PARTS, grpc_sockets
from app.runtime.errors import CommandError

# All ports are below 32768, where the kernel's ports for outgoing connections begin.
_BASES = range(10_300, 22_000, 10)


def choose_base(memory: Path) -> tuple[int, socket.socket]:
    """Return the first of ten consecutive free ports, and a socket that reserves them.

    The ports of the last start are preferred. The reservation is for other stacks.
    """
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        remembered = remembered_base(memory)
        if remembered in _BASES and (reservation := _reserve(remembered)):
            return remembered, reservation
    for base in random.sample(_BASES, 50):
        if reservation := _reserve(base):
            memory.write_text(json.dumps({"s3": base}) + "\n")
            return base, reservation
    raise CommandError(
        "the embedded S3 server needs ten consecutive free ports on 127.0.0.1: stop programs that "
        "use ports below 32768"
    )


def remembered_base(memory: Path) -> int:
    """Return the first port of a running server."""
    return int(json.loads(memory.read_text())["s3"])


def _reserve(base: int) -> socket.socket | None:
    """Bind a port that the server does not use, since it binds its own ports a second later."""
    reservation = socket.socket()
    try:
        reservation.bind(("127.0.0.1", base + 1))
    except OSError:
        reservation.close()
        return None
    if _are_free(base):
        return reservation
    reservation.close()
    return None


def _are_free(base: int) -> bool:
    ports = [base + offset + twin for offset in PARTS.values() for twin in (0, GRPC)]
    return all(map(_is_free, ports)) and all(map(_is_replaceable, grpc_sockets(base)))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Like the server: a port with connections in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _is_replaceable(path: Path) -> bool:
    """Return True if the server can create its socket in place of an earlier one of this user."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return True
    return path.is_socket() and status.st_uid == os.geteuid()
