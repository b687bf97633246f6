"""Test of a service whose PostgreSQL has no disk space left."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.database import migrate
from app.embedded.stack import running_stack
from app.settings import Settings
from tests.support.services import Service, eventually

DISK = "size=160m,mode=755"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which the test can fill."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a file system")
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", path], check=False)
    if mounted.returncode != 0:
        pytest.skip("this container cannot mount a file system")
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def fill(disk: Path) -> Path:
    """Write a file until the disk is full; return the file."""
    path = disk / "filler"
    try:
        with path.open("wb", buffering=0) as file:
            while file.write(bytes(65536)):
                continue
    except OSError:
        return path
    raise AssertionError("the disk did not fill")


async def test_a_full_disk_is_503_until_there_is_space_again(
    small_disk: Path, start_service: Callable[..., Service]
) -> None:
    with running_stack(Settings(data_dir=small_disk / "data"), storage=False) as database:
        await asyncio.to_thread(migrate.upgrade, database.database_url)
        service = start_service(database_url=database.database_url)
        async with service.client() as http:
            workflow = {"name": "w", "graph": {"nodes": [], "note": secrets.token_hex(500_000)}}
            assert (await http.get("/readyz")).status_code == httpx.codes.OK
            filler = fill(small_disk)

            refused = await http.post("/v1/workflows", json=workflow)
            assert (refused.status_code, refused.json()["code"]) == (503, "database_full")
            assert int(refused.headers["retry-after"]) > 0
            assert "filler" not in refused.text
            assert "base/" not in refused.text
            ready = await http.get("/readyz")
            assert ready.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert "no disk space" in ready.json()["detail"]
            assert "retry-after" in ready.headers
            assert (await http.get("/v1/workflows")).status_code == httpx.codes.OK

            filler.unlink()

            async def is_ready() -> bool:
                return (await http.get("/readyz")).status_code == httpx.codes.OK

            await eventually(is_ready)
            assert (await http.post("/v1/workflows", json=workflow)).status_code == 201
        service.stop()
