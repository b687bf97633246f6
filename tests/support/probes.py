"""Helpers that inspect rows, objects in storage, and processes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import obstore
from obstore.store import S3Store

from app.database.engine import connect_args
from app.settings import Settings
from tests.support.services import WAIT_S


def query(database_url: str, sql: str) -> object:
    """Return the first value of a statement; for use outside of an event loop."""
    return asyncio.run(ask(database_url, sql))


async def ask(database_url: str, sql: str) -> object:
    """Return the first value of a statement."""
    connection = await asyncpg.connect(**connect_args(database_url))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def store(settings: Settings, **changes: str) -> S3Store:
    """Return the asset bucket of a stack."""
    assert settings.s3_endpoint
    assert settings.s3_access_key
    assert settings.s3_secret_key
    given = {
        "endpoint": settings.s3_endpoint,
        "access_key_id": settings.s3_access_key.get_secret_value(),
        "secret_access_key": settings.s3_secret_key.get_secret_value(),
        **changes,
    }
    return S3Store(
        settings.s3_asset_bucket,
        region=settings.s3_region,
        client_options={"allow_http": True},
        config={key: given[key] for key in given},  # type: ignore[arg-type]
    )


def read(bucket: S3Store, key: str) -> bytes:
    """Return the content of an object."""
    return bytes(obstore.get(bucket, key).bytes())


def processes_with(path: Path) -> list[int]:
    """Return the ids of processes that have a file open."""
    return [
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and int(folder.name) != os.getpid() and _holds(folder, path)
    ]


def is_alive(pid: int) -> bool:
    """Return True if a process is running, and not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def open_ports(pid: int) -> list[str]:
    """Return the TCP addresses on which a process listens, as in /proc/net/tcp."""
    inodes = _sockets_of(pid)
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]


def open_sockets(pid: int) -> list[str]:
    """Return the paths of the Unix sockets on which a process listens."""
    inodes = _sockets_of(pid)
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return sorted({row[7] for row in rows if len(row) > 7 and row[6] in inodes and row[5] == "01"})


def _sockets_of(pid: int) -> set[str]:
    names = (str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink())
    return {name.removeprefix("socket:[").removesuffix("]") for name in names}


def _holds(process: Path, path: Path) -> bool:
    try:
        return any(fd.readlink() == path for fd in (process / "fd").iterdir())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def wait_until(condition: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(0.02)
