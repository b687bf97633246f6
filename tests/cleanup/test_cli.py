"""Tests of the commands `sweep` and `users quota`."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from app.runtime.ids import new_id
from app.storage import Storage
from tests.support.assets import keys
from tests.support.processes import ROOT, environment
from tests.support.services import Service, User


async def run(service: Service, *arguments: str, **changes: object) -> tuple[int, str, str]:
    """Run a command beside the service; return its exit code, output and errors."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", *arguments],
        env=environment(service.settings, **changes),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


async def test_the_command_sweep_prints_counts(service: Service) -> None:
    key = f"{new_id()}/{new_id()}"
    async with Storage(service.settings).assets.upload(key, "user") as upload:
        await upload.write(b"stray")
    for arguments, head, left in (
        (("--dry-run",), "would be removed or corrected", {key}),
        ((), "removed or corrected", set[str]()),
    ):
        code, said, _ = await run(service, "sweep", *arguments, sweep_grace_s=0)
        assert code == 0
        lines = said.splitlines()
        assert lines[0] == head
        assert "1  objects of assets without a row" in lines
        assert "0  deleted users" in lines
        assert await keys(service) == left


async def test_a_sweep_without_storage_fails_with_a_message(service: Service) -> None:
    code, said, errors = await run(service, "sweep", s3_endpoint="http://127.0.0.1:9")
    assert code == 1
    assert "deleted users" in said
    assert "storage cannot be reached" in errors


async def test_a_quota_is_set_and_removed(service: Service, user: User) -> None:
    draft = {"name": "a", "content_type": "a/b", "size": 11}
    for quota, status in (("10", 403), ("none", 201)):
        assert (await run(service, "users", "quota", user.id, quota))[0] == 0
        async with service.client(await service.new_token(user.id)) as http:
            reply = await http.post("/v1/assets/uploads", json=draft)
            assert reply.status_code == status, reply.text


async def test_an_invalid_quota_is_refused(service: Service, user: User) -> None:
    code, _, errors = await run(service, "users", "quota", user.id, "many")
    assert (code, "'many' is not a number of bytes" in errors) == (2, True)
    code, _, errors = await run(service, "users", "quota", (missing := new_id()), "1")
    assert (code, f"User {missing} was not found." in errors) == (1, True)
