"""Lock of a data directory, which only one stack can use at a time.

Two files are locked: `lock` by the process of the stack, and `servers.lock` by its servers, which
inherit the descriptor, so that it is released when the last of them exits. The two distinguish a
running stack from servers of a killed one without process ids, which may be reused.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.runtime.errors import CommandError

LEFTOVERS_S = 60.0
"""Time for the servers of a killed stack to exit, since PostgreSQL writes a checkpoint."""


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def open_lock_file(path: Path) -> Iterator[int]:
    """Open a file to lock, and create it if needed; yield the descriptor, which is not locked."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def in_use(data_dir: Path) -> bool:
    """Return True if a stack is running in a data directory."""
    if not (data_dir / "lock").exists():
        return False
    with open_lock_file(data_dir / "lock") as fd:
        return not _try_lock(fd)


@contextmanager
def data_dir_lock(data_dir: Path, *, leftovers_s: float = LEFTOVERS_S) -> Iterator[int]:
    """Lock a data directory; yield the descriptor that the servers must inherit.

    Args:
        data_dir: The data directory.
        leftovers_s: The time for the servers of a killed stack to exit.

    Raises:
        CommandError: Another stack is running there, or servers of a killed one do not exit.
    """
    with (
        open_lock_file(data_dir / "lock") as own,
        open_lock_file(data_dir / "servers.lock") as servers,
    ):
        if not _try_lock(own):
            pid = os.pread(own, 32, 0).decode(errors="replace").strip()
            raise CommandError(
                f"the data dir {data_dir} is in use by process {pid or '(starting)'}: "
                "stop it, or set CONTEXT_DATA_DIR to another folder"
            )
        os.ftruncate(own, 0)
        os.pwrite(own, f"{os.getpid()}\n".encode(), 0)
        _wait_for_leftovers(servers, data_dir, leftovers_s)
        yield servers


def _wait_for_leftovers(fd: int, data_dir: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not _try_lock(fd):
        if time.monotonic() > deadline:
            raise CommandError(
                f"servers of an earlier stack still run in {data_dir} after {timeout_s:g} s "
                f"(fuser {data_dir / 'servers.lock'} lists them): stop them and start again"
            )
        time.sleep(0.05)
