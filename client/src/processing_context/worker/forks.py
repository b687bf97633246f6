"""Protection of the worker against nodes that fork its process."""

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
    """End a forked copy of this process when it returns to the event loop; call it in its thread.

    A node may do as it likes in its copy. The loop, however, shares connections and its epoll list
    with the original: the copy would send buffered data again, and remove sockets of the original
    from the list.
    """
    here = threading.get_ident()

    def in_child() -> None:
        if threading.get_ident() == here:  # in other threads, the copy has no running loop
            if sys.platform == "linux":
                _replace_shared_descriptors()
            loop.call_soon(os._exit, 1)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_child)


def _replace_shared_descriptors() -> None:
    """Replace the network connections and the epoll list of the loop by unused descriptors."""
    with (
        Path(os.devnull).open("rb+", buffering=0) as null,
        contextlib.closing(select.epoll()) as empty,
    ):
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # a Path costs a stat each
            number = int(name)
            if number in (null.fileno(), empty.fileno()):
                continue
            with contextlib.suppress(OSError):  # the descriptor of the listing is closed by now
                kind = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
                if kind == "anon_inode:[eventpoll]":
                    os.dup2(empty.fileno(), number, inheritable=False)
                elif kind.startswith("socket:") and _is_network_socket(number):
                    os.dup2(null.fileno(), number, inheritable=False)


def _is_network_socket(number: int) -> bool:
    with socket.socket(fileno=os.dup(number)) as copy:
        return copy.family in (socket.AF_INET, socket.AF_INET6)
