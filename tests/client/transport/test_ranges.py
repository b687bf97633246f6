"""Tests of large downloads in ranges, against a server on loopback."""

from __future__ import annotations

import hashlib
import io
import os
import re
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import processing_context as pc
from processing_context._transport import ranges as ranges_module
from processing_context._transport import retry
from processing_context._transport.bulk import Bulk
from processing_context._transport.parallel import AT_ONCE
from processing_context._transport.ranges import Changed, fetch, on_disk
from tests.support.loopback import Answer, Asked, Loopback
from tests.support.services import WAIT_S

BODY = os.urandom(3 * 1024 * 1024 + 17)
SHA256 = hashlib.sha256(BODY).hexdigest()
ETAG = '"v1"'
SEGMENT = 700_000
SPANS = [(start, min(start + SEGMENT, len(BODY))) for start in range(0, len(BODY), SEGMENT)]


@pytest.fixture(autouse=True)
def _small_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_S", 0.01)
    monkeypatch.setattr(ranges_module, "SEGMENT_BYTES", SEGMENT)


@pytest.fixture
def transport() -> Iterator[Bulk]:
    made = Bulk(timeout_s=WAIT_S, retries=4, make_ssl_context=ssl.create_default_context)
    yield made
    made.close()


@pytest.fixture
def file() -> Iterator[io.FileIO]:
    with on_disk() as made:
        yield made


def ranges(
    *,
    cut: Callable[[int], int | None] = lambda _: None,
    etag: Callable[[int], str] = lambda _: ETAG,
) -> Callable[[Asked], Answer]:
    """Serve ranges of BODY; `cut` and `etag` are keyed by the start of the range.

    Several threads send requests, in any order.
    """

    def answer(asked: Asked) -> Answer:
        start, end = span_of(asked)
        tag = etag(start)
        if asked.headers.get("if-range", tag) != tag:
            return Answer(200, BODY, {"ETag": tag})
        span = f"bytes {start}-{end - 1}/{len(BODY)}"
        return Answer(206, BODY[start:end], {"Content-Range": span, "ETag": tag}, cut(start))

    return answer


def span_of(asked: Asked) -> tuple[int, int]:
    """Return the start and the end of the requested range."""
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers["range"])
    assert found
    return int(found[1]), int(found[2]) + 1


async def never() -> str:
    raise AssertionError("no fresh URL was needed")


async def load(transport: Bulk, url: str, file: io.FileIO, **changes: Any) -> None:
    options = {"sha256": SHA256, "renew": never, "progress": None, **changes}
    await fetch(transport, url, file, len(BODY), **options)


def content(file: io.FileIO) -> bytes:
    file.seek(0)
    return file.readall() or b""


async def test_the_ranges_make_the_file(transport: Bulk, file: io.FileIO) -> None:
    told: list[tuple[int, int]] = []
    with Loopback(ranges()) as server:
        await load(transport, server.url, file, progress=lambda *both: told.append(both))
    assert content(file) == BODY
    assert told[-1] == (len(BODY), len(BODY))
    assert sorted(map(span_of, server.asked)) == SPANS
    assert server.connections <= AT_ONCE


async def test_a_dropped_range_goes_on_where_it_dropped(transport: Bulk, file: io.FileIO) -> None:
    cuts = {0: 100_000, 1_400_000: 0, 2_100_000: 650_000}
    with Loopback(ranges(cut=lambda start: cuts.pop(start, None))) as server:
        await load(transport, server.url, file)
    assert content(file) == BODY
    rests = [(100_000, 700_000), (1_400_000, 2_100_000), (2_750_000, 2_800_000)]
    assert sorted(map(span_of, server.asked)) == sorted(SPANS + rests)


async def test_bytes_of_two_versions_are_never_mixed(transport: Bulk, file: io.FileIO) -> None:
    etags = ranges(etag=lambda start: '"v1"' if start < 2_100_000 else '"v2"')
    with Loopback(etags) as server, pytest.raises(Changed):
        await load(transport, server.url, file, sha256=None)


async def test_without_an_etag_no_ranges_are_put_together(transport: Bulk, file: io.FileIO) -> None:
    with Loopback(ranges(etag=lambda _: 'W/"weak"')) as server, pytest.raises(Changed):
        await load(transport, server.url, file)


async def test_a_wrong_hash_is_an_error(transport: Bulk, file: io.FileIO) -> None:
    with Loopback(ranges()) as server, pytest.raises(pc.ContextError, match="SHA-256"):
        await load(transport, server.url, file, sha256="0" * 64)


async def test_a_url_that_runs_out_is_renewed_once_for_all(
    transport: Bulk, file: io.FileIO
) -> None:
    served = ranges()
    renewed = 0

    def answer(asked: Asked) -> Answer:
        if asked.path == "/old" and span_of(asked)[0] >= 1_400_000:
            return Answer(403)
        return served(asked)

    async def renew() -> str:
        nonlocal renewed
        renewed += 1
        return f"{server.url}/new"

    with Loopback(answer) as server:
        await load(transport, f"{server.url}/old", file, renew=renew)
    assert content(file) == BODY
    assert 1 <= renewed <= AT_ONCE


async def test_what_progress_raises_ends_all_ranges(transport: Bulk, file: io.FileIO) -> None:
    def progress(*_: int) -> None:
        raise KeyError("mine")

    with Loopback(ranges()) as server, pytest.raises(KeyError, match="mine"):
        await load(transport, server.url, file, progress=progress)
    assert len(server.asked) <= AT_ONCE
