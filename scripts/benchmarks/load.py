"""Load generator that repeats one request over a few connections with little CPU time."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

from tests.support.processes import cpu_s

CONNECTIONS = 8
ROUND_S = 1.0


async def _requests(host: str, port: int, request: bytes, until: float) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    done = 0
    try:
        while time.perf_counter() < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
                raise RuntimeError(f"unexpected response: {head[:200]!r}")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            done += 1
    finally:
        writer.close()
        await writer.wait_closed()
    return done


async def cpu_per_request(url: str, pid: int, token: str = "", *, body: bytes = b"") -> float:
    """Return the CPU seconds of a server per request: a GET, or a POST if there is a body."""
    parts = urlsplit(url)
    request = (
        f"{'POST' if body else 'GET'} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {token}\r\n"
    )
    if body:
        request += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    before = cpu_s(pid)
    until = time.perf_counter() + ROUND_S
    counts = await asyncio.gather(
        *(
            _requests(
                parts.hostname or "", parts.port or 80, f"{request}\r\n".encode() + body, until
            )
            for _ in range(CONNECTIONS)
        )
    )
    return (cpu_s(pid) - before) / sum(counts)
