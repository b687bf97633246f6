"""Baseline of small files: aiohttp requests to the S3 server, from a separate process.

The process reads one JSON object per line, `{"method", "urls", "at_once", "seconds", "size"}`, runs
the round, and prints the requests per second.
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
    """Handle of the process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def rate(self, **options: Any) -> float:
        """Run a round; return the requests per second."""
        streams = self._process.stdin, self._process.stdout
        if streams[0] is None or streams[1] is None:
            raise RuntimeError("the process has no pipes")
        streams[0].write(json.dumps(options).encode() + b"\n")
        return float(await streams[1].readline())


@asynccontextmanager
async def bare_process() -> AsyncIterator[BareProcess]:
    """Start the process, and stop it at the end."""
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


async def _rate(session: aiohttp.ClientSession, options: dict[str, Any], content: bytes) -> float:
    is_put = options["method"] == "PUT"
    urls = iter(options["urls"]) if is_put else itertools.cycle(options["urls"])
    started = time.perf_counter()
    done = 0

    async def repeat() -> None:
        nonlocal done
        while time.perf_counter() - started < options["seconds"]:
            body = content if is_put else None
            async with session.request(options["method"], next(urls), data=body) as reply:
                reply.raise_for_status()
                size = len(await reply.read())
                if size != (0 if is_put else options["size"]):
                    raise RuntimeError(f"the S3 server returned a body of {size} bytes")
            done += 1

    await asyncio.gather(*(repeat() for _ in range(options["at_once"])))
    return done / (time.perf_counter() - started)


async def _serve() -> None:
    async with aiohttp.ClientSession() as session:
        while line := await asyncio.to_thread(sys.stdin.readline):
            options = json.loads(line)
            print(await _rate(session, options, os.urandom(options["size"])), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
