"""TCP proxy that switches between targets, and drops, stalls and refuses connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Self

BLOCK = 65536


def lasting_port() -> int:
    """Return a free port that stays free while its server is down.

    It is outside of the range that the kernel uses for outgoing connections.
    """
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    for port in random.SystemRandom().sample(range(10_000, int(limits[0])), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


class Proxy:
    """TCP proxy on the running loop; each connection is forwarded to one of `targets`.

    Attributes:
        targets: Ports, or paths of UNIX sockets; those that refuse a connection are skipped.
        is_refusing: True to close new connections at once.
        hold: A connection stalls forever before the first block with these bytes is forwarded.
        held: Event that is set once a connection has stalled.
    """

    def __init__(self, *targets: int | str, seed: int = 0) -> None:
        self.targets: Sequence[int | str] = targets
        self.is_refusing = False
        self.hold: bytes | None = None
        self.held = asyncio.Event()
        self.port = 0
        self._random = random.Random(seed)
        self._flows = asyncio.Event()
        self._flows.set()
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The URL of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self) -> None:
        """Drop all connections."""
        for writers in self._open.values():
            _abort(writers)

    def cut_one(self) -> None:
        """Drop a random connection."""
        if self._open:
            _abort(self._random.choice(list(self._open.values())))

    def stall(self) -> None:
        """Delay all data until `flow` is called."""
        self._flows.clear()

    def flow(self) -> None:
        """Forward data again."""
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = [writer]
        try:
            await self._forward(reader, writer, self._open[task])
        except (OSError, asyncio.CancelledError):
            return  # tests break connections on purpose
        finally:
            for opened in self._open.pop(task):
                opened.close()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        writers: list[asyncio.StreamWriter],
    ) -> None:
        await self._flows.wait()
        if self.is_refusing:
            return
        to_reader, to_writer = await self._connect()
        writers.append(to_writer)
        ways = [
            asyncio.create_task(self._copy(reader, to_writer, can_hold=True)),
            asyncio.create_task(self._copy(to_reader, writer, can_hold=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for target in self._random.sample(self.targets, len(self.targets)):
            with contextlib.suppress(ConnectionError):
                if isinstance(target, str):
                    return await asyncio.open_unix_connection(target)
                return await asyncio.open_connection("127.0.0.1", target)
        raise ConnectionRefusedError

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, can_hold: bool
    ) -> None:
        while block := await reader.read(BLOCK):
            await self._flows.wait()
            if can_hold and self.hold is not None and self.hold in block:
                self.held.set()
                await asyncio.Event().wait()
            writer.write(block)
            await writer.drain()


def _abort(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.transport.abort()
