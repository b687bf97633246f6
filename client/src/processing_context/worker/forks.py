"""Nodes that fork: see to it that this does not make a second worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import sys
import threading
from pathlib import Path


def end_forks(loop: asyncio.AbstractEventLoop) -> None:
    """End a copy of this process when it comes back to the loop. To be called in its thread.

    What the node does in its copy is its own affair. What the loop shares with the original is not:
    it would write what waits to be written once more, and take the original's sockets off its list.
    """
    here = threading.get_ident()

    def in_copy() -> None:
        if threading.get_ident() == here:  # else the loop has no thread there
            if sys.platform == "linux":
                _take_away_what_is_shared()
            loop.call_soon(os._exit, 1)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_copy)


def _take_away_what_is_shared() -> None:
    """Put something else in the place of each connection and of the loop's list of them."""
    with (
        Path(os.devnull).open("rb+", buffering=0) as nothing,
        contextlib.closing(select.epoll()) as nobody,
    ):
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # a Path costs a stat each
            number = int(name)
            if number in (nothing.fileno(), nobody.fileno()):
                continue
            with contextlib.suppress(OSError):  # that of the listing itself is gone
                kind = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
                if kind == "anon_inode:[eventpoll]":
                    os.dup2(nobody.fileno(), number, inheritable=False)
                elif kind.startswith("socket:") and _is_of_the_network(number):
                    os.dup2(nothing.fileno(), number, inheritable=False)


def _is_of_the_network(number: int) -> bool:
    with socket.socket(fileno=os.dup(number)) as copy:
        return copy.family in (socket.AF_INET, socket.AF_INET6)
