"""Command `processing-context run`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processing_context import _waiting
from processing_context.cli.display import Display, new_display
from processing_context.cli.outputs import save_outputs
from processing_context.cli.params import read_graph, read_params
from processing_context.context import ProcessingContext
from processing_context.errors import ContextError, JobCancelledError
from processing_context.nodes.runner.values import to_wire
from processing_context.wire.terminal import printable_json, printable_lines

_INTERRUPTED = 130
_TERMINATED = 143


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of the command."""

    workflow: Path
    params: Sequence[str] = ()
    url: str | None = None
    token: str | None = field(default=None, repr=False)
    out: Path | None = None
    is_overwriting: bool = False


def run_file(options: RunOptions) -> int:
    """Run a workflow file through the service; return the exit status.

    Ctrl-C and the signals that end a process cancel the job.
    """
    # The display shows the same message.
    _waiting.logger.addHandler(logging.NullHandler())
    try:
        outputs, errors = asyncio.run(_run(options))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except asyncio.CancelledError:
        return _TERMINATED
    except JobCancelledError as error:
        sys.stderr.write(printable_lines(str(error)) + "\n")
        return _INTERRUPTED
    except ContextError as error:
        sys.stderr.write(printable_lines(str(error)) + "\n")
        return 1
    sys.stdout.write(printable_json(json.dumps(outputs, ensure_ascii=False, indent=2)) + "\n")
    for name, reason in errors.items():
        line = f"the output {name!r} was not saved: {reason}"
        sys.stderr.write(printable_lines(line) + "\n")
    return 1 if errors else 0


async def _run(options: RunOptions) -> tuple[dict[str, Any], dict[str, str]]:
    _cancel_on_signals()
    graph = read_graph(options.workflow)
    async with ProcessingContext(base_url=options.url, token=options.token) as context:
        params = await read_params(context, graph, options.params)
        with new_display(sys.stderr) as display:
            async with _shown(context, display):
                outputs = to_wire(await context.run_worker(graph, params)).value
        if options.out is None:
            return dict(outputs), {}
        return await save_outputs(
            context, outputs, options.out, is_overwriting=options.is_overwriting
        )


def _cancel_on_signals() -> None:
    """Cancel the current task when the process is to end (timeout(1), systemd, docker stop)."""
    task = asyncio.current_task()
    if task is None or not hasattr(signal, "SIGHUP"):  # Windows has no such signals
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


@contextlib.asynccontextmanager
async def _shown(context: ProcessingContext, display: Display) -> AsyncIterator[None]:
    """Show the messages that arrive while the body runs."""

    async def show() -> None:
        while True:
            display.show(await context.pop_message_async())

    showing = asyncio.create_task(show())
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.wait({showing})
        while context.has_messages():
            display.show(context.pop_message())
