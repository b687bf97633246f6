"""aiohttp and the S3 server alone, in a process of its own: the limit of small files.

Reads rounds as lines of JSON, `{"method", "urls", "at_once", "seconds", "size"}`, and answers each
with the requests a second.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp


class BareProcess:
    """The process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def rate(self, **asked: Any) -> float:
        """Run a round."""
        streams = self._process.stdin, self._process.stdout
        if streams[0] is None or streams[1] is None:
            raise RuntimeError("the process has no pipes")
        streams[0].write(json.dumps(asked).encode() + b"\n")
        return float(await streams[1].readline())


@asynccontextmanager
async def bare_process() -> AsyncIterator[BareProcess]:
    """Run the process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "scripts.benchmarks.bare_aiohttp",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield BareProcess(process)
    finally:
        process.terminate()
        await process.wait()


async def _rate(session: aiohttp.ClientSession, asked: dict[str, Any], content: bytes) -> float:
    is_put = asked["method"] == "PUT"
    urls = iter(asked["urls"]) if is_put else itertools.cycle(asked["urls"])
    begun = time.perf_counter()
    done = 0

    async def repeat() -> None:
        nonlocal done
        while time.perf_counter() - begun < asked["seconds"]:
            body = content if is_put else None
            async with session.request(asked["method"], next(urls), data=body) as reply:
                reply.raise_for_status()
                if len(await reply.read()) != (0 if is_put else asked["size"]):
                    raise RuntimeError("the S3 server gave another size")
            done += 1

    await asyncio.gather(*(repeat() for _ in range(asked["at_once"])))
    return done / (time.perf_counter() - begun)


async def _serve() -> None:
    async with aiohttp.ClientSession() as session:
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            print(await _rate(session, asked, os.urandom(asked["size"])), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
