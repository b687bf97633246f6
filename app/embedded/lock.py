"""One stack to a data dir.

Two files: `lock` is held by the stack's own process; `servers.lock` is inherited by its servers, so
that it is free only when the last of them has gone. That tells a running stack from the dying
servers of a killed one without trust in a process id.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.embedded.errors import StackError

LEFTOVERS_S = 60.0  # PostgreSQL ends with a checkpoint


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def in_use(data_dir: Path) -> bool:
    """Whether a stack runs in this data dir."""
    if not (data_dir / "lock").exists():
        return False
    with _opened(data_dir / "lock") as fd:
        return not _try_lock(fd)


@contextmanager
def data_dir_lock(data_dir: Path) -> Iterator[int]:
    """Hold the data dir; give the descriptor that the servers are to inherit.

    Raises:
        StackError: Another stack runs there, or the servers of a killed one do not end within 10 s.
    """
    with _opened(data_dir / "lock") as own, _opened(data_dir / "servers.lock") as servers:
        if not _try_lock(own):
            pid = os.pread(own, 32, 0).decode(errors="replace").strip()
            raise StackError(
                f"the data dir {data_dir} is in use by process {pid or '(starting)'}: "
                "stop it, or set CONTEXT_DATA_DIR to another folder"
            )
        os.ftruncate(own, 0)
        os.pwrite(own, f"{os.getpid()}\n".encode(), 0)
        _wait_for_leftovers(servers, data_dir)
        yield servers


def _wait_for_leftovers(fd: int, data_dir: Path) -> None:
    deadline = time.monotonic() + LEFTOVERS_S
    while not _try_lock(fd):
        if time.monotonic() > deadline:
            raise StackError(
                f"servers of an earlier stack still run in {data_dir} {LEFTOVERS_S:g} s after it "
                f"died (fuser {data_dir / 'servers.lock'} lists them): end them and start again"
            )
        time.sleep(0.05)
