"""Handle of a decoder process in the service."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import orjson

from app.http.problems import ProblemError
from app.media.decoders.errors import SourceTooLarge, Undecodable
from app.media.decoders.protocol import HEAD, RANGE, Kind, frame
from app.media.decoders.sources import Source

logger = logging.getLogger(__name__)

MIB = 1024 * 1024
MAX_READ_BYTES = 16 * MIB
MAX_RESULT_BYTES = 512 * MIB
_ROOT = Path(__file__).parents[3]
_REFUSALS: Mapping[str, type[ProblemError]] = {
    kind.code: kind for kind in (SourceTooLarge, Undecodable)
}


class DiedIdleError(Exception):
    """The process died before it began a task, so the file is not the cause."""


class DecoderProcess:
    """Process that decodes one file at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.tasks_done = 0

    @classmethod
    async def start(cls, *, memory_bytes: int) -> Self:
        """Start a process with an environment of its own, without secrets of the service."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-s", "-P", "-m", "app.media.decoders.child", str(os.getpid()), str(memory_bytes)),
            stdin=PIPE,
            stdout=PIPE,
            limit=MIB,
            cwd="/",
            start_new_session=True,
            env={
                "PATH": os.defpath,
                "PYTHONPATH": str(_ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
                # Each arena reserves 64 MiB of the memory limit.
                "MALLOC_ARENA_MAX": "2",
                "OMP_NUM_THREADS": "1",
            },
        )
        return cls(process)

    @property
    def is_alive(self) -> bool:
        """True while the process has no known exit status."""
        return self._process.returncode is None

    async def run(self, function: str, source: Source, options: Mapping[str, Any]) -> bytes:
        """Run a function on a source, and return its result.

        The process can be used again if `tasks_done` has increased; otherwise it must be killed.

        Raises:
            Undecodable: The file cannot be decoded, or the process crashed.
            SourceTooLarge: The decoded file would be larger than a limit.
            DiedIdleError: The process died before it began the task.
        """
        task = {"function": function, "options": options, "size": source.size}
        has_responded = self.tasks_done == 0
        try:
            await self._send(Kind.TASK, orjson.dumps(task))
            while True:
                kind, payload = await self._receive()
                has_responded = True
                if kind != Kind.READ:
                    break
                start, end = RANGE.unpack(payload)
                end = min(end, source.size, start + MAX_READ_BYTES)
                await self._send(Kind.DATA, await source.read(start, max(start, end)))
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.kill()
            if not has_responded:
                raise DiedIdleError from None
            logger.warning(
                "a decoder crashed with exit status %s on the task %s",
                self._process.returncode,
                task,
            )
            raise Undecodable("The decoder crashed on this file.") from None
        self.tasks_done += 1
        return _result(function, kind, payload)

    async def kill(self) -> None:
        """Kill the process and wait for its end."""
        if self.is_alive:
            try:
                self._process.kill()
            except ProcessLookupError:
                logger.debug("the decoder had already ended")
        await self._process.wait()

    async def _send(self, kind: Kind, payload: bytes) -> None:
        if self._process.stdin is None:
            raise RuntimeError("the process has no stdin")
        self._process.stdin.write(frame(kind, payload))
        await self._process.stdin.drain()

    async def _receive(self) -> tuple[int, bytes]:
        if self._process.stdout is None:
            raise RuntimeError("the process has no stdout")
        kind, length = HEAD.unpack(await self._process.stdout.readexactly(HEAD.size))
        if length > MAX_RESULT_BYTES:
            await self.kill()
            raise SourceTooLarge("The decoded file is larger than the limit.")
        return kind, await self._process.stdout.readexactly(length)


def _result(function: str, kind: int, payload: bytes) -> bytes:
    if kind == Kind.RESULT:
        return payload
    if kind == Kind.REFUSED:
        refusal = orjson.loads(payload)
        raise _REFUSALS.get(refusal["code"], Undecodable)(refusal["detail"])
    logger.warning("%s failed: %s", function, payload.decode(errors="replace"))
    raise Undecodable
