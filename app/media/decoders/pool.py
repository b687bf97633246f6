"""Bounded pool of decoder processes.

Processes are started on demand, killed when they exceed the time limit, and replaced when they die.
Users share them fairly: one user takes all but one, unless there is only one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from app.media.decoders import syscall_filter
from app.media.decoders.errors import ConversionTimeout, DecodersBusy
from app.media.decoders.process import DecoderProcess, DiedIdleError
from app.media.decoders.sources import Source
from app.runtime import metrics
from app.runtime.fair_slots import FairSlots, SlotsBusyError

logger = logging.getLogger(__name__)

TASKS_PER_PROCESS = 200
"""Number of tasks after which a process is replaced, because libraries leak memory."""
WAIT_S = 20.0


class Decoders:
    """Runs functions on files in processes with limits for time and memory.

    Args:
        processes: The maximum number of processes.
        memory_bytes: The memory limit of a process.
        timeout_s: The time limit of a task.
        queue: The maximum number of tasks that wait for a free process.
        wait_s: The time limit for waiting for a free process.
    """

    def __init__(
        self,
        *,
        processes: int,
        memory_bytes: int,
        timeout_s: float,
        queue: int,
        wait_s: float = WAIT_S,
    ) -> None:
        self.processes = processes
        self._memory_bytes = memory_bytes
        self._timeout_s = timeout_s
        self._wait_s = wait_s
        self._slots = FairSlots(processes, per_user=max(1, processes - 1), queue=queue)
        self._has_warned = False
        self._idle: list[DecoderProcess] = []
        self._all: set[DecoderProcess] = set()

    @property
    def waiting(self) -> int:
        """The number of tasks that wait for a free process."""
        return self._slots.waiting

    async def run(self, function: str, source: Source, user_id: str, **options: Any) -> bytes:
        """Run a function on a source in a process, and return its result.

        Args:
            function: `module:name` of a function that takes the source as a binary file and the
                options, and returns bytes. `CannotDecode` and `TooMuch` that it raises are raised
                here as `Undecodable` and `SourceTooLarge`.
            source: The file to decode.
            user_id: The user whose file it is.
            **options: Keyword arguments of the function, which must be JSON values.

        Raises:
            Undecodable: The file cannot be decoded, or the process crashed.
            SourceTooLarge: The decoded file would be larger than a limit.
            ConversionTimeout: The function took longer than the limit.
            DecodersBusy: The queue is full, or no process was free within the waiting time.
        """
        try:
            with metrics.DECODER_QUEUE.track_inprogress():
                await self._slots.acquire(user_id, wait_s=self._wait_s)
        except SlotsBusyError:
            raise DecodersBusy from None
        try:
            try:
                return await self._run(await self._take(), function, source, options)
            except DiedIdleError:
                return await self._run(await self._start(), function, source, options)
        finally:
            self._slots.release(user_id)

    async def close(self) -> None:
        """Kill all processes."""
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
        if not (self._has_warned or syscall_filter.is_supported()):
            self._has_warned = True
            logger.warning(
                "this system has no seccomp filters for decoder processes: a hostile file that "
                "takes one over could open network connections"
            )
        process = await DecoderProcess.start(memory_bytes=self._memory_bytes)
        self._all.add(process)
        return process
