"""Faults around bytes; after each: no row without bytes, no bytes without a row, totals right."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.embedded.stack import reachable_stack
from app.settings import Settings
from app.storage import Storage
from tests.faults.test_uploads import HEAD, TAIL, open_upload
from tests.support.assets import form, make_asset, names, put, s3
from tests.support.processes import TOKEN, environment, running_service, started
from tests.support.services import WAIT_S, Service, User, eventually, free_port
from tests.support.sweeps import assert_nothing_lost_or_stray, let_time_pass, sweep

MIB = 1024 * 1024


def client(port: int) -> httpx.AsyncClient:
    """Return an HTTP client of a service that is a process of its own."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=WAIT_S,
    )


async def stored_bytes(settings: Settings) -> int:
    """Return how much of unfinished uploads storage has, at least."""

    def look() -> int:
        bucket = settings.s3_asset_bucket
        storage = s3(settings)
        total = 0
        for upload in storage._list_multipart_uploads(bucket).uploads:
            found = storage._list_parts(bucket, upload.object_name, str(upload.upload_id))
            total += sum(part.size or 0 for part in found.parts)
        return total

    return await asyncio.to_thread(look)


async def test_the_service_killed_in_the_middle_of_256_mib(
    new_settings: Callable[..., Settings],
) -> None:
    settings = new_settings(port=free_port())

    def send(size: int, *, half: bool = False) -> bytes:
        length = len(HEAD) + size + len(TAIL)
        url = f"http://127.0.0.1:{settings.port}"
        with open_upload(url, TOKEN, "POST", "/v1/assets", length) as connection:
            connection.sendall(HEAD)
            for _ in range(size // MIB // (2 if half else 1)):
                connection.sendall(bytes(MIB))
            connection.sendall(b"" if half else TAIL)
            return connection.recv(100)

    with running_service(settings) as process:
        sending = asyncio.create_task(asyncio.to_thread(send, 256 * MIB, half=True))

        async def has_much() -> bool:
            return await stored_bytes(settings) > 64 * MIB

        await eventually(has_much)
        process.send_signal(signal.SIGKILL)
        process.wait()
        [answer] = await asyncio.gather(sending, return_exceptions=True)
        assert answer == b"" or isinstance(answer, ConnectionError)
    await let_time_pass(settings)
    with running_service(settings):
        async with client(settings.port) as http:
            assert (await http.get("/v1/assets")).json()["assets"] == []

            async def is_cleaned_up() -> bool:
                return await stored_bytes(settings) == 0

            await eventually(is_cleaned_up)
            assert await sweep(settings) == {}
            await assert_nothing_lost_or_stray(settings)
            assert b" 201 " in await asyncio.to_thread(send, 20 * MIB)
    await assert_nothing_lost_or_stray(settings)


def server_of(service: subprocess.Popen[bytes], name: str) -> int:
    """Return the process id of a server that `serve` started."""
    found = subprocess.run(
        ["pgrep", "-P", str(service.pid), "-f", name], capture_output=True, text=True, check=True
    )
    return int(found.stdout.split()[0])


class Load:
    """Uploads and downloads that go on; notes what was acknowledged and every odd answer."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.stored: dict[str, bytes] = {}
        self.reads = 0
        self.odd: list[str] = []

    async def write(self) -> None:
        """Upload small files and large ones."""
        while True:
            content = os.urandom(20_000 if len(self.stored) % 10 else 9 * MIB)
            reply = await self._http.post("/v1/assets", **form(content))
            if reply.status_code == 201:
                self.stored[reply.json()["id"]] = hashlib.sha256(content).digest()
            else:
                await self._refused(reply)

    async def read(self) -> None:
        """Download; a body that breaks off says so."""
        while True:
            for asset_id, digest in list(self.stored.items()) or [("", b"")]:
                try:
                    reply = await self._http.get(f"/v1/assets/{asset_id}/content")
                except (httpx.RemoteProtocolError, httpx.ReadError):
                    continue
                if reply.status_code == 200:
                    self.reads += 1
                    if hashlib.sha256(reply.content).digest() != digest:
                        self.odd.append(f"{asset_id} came back wrong")
                elif asset_id:
                    await self._refused(reply)
                await asyncio.sleep(0)

    async def _refused(self, reply: httpx.Response) -> None:
        if reply.status_code != 503 or "retry-after" not in reply.headers:
            self.odd.append(f"{reply.request.method} {reply.status_code} {reply.text}")
        await asyncio.sleep(0.05)


async def test_the_s3_server_killed_under_uploads_and_downloads(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", port=free_port())
    env = environment(settings, local_worker_slots=0, log_level="ERROR")
    ready_url = f"http://127.0.0.1:{settings.port}/readyz"
    with started("-m", "app", "serve", env=env, ready_url=ready_url) as serve:
        async with client(settings.port) as http:
            load = Load(http)
            tasks = [asyncio.create_task(work()) for work in (load.write, load.read) * 2]

            async def has_read() -> bool:
                return load.reads > 20

            await eventually(has_read)
            os.kill(server_of(serve, "mini"), signal.SIGKILL)
            before, reads = len(load.stored), load.reads

            async def goes_on() -> bool:
                return len(load.stored) > before + 10 and load.reads > reads + 20

            await eventually(goes_on)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert load.odd == []
            for asset_id, digest in load.stored.items():
                got = await http.get(f"/v1/assets/{asset_id}/content")
                assert hashlib.sha256(got.content).digest() == digest
        await after_a_sweep(settings)


async def after_a_sweep(settings: Settings) -> None:
    """Check a stack that runs in the data dir, once a sweep has been through it."""
    with reachable_stack(settings) as found:
        deadline = time.monotonic() + WAIT_S
        while True:
            await let_time_pass(found)
            done = await sweep(found)
            assert "lost objects of assets" not in done
            try:
                await assert_nothing_lost_or_stray(found)
            except AssertionError:
                # Of a caller that went away the service may not have heard yet: then once more.
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(1)
            else:
                return


async def reserved(http: httpx.AsyncClient, content: bytes, **fields: Any) -> dict[str, Any]:
    """Reserve an upload."""
    body = {"name": "a", "content_type": "a/b", "size": len(content), **fields}
    reply = await http.post("/v1/assets/uploads", json=body)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def test_complete_twice_and_at_once_from_two_clients(service: Service, user: User) -> None:
    made = await reserved(user.http, b"bytes")
    path = f"/v1/assets/{made['asset']['id']}/complete"
    async with service.client(user.token) as second:
        early = await asyncio.gather(*(http.post(path) for http in (user.http, second)))
        assert {reply.json()["code"] for reply in early} == {"upload_incomplete"}
        await put(made["upload"]["url"], b"bytes", made["upload"]["headers"])
        replies = await asyncio.gather(*(http.post(path) for http in (user.http, second) * 5))
    assert [reply.status_code for reply in replies] == [200] * 10
    assert len({reply.json()["updated_at"] for reply in replies}) == 1
    again = await put(made["upload"]["url"], b"other", made["upload"]["headers"])
    assert again.status_code == 412
    assert await sweep(service.settings) == {}
    await assert_nothing_lost_or_stray(service.settings)


async def test_a_deletion_during_a_download_cuts_it_off_or_lets_it_end(
    service: Service, user: User
) -> None:
    content = os.urandom(64 * MIB)
    made = await make_asset(user, content)
    got = bytearray()
    cut_off = False
    async with user.http.stream("GET", f"/v1/assets/{made.id}/content") as reply:
        try:
            async for chunk in reply.aiter_raw():
                if not got:
                    assert (await user.http.delete(f"/v1/assets/{made.id}")).status_code == 204
                got += chunk
        except (httpx.RemoteProtocolError, httpx.ReadError):
            cut_off = True
    assert cut_off or len(got) == len(content)
    assert bytes(got) == content[: len(got)]
    assert (await user.http.get(f"/v1/assets/{made.id}/content")).status_code == 404
    assert await sweep(service.settings) == {}
    await assert_nothing_lost_or_stray(service.settings)


async def test_two_uploads_of_one_name_at_once_are_two_assets(service: Service, user: User) -> None:
    contents = [os.urandom(9 * MIB) for _ in range(2)]
    made = await asyncio.gather(
        *(make_asset(user, content, file_name="same.bin") for content in contents)
    )
    assert await names(user) == ["same.bin", "same.bin"]
    for asset, content in zip(made, contents, strict=True):
        assert (await user.http.get(f"/v1/assets/{asset.id}/content")).content == content
    await assert_nothing_lost_or_stray(service.settings)


async def test_a_lying_size_never_becomes_an_asset(service: Service, user: User) -> None:
    made = await reserved(user.http, b"bytes")
    path = f"/v1/assets/{made['asset']['id']}"
    refused = await put(made["upload"]["url"], b"more bytes", made["upload"]["headers"])
    assert refused.status_code == 403
    assert (await user.http.post(f"{path}/complete")).json()["code"] == "upload_incomplete"
    # Whatever way they came: what is there has another size.
    async with Storage(service.settings).assets.upload(
        await key_of(made, service), "user"
    ) as upload:
        await upload.write(b"more bytes")
    assert (await user.http.post(f"{path}/complete")).json()["code"] == "upload_incomplete"
    assert await names(user) == []
    assert (await user.http.delete(f"{path}/upload")).status_code == 204
    assert await sweep(service.settings) == {}
    await assert_nothing_lost_or_stray(service.settings)


async def test_a_lying_sha256_never_becomes_an_asset(service: Service, user: User) -> None:
    sha256 = hashlib.sha256(b"truth").hexdigest()
    made = await reserved(user.http, b"liars", sha256=sha256)
    path = f"/v1/assets/{made['asset']['id']}"
    refused = await put(made["upload"]["url"], b"liars", made["upload"]["headers"])
    assert refused.status_code == 400
    assert (await user.http.post(f"{path}/complete")).json()["code"] == "upload_incomplete"
    async with Storage(service.settings).assets.upload(
        await key_of(made, service), "user"
    ) as upload:
        await upload.write(b"liars")
    assert (await user.http.post(f"{path}/complete")).json()["code"] == "checksum_mismatch"
    assert await names(user) == []
    assert (await user.http.delete(f"{path}/upload")).status_code == 204
    assert await sweep(service.settings) == {}
    await assert_nothing_lost_or_stray(service.settings)


async def key_of(made: dict[str, Any], service: Service) -> str:
    """Return the key of a reserved asset's object."""
    statement = "select id || '/' || version from assets where id = $1"
    key: str = await service.run(service.db.pool.fetchval(statement, made["asset"]["id"]))
    return key


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Callable[[int], None]]:
    """A file system of its own; gives what makes it larger."""
    path.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", path], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk is a tmpfs of its own: mounting one needs root")

    def grow(megabytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", path], check=True)

    try:
        yield grow
    finally:
        subprocess.run(["umount", path], check=True)


async def test_a_full_disk_of_the_storage_refuses_uploads_and_nothing_else(
    tmp_path: Path,
) -> None:
    settings = Settings(data_dir=tmp_path / "data", port=free_port())
    env = environment(settings, local_worker_slots=0, log_level="ERROR")
    ready_url = f"http://127.0.0.1:{settings.port}/readyz"
    with (
        small_disk(settings.data_dir / "s3", 64) as grow,
        started("-m", "app", "serve", env=env, ready_url=ready_url),
    ):
        async with client(settings.port) as http:
            stored: dict[str, bytes] = {}
            async with asyncio.timeout(WAIT_S):
                while True:
                    content = os.urandom(7 * MIB)
                    reply = await http.post("/v1/assets", **form(content))
                    if reply.status_code == 201:
                        stored[reply.json()["id"]] = content
                    elif len(stored) > 1:
                        break
                    else:  # the disk is empty as yet: on a busy machine storage is late to begin
                        await asyncio.sleep(1)
            assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
            assert int(reply.headers["retry-after"]) > 0
            assert len(stored) < 12
            for asset_id, content in stored.items():
                assert (await http.get(f"/v1/assets/{asset_id}/content")).content == content
            listed = (await http.get("/v1/assets")).json()["assets"]
            assert {asset["id"] for asset in listed} == set(stored)
            grow(300)

            async def takes_bytes() -> bool:
                return (await http.post("/v1/assets", **form(b"x"))).status_code == 201

            await eventually(takes_bytes)
        await after_a_sweep(settings)
