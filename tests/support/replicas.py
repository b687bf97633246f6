"""Replicas of the service in processes that can be killed and restarted."""

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
    """One replica, which keeps its port over restarts; its token is `processes.TOKEN`.

    Args:
        settings: The common settings of all replicas.
        data_dir: The data directory of this replica.
        changes: Additional environment variables.
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
        """The URL of the replica."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start the process, and wait until it is ready."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "serve"), env=self._env, cwd=ROOT
        )
        async with asyncio.timeout(READY_S), httpx.AsyncClient() as http:
            while not await self._is_ready(http):
                assert self._process.returncode is None, "it ended before it was ready"
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """Kill the process."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return (await http.get(f"{self.url}/readyz")).is_success
        return False
