"""Display of a running job on stderr for `processing-context run`."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from processing_context.wire.events import (
    ErrorEvent,
    JobUpdate,
    Log,
    NodeProgress,
    NodeUpdate,
    ProcessingMessage,
)
from processing_context.wire.terminal import printable, printable_lines

_PROGRESS_EVERY_S = 1.0


class Display(Protocol):
    """Display of a job's messages; a context manager."""

    def __enter__(self) -> Self:
        """Start the display."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the display."""

    def show(self, message: ProcessingMessage) -> None:
        """Show a message."""


def new_display(stream: TextIO) -> Display:
    """Return a live display if the stream is a terminal and rich is installed, else plain lines."""
    if stream.isatty():
        try:
            return RichDisplay(stream)
        except ImportError:
            return PlainDisplay(stream)
    return PlainDisplay(stream)


class PlainDisplay:
    """Display that writes a line for each change.

    Args:
        stream: Target of the lines.
        clock: Returns seconds, for the duration of nodes and the time between two lines of a node.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._started: dict[str, float] = {}
        self._shown_at: dict[str, float] = {}
        self._names: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Start the display."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the display."""

    def show(self, message: ProcessingMessage) -> None:
        """Write a line for a message that changes the display."""
        if isinstance(message, NodeUpdate):
            self._show_node(message)
        elif isinstance(message, NodeProgress):
            self._show_progress(message)
        elif isinstance(message, JobUpdate) and message.status != "running":
            self._write(f"job: {message.status}")
        elif isinstance(message, Log):
            self._write(f"{message.level}: {message.message}")
        elif isinstance(message, ErrorEvent):
            self._write(f"error: {message.error}")

    def _show_node(self, message: NodeUpdate) -> None:
        now = self._clock()
        self._names[message.node_id] = label(message)
        if message.status == "running":
            self._started[message.node_id] = now
            return
        took = now - self._started.pop(message.node_id, now)
        self._write(f"{label(message)}: {message.status} ({took:.1f} s)")
        if message.logs:
            self._write(message.logs.rstrip())

    def _show_progress(self, message: NodeProgress) -> None:
        now = self._clock()
        is_due = now - self._shown_at.get(message.node_id, 0.0) >= _PROGRESS_EVERY_S
        if message.total and is_due:
            self._shown_at[message.node_id] = now
            share = message.progress / message.total
            self._write(f"{self._names.get(message.node_id, message.node_id)}: {share:.0%}")

    def _write(self, line: str) -> None:
        self._stream.write(printable_lines(line) + "\n")
        self._stream.flush()


class RichDisplay:
    """Display with a bar for each node."""

    def __init__(self, stream: TextIO) -> None:
        """Create a display on a stream; ImportError if rich is not installed."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            TimeElapsedColumn(),
            console=Console(file=stream),
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Start to draw."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Draw the last state."""
        self._progress.stop()

    def show(self, message: ProcessingMessage) -> None:
        """Update the bars."""
        if isinstance(message, NodeUpdate):
            self._show_node(message)
        elif isinstance(message, NodeProgress) and message.node_id in self._tasks and message.total:
            share = message.progress / message.total
            self._progress.update(self._tasks[message.node_id], total=1.0, completed=share)
        elif isinstance(message, Log):
            self._print(f"{message.level}: {message.message}")
        elif isinstance(message, ErrorEvent):
            self._print(f"error: {message.error}")

    def _show_node(self, message: NodeUpdate) -> None:
        task = self._tasks.get(message.node_id)
        if task is None:
            task = self._progress.add_task(label(message), total=None, status="")
            self._tasks[message.node_id] = task
        self._progress.update(task, status=message.status)
        if message.status in ("completed", "cached"):
            self._progress.update(task, total=1.0, completed=1.0)
        if message.status != "running":
            self._progress.stop_task(task)
        if message.logs:
            self._print(message.logs.rstrip())

    def _print(self, text: str) -> None:
        self._progress.console.print(printable_lines(text), markup=False)


def label(message: NodeUpdate) -> str:
    """Return the label of a node in the display."""
    return printable(f"{message.node_name} [{message.node_id}]")
