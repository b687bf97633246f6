"""Tests of `processing-context upload | download | ls | rm | url` in child processes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.services import WAIT_S, Service, User


class Shell:
    def __init__(self, service: Service, user: User, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "CONTEXT_URL": service.url, "CONTEXT_TOKEN": user.token}

    async def __call__(self, *arguments: str, status: int = 0, **env: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "processing_context.cli.main", *arguments],
            env={**self.env, **env},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr


@pytest.fixture
def shell(service: Service, user: User, tmp_path: Path) -> Shell:
    return Shell(service, user, tmp_path)


async def test_a_file_goes_there_and_back(shell: Shell) -> None:
    (shell.folder / "note.txt").write_text("hello")
    (asset_id, name) = (await shell("upload", "note.txt")).split()
    assert name == "note.txt"
    assert f"{asset_id} " in (listed := await shell("ls"))
    assert listed.split()[-1] == "note.txt"
    described = json.loads(await shell("ls", "--json"))
    assert (described["content_type"], described["size"]) == ("text/plain", 5)
    assert "exists" in await shell("download", asset_id, status=2)
    assert await shell("download", asset_id, "copy.txt") == "copy.txt\n"
    assert (shell.folder / "copy.txt").read_text() == "hello"
    (shell.folder / "note.txt").write_text("mine")
    await shell("download", asset_id, "--skip")
    assert (shell.folder / "note.txt").read_text() == "mine"
    await shell("download", asset_id, "--overwrite")
    assert (shell.folder / "note.txt").read_text() == "hello"
    url = (await shell("url", asset_id, "--expires-in", "60", "--download")).strip()
    async with httpx.AsyncClient(timeout=WAIT_S) as http:
        reply = await http.get(url)
    assert reply.text == "hello"
    assert reply.headers["Content-Disposition"].startswith("attachment")
    await shell("rm", asset_id)
    assert await shell("ls") == ""


async def test_a_folder_goes_there_and_back(shell: Shell) -> None:
    (shell.folder / "top" / "sub").mkdir(parents=True)
    (shell.folder / "top" / "sub" / "x").write_text("x")
    folder_id = (await shell("upload", "top")).split()[0]
    assert (await shell("ls")).rstrip().endswith("top/")
    assert (await shell("ls", folder_id)).rstrip().endswith("sub/")
    assert len((await shell("ls", "-r")).splitlines()) == 3
    assert (await shell("ls", "-r", "-q", "x")).split()[-1] == "x"
    await shell("download", folder_id, "copy")
    assert (shell.folder / "copy" / "sub" / "x").read_text() == "x"
    assert "not empty" in await shell("rm", folder_id, status=1)
    await shell("rm", "-r", folder_id)
    assert await shell("ls", "-r") == ""


async def test_mistakes_are_said_in_one_line(shell: Shell) -> None:
    absent = await shell("download", "0" * 32, status=1)
    assert absent.count("\n") == 1
    assert "was not found" in absent
    assert "absent.txt" in await shell("upload", "absent.txt", status=2)
    assert "CONTEXT_URL" in await shell("ls", status=2, CONTEXT_URL="")
    assert (await shell("ls", status=1, CONTEXT_TOKEN="ctx_wrong")).count("\n") == 1


async def test_names_do_not_reach_the_terminal_as_commands(
    service: Service, shell: Shell, user: User
) -> None:
    """Such names are refused today; assets of earlier releases may have them."""
    made = await user.http.post("/v1/assets", files={"file": ("a", b"x", "text/plain")})
    rename = "update assets set name = $2 where id = $1"
    name = "a\x1b[2J\u202eb\nc"
    await service.run(service.db.pool.execute(rename, made.json()["id"], name))
    listed = await shell("ls")
    assert not {"\x1b", "\u202e"} & set(listed)
    assert len(listed.splitlines()) == 1


async def test_a_reader_that_ends_early_is_no_error(shell: Shell, user: User) -> None:
    for number in range(3):
        await user.http.post("/v1/assets", files={"file": (f"{number}", b"x", "text/plain")})
    command = f"{sys.executable} -m processing_context.cli.main ls | true"
    process = await asyncio.create_subprocess_shell(
        command, env=shell.env, cwd=shell.folder, stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    assert stderr == b""
