"""A bounded pool of decoders: started when needed, killed when they hang, replaced when dead."""

from __future__ import annotations

import asyncio
from typing import Any

from app.media.decoders.errors import ConversionTimeout, DecodersBusy
from app.media.decoders.process import DecoderProcess, DiedIdleError
from app.media.decoders.sources import Source

TASKS_PER_PROCESS = 200
"""After so many a process is replaced: libraries leak."""
WAIT_S = 20.0


class Decoders:
    """Runs functions on files, each in a process of the pool, with limits on time and memory."""

    def __init__(
        self, *, processes: int, memory_bytes: int, timeout_s: float, wait_s: float = WAIT_S
    ) -> None:
        self.processes = processes
        self._memory_bytes = memory_bytes
        self._timeout_s = timeout_s
        self._wait_s = wait_s
        self._free = asyncio.Semaphore(processes)
        self._idle: list[DecoderProcess] = []
        self._all: set[DecoderProcess] = set()

    async def run(self, function: str, source: Source, **options: Any) -> bytes:
        """Return what a function makes of a source.

        Args:
            function: `module:name`; it takes the source as a binary file, then the options, and
                returns bytes. `Undecodable` and `SourceTooLarge` that it raises come back as such.
            source: What to decode.
            **options: JSON values.

        Raises:
            Undecodable: The bytes cannot be decoded, or the process died of them.
            SourceTooLarge: They would be too large.
            ConversionTimeout: It took too long.
            DecodersBusy: No process was free for a while.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise DecodersBusy from None
        try:
            try:
                return await self._run(await self._take(), function, source, options)
            except DiedIdleError:
                return await self._run(await self._start(), function, source, options)
        finally:
            self._free.release()

    async def close(self) -> None:
        """End all processes."""
        await asyncio.gather(*(process.kill() for process in self._all))
        self._all.clear()
        self._idle.clear()

    async def _run(
        self, process: DecoderProcess, function: str, source: Source, options: dict[str, Any]
    ) -> bytes:
        before = process.tasks_done
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                return await process.run(function, source, options)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ConversionTimeout(
                f"Decoding the file took longer than the limit of {self._timeout_s:g} s."
            ) from None
        finally:
            has_answered = process.tasks_done > before
            if has_answered and process.is_alive and process.tasks_done < TASKS_PER_PROCESS:
                self._idle.append(process)
            else:
                self._all.discard(process)
                await asyncio.shield(process.kill())

    async def _take(self) -> DecoderProcess:
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                return process
            self._all.discard(process)
        return await self._start()

    async def _start(self) -> DecoderProcess:
        process = await DecoderProcess.start(memory_bytes=self._memory_bytes)
        self._all.add(process)
        return process
