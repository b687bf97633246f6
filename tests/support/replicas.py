"""Replicas of the service as processes that can be killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx

from app.settings import Settings
from tests.support.processes import ROOT, environment
from tests.support.proxies import lasting_port

READY_S = 300.0


class Replica:
    """One replica, on the same port in each of its lives. Its token is `tests.processes.TOKEN`.

    Args:
        settings: Those that all replicas share.
        data_dir: Its own.
        changes: What its environment has besides.
    """

    def __init__(
        self, settings: Settings, data_dir: Path, changes: Mapping[str, str] | None = None
    ) -> None:
        self.port = lasting_port()
        own = {"port": self.port, "data_dir": data_dir, "local_worker_slots": 0}
        self._env = environment(settings, **own) | dict(changes or {})
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it; return once it does its work."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "serve"), env=self._env, cwd=ROOT
        )
        async with asyncio.timeout(READY_S), httpx.AsyncClient() as http:
            while not await self._is_ready(http):
                assert self._process.returncode is None, "it ended before it was ready"
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return (await http.get(f"{self.url}/readyz")).is_success
        return False
