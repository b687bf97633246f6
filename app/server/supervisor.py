"""Supervision of the API, the local worker and the embedded servers."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from typing import Any

from app.application import create_app
from app.embedded.process import Child
from app.embedded.stack import Stack
from app.embedded.supervision import keep_running
from app.runtime.errors import CommandError
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown
from app.server.listen import local_url
from app.server.local_worker import local_worker
from app.server.summary import summary
from app.server.uvicorn_server import Server
from app.users.bootstrap import StartTokens, set_up
from app.users.configured_tokens import ConfiguredToken


class Supervisor:
    """Runs the API and the local worker of a stack, and stops them without losing work.

    Args:
        stack: The running stack.
        listener: The bound socket of the API.
    """

    def __init__(self, stack: Stack, listener: socket.socket) -> None:
        self._stack = stack
        self._settings = stack.settings
        self._listener = listener
        self._app = create_app(stack.settings)
        self._server = Server(self._app, stack.settings)
        self._stop_requested = asyncio.Event()
        self._must_hurry = asyncio.Event()
        self._worker: Child | None = None

    async def run(self) -> None:
        """Run until a signal is received or a part fails permanently.

        Raises:
            CommandError: A part has failed permanently.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        tokens = await set_up(self._settings)
        api = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        watches: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._stop_requested.wait())]
        watches += map(asyncio.ensure_future, self._stack.watches())
        try:
            await self._wait_until_started(api)
            if self._settings.local_worker_slots and tokens.worker:
                watches.append(asyncio.ensure_future(self._start_worker(tokens.worker)))
            self._print_summary(tokens)
            done, _ = await asyncio.wait([api, *watches], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in watches:
                task.cancel()
            await self._stop(api)

    def _on_signal(self) -> None:
        if self._stop_requested.is_set():
            self._must_hurry.set()
            self._server.force_exit = True
        self._stop_requested.set()

    async def _wait_until_started(self, api: asyncio.Task[None]) -> None:
        while not self._server.started:
            if api.done():
                raise CommandError("the API did not start: see the log above") from api.exception()
            await asyncio.sleep(0.01)

    def _start_worker(self, token: ConfiguredToken) -> Coroutine[None, None, None]:
        """Start the local worker; return the coroutine that restarts it when it exits."""
        self._worker = local_worker(local_url(self._listener), token.secret, self._settings)
        self._worker.start()
        return keep_running(self._worker, lambda: True, tries=None)

    async def _stop(self, api: asyncio.Task[None]) -> None:
        """Begin the shutdown, wait for the worker to release its leases, then stop the API."""
        services: Services = self._app.state.services
        services.get(Shutdown).begin()
        if self._worker is not None:
            self._worker.ask_to_stop()
            await self._wait_for_worker(self._worker)
            self._worker.kill()
        self._server.should_exit = True
        await api

    async def _wait_for_worker(self, worker: Child) -> None:
        deadline = time.monotonic() + worker.command.stop_s
        while worker.exit_code is None and time.monotonic() < deadline:
            if self._must_hurry.is_set():
                return
            await asyncio.sleep(0.02)

    def _print_summary(self, tokens: StartTokens) -> None:
        rows = summary(
            self._stack, tokens, local_url(self._listener), has_worker=bool(self._worker)
        )
        lines = [f"  {name:<12}{value}" for name, value in rows.items()]
        block = ["", "Processing Context is running; Ctrl-C stops it.", "", *lines, "", ""]
        sys.stdout.write("\n".join(block))
        sys.stdout.flush()
