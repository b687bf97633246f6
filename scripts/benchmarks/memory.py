"""Benchmark of the memory that transferring 1 GiB takes, in the client and in the service."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from app.settings import MIB
from scripts.benchmarks.large import write_random
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row

SIZE = 1024 * MIB
GOAL = "64 MiB"

_CLIENT = """
import asyncio, sys
from pathlib import Path
from processing_context import ProcessingContext

def kib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))

async def there_and_back(ctx, content):
    asset = await ctx.create_asset("benchmark", "a/b", content)
    (await ctx.download_asset(asset.id)).close()
    await ctx.delete_asset(asset.id)

async def main():
    async with ProcessingContext() as ctx:
        await there_and_back(ctx, b"x")
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak
        before = kib("VmRSS")
        await there_and_back(ctx, sys.argv[1])
        print((kib("VmHWM") - before) * 1024)

asyncio.run(main())
"""


async def rows(stack: Stack, _: int) -> list[Row]:
    """Measure each once."""
    url, token = stack.url, stack.token
    with tempfile.TemporaryDirectory(prefix="context-bench-") as folder:
        path = Path(folder) / "1 GiB"
        write_random(path, SIZE)
        return [
            _row("client, 1 GiB up and down", await asyncio.to_thread(_client, url, token, path)),
            _row(
                "service, 1 GiB up and down through it",
                await asyncio.to_thread(
                    _growth, stack.pid, lambda: _through_the_service(url, token, path)
                ),
            ),
        ]


def _row(name: str, growth: int) -> Row:
    return Row(
        f"memory growth of the {name} / {GOAL}",
        f"{growth / MIB:.1f} MiB",
        GOAL,
        f"{growth / (64 * MIB):.2f}",
    )


def _client(url: str, token: str, path: Path) -> int:
    env = {**os.environ, "CONTEXT_URL": url, "CONTEXT_TOKEN": token}
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, str(path)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def _growth(pid: int, work: Callable[[], None]) -> int:
    """Return the difference between the peak and the initial memory of a process (Linux)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # reset the peak
    before = _status_bytes(pid, "VmRSS")
    work()
    return _status_bytes(pid, "VmHWM") - before


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/status has no {name}")


def _through_the_service(url: str, token: str, path: Path) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, blocksize=MIB)
    headers = {"Authorization": f"Bearer {token}"}
    head = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="benchmark"\r\n'
        b"Content-Type: a/b\r\n\r\n"
    )
    tail = b"\r\n--x--\r\n"
    connection.putrequest("POST", "/v1/assets")
    connection.putheader("Authorization", headers["Authorization"])
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(len(head) + SIZE + len(tail)))
    connection.endheaders(head)
    with path.open("rb") as file:
        connection.send(file)
    connection.send(tail)
    reply = connection.getresponse()
    asset = json.loads(reply.read())
    if reply.status != http.client.CREATED:
        raise RuntimeError(f"the service replied with status {reply.status}")
    asset_path = f"/v1/assets/{asset['id']}"
    connection.request("GET", f"{asset_path}/content", headers=headers)
    reply = connection.getresponse()
    block = memoryview(bytearray(MIB))
    size = 0
    while got := reply.readinto(block):
        size += got
    if size != SIZE:
        raise RuntimeError(f"the service returned {size} bytes instead of {SIZE}")
    connection.request("DELETE", asset_path, headers=headers)
    connection.getresponse().read()
