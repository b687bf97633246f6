"""The API and the local worker: watched over, and stopped in the order that loses nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from app.application import create_app
from app.embedded.errors import StackError
from app.embedded.process import Child
from app.embedded.stack import Stack
from app.embedded.supervision import keep_running
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown
from app.server.listen import local_url
from app.server.local_worker import local_worker
from app.server.uvicorn_server import Server
from app.users.bootstrap import first_user, worker_token


class Service:
    """The API and the local worker of one stack."""

    def __init__(self, stack: Stack, taken: socket.socket) -> None:
        self._stack = stack
        self._settings = stack.settings
        self._socket = taken
        self._app = create_app(stack.settings)
        self._server = Server(self._app, stack.settings)
        self._asked_to_stop = asyncio.Event()
        self._in_a_hurry = asyncio.Event()
        self._worker: Child | None = None

    async def run(self) -> None:
        """Run until a signal, or until one part cannot go on.

        Raises:
            StackError: It cannot go on.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        token_file = await first_user(self._settings)
        api = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        watches: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._asked_to_stop.wait())]
        watches += map(asyncio.ensure_future, self._stack.watches())
        try:
            await self._listening(api)
            if self._settings.local_worker_slots:
                watches.append(asyncio.ensure_future(await self._start_worker()))
            self._announce(token_file)
            done, _ = await asyncio.wait([api, *watches], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in watches:
                task.cancel()
            await self._end(api)

    def _on_signal(self) -> None:
        if self._asked_to_stop.is_set():
            self._in_a_hurry.set()
            self._server.force_exit = True
        self._asked_to_stop.set()

    async def _listening(self, api: asyncio.Task[None]) -> None:
        while not self._server.started:
            if api.done():
                raise StackError("the API did not start; the log says why") from api.exception()
            await asyncio.sleep(0.01)

    async def _start_worker(self) -> Coroutine[None, None, None]:
        """Start it; return what keeps it running."""
        token = await worker_token(self._settings)
        self._worker = local_worker(local_url(self._socket), token, self._settings)
        self._worker.start()
        return keep_running(self._worker, lambda: True, tries=None)

    async def _end(self, api: asyncio.Task[None]) -> None:
        """Tell whoever waits, let the worker give its leases back, then close the API."""
        services: Services = self._app.state.services
        services.get(Shutdown).begin()
        if self._worker is not None:
            self._worker.ask_to_stop()
            await self._until_worker_ends(self._worker)
            self._worker.kill()
        self._server.should_exit = True
        await api

    async def _until_worker_ends(self, worker: Child) -> None:
        deadline = time.monotonic() + worker.command.stop_s
        while worker.exit_code is None and time.monotonic() < deadline:
            if self._in_a_hurry.is_set():
                return
            await asyncio.sleep(0.02)

    def _announce(self, token_file: Path | None) -> None:
        token = str(token_file.absolute()) if token_file else "as in CONTEXT_BOOTSTRAP_TOKEN"
        servers = " and ".join(server.child.command.name for server in self._stack.servers)
        rows = {
            "API": f"{local_url(self._socket)}  (documentation: /docs)",
            "Token": token,
            "Data": f"{self._settings.data_dir}  ({servers})" if servers else None,
            "Worker": f"local, {self._settings.local_worker_slots} slots" if self._worker else None,
        }
        lines = [f"  {name:<8}{value}" for name, value in rows.items() if value]
        block = ["", "Processing Context is running; Ctrl-C stops it.", "", *lines, "", ""]
        sys.stdout.write("\n".join(block))
        sys.stdout.flush()
