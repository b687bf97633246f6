"""Fixture of the misbehaving server, whose name in tests is `files.example`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.misbehaving_server import Trickster, listening


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Trickster]:
    async with listening() as trickster:
        trickster.names["files.example"] = [["127.0.0.1"]]
        yield trickster
