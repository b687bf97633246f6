"""Bytes through the client against `http.client` straight to the S3 server."""

from __future__ import annotations

import asyncio
import http.client
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from minio import Minio

from app.core.ids import new_id
from app.settings import MIB, Settings
from processing_context import ProcessingContext
from scripts.benchmarks.table import Row, in_turn

SMALL = 10 * 1024
LARGE = 64 * MIB
ROUND_S = 1.0


class Bare:
    """The S3 server by `http.client` over one kept connection."""

    def __init__(self, settings: Settings) -> None:
        if not (settings.s3_endpoint and settings.s3_access_key and settings.s3_secret_key):
            raise RuntimeError("the stack has no S3 server")
        parts = urlsplit(settings.s3_endpoint)
        self._minio = Minio(
            parts.netloc,
            access_key=settings.s3_access_key.get_secret_value(),
            secret_key=settings.s3_secret_key.get_secret_value(),
            secure=parts.scheme == "https",
            region=settings.s3_region,
        )
        self._bucket = "benchmark"
        if not self._minio.bucket_exists(self._bucket):
            self._minio.make_bucket(self._bucket)
        self._connection = http.client.HTTPConnection(parts.netloc)

    def put_urls(self, count: int) -> Iterator[str]:
        """Presign PUTs of new keys."""
        urls = [
            self._minio.presigned_put_object(self._bucket, new_id(), timedelta(hours=1))
            for _ in range(count)
        ]
        return iter(urls)

    def get_url(self, content: bytes) -> str:
        """Store an object; presign its GET."""
        key = new_id()
        url = self._minio.presigned_put_object(self._bucket, key, timedelta(hours=1))
        self.put(url, content)
        return self._minio.presigned_get_object(self._bucket, key, timedelta(hours=1))

    def put(self, url: str, content: bytes) -> None:
        """PUT an object."""
        self._ask("PUT", url, content)

    def get(self, url: str, size: int) -> None:
        """GET an object."""
        if len(self._ask("GET", url, None)) != size:
            raise RuntimeError("the S3 server gave another size")

    def _ask(self, method: str, url: str, content: bytes | None) -> bytes:
        parts = urlsplit(url)
        self._connection.request(method, f"{parts.path}?{parts.query}", content)
        reply = self._connection.getresponse()
        body = reply.read()
        if reply.status != http.client.OK:
            raise RuntimeError(f"the S3 server answered {reply.status}")
        return body


async def _rate(step: Callable[[], Awaitable[object]], size: int) -> float:
    """Return bytes a second over a round of at least one step."""
    started = time.perf_counter()
    done = 0
    while (elapsed := time.perf_counter() - started) < ROUND_S or not done:
        await step()
        done += 1
    return done * size / elapsed


def _row(name: str, size: int, figures: tuple[float, float, float]) -> Row:
    ours, limit, ratio = figures
    if size == SMALL:
        return Row(name, f"{ours / size:.0f}/s", f"{limit / size:.0f}/s", f"{ratio:.2f}")
    return Row(name, f"{ours / MIB:.0f} MiB/s", f"{limit / MIB:.0f} MiB/s", f"{ratio:.2f}")


async def rows(ctx: ProcessingContext, settings: Settings, *, rounds: int) -> list[Row]:
    """Measure upload and download of small and large files."""
    bare = Bare(settings)
    found = []
    for label, size in (("10 KiB", SMALL), ("64 MiB", LARGE)):
        content = os.urandom(size)
        found.append(_row(f"upload {label}", size, await _upload(ctx, bare, content, rounds)))
        found.append(_row(f"download {label}", size, await _download(ctx, bare, content, rounds)))
    return found


async def _upload(
    ctx: ProcessingContext, bare: Bare, content: bytes, rounds: int
) -> tuple[float, float, float]:
    size = len(content)
    made: list[str] = []

    async def ours() -> float:
        async def step() -> None:
            asset = await ctx.create_asset("benchmark", "application/octet-stream", content)
            made.append(asset.id)

        return await _rate(step, size)

    async def limit() -> float:
        urls = bare.put_urls(20_000 if size == SMALL else 40)
        return await _rate(lambda: asyncio.to_thread(bare.put, next(urls), content), size)

    figures = await in_turn(ours, limit, rounds=rounds)
    for asset_id in made:
        await ctx.delete_asset(asset_id)
    return figures


async def _download(
    ctx: ProcessingContext, bare: Bare, content: bytes, rounds: int
) -> tuple[float, float, float]:
    size = len(content)
    asset = await ctx.create_asset("benchmark", "application/octet-stream", content)
    url = bare.get_url(content)

    async def step() -> None:
        with await ctx.download_asset(asset.id) as file:
            if len(file.read()) != size:
                raise RuntimeError("the client gave another size")

    async def ours() -> float:
        return await _rate(step, size)

    async def limit() -> float:
        return await _rate(lambda: asyncio.to_thread(bare.get, url, size), size)

    return await in_turn(ours, limit, rounds=rounds)
