"""Capture of the output of nodes: the standard streams and `logging`, by node.

The node that output belongs to is a context variable: coroutines and their tasks inherit it, and
the thread of a plain `def process` runs in a copy of its context. Threads that a node starts itself
have no node, because they may serve other nodes later. Output without a node goes where it would
have gone without capture.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TextIO, cast

from processing_context.nodes.runner.node_log import Level, NodeLog

NODE_LOG: ContextVar[NodeLog | None] = ContextVar("node_log", default=None)
"""Log of the node that runs."""


class _Process:
    """State of this process."""

    log: NodeLog | None = None
    """Log for output without a node, in the process of one node."""

    is_fork = False
    """Output of a fork cannot be sent: the connections belong to the original."""

    collecting_thread = 0
    """Thread in a garbage collection. Finalizers of any node's objects run there."""


def current_log() -> NodeLog | None:
    """Return the log of the node whose code is running, if it can be attributed to one."""
    log = NODE_LOG.get() or _Process.log
    if log is None or log.is_closed or _Process.is_fork:
        return None
    return None if _Process.collecting_thread == threading.get_ident() else log


def capture_all(log: NodeLog) -> None:
    """Attribute all output of this process to one node."""
    _Process.log = log
    install()


class RoutedStream:
    """Text stream that passes output of nodes to their logs, and other output to the original."""

    def __init__(self, original: TextIO, level: Level) -> None:
        """Create a stream in place of `original`."""
        self._original = original
        self._level = level
        self.buffer = _RoutedBuffer(original, level)

    def write(self, text: str) -> int:
        """Write text; return the number of characters."""
        log = current_log()
        if log is None:
            return self._original.write(text)
        log.write(self._level, text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """Return False for a node, even if the original is a terminal."""
        return current_log() is None and self._original.isatty()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the original."""
        return getattr(self._original, name)


class _RoutedBuffer:
    """Binary stream under a `RoutedStream`."""

    def __init__(self, original: TextIO, level: Level) -> None:
        self._original = original
        self._level = level

    def write(self, content: bytes) -> int:
        """Write bytes; return their number."""
        log = current_log()
        if log is None:
            return self._original.buffer.write(content)
        log.write(self._level, bytes(content).decode(errors="backslashreplace"))
        return len(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original.buffer, name)


class _RoutedHandler(logging.Handler):
    """Passes log records of nodes to their logs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Post the message of a record, with its traceback."""
        log = current_log()
        if log is not None:
            try:
                message = self.format(record)
            except Exception:  # wrong arguments of the node's call
                self.handleError(record)
            else:
                log.record(_level_of(record.levelno), message)


def unattributed(_: logging.LogRecord) -> bool:
    """Return True for a log record of no node; a filter for the worker's own log."""
    return current_log() is None


def install() -> None:
    """Capture the output of nodes from now on; no effect if it is captured."""
    if not isinstance(sys.stdout, RoutedStream):
        sys.stdout = cast("TextIO", RoutedStream(sys.stdout, "info"))
    if not isinstance(sys.stderr, RoutedStream):
        sys.stderr = cast("TextIO", RoutedStream(sys.stderr, "warning"))
    root = logging.getLogger()
    if not any(isinstance(handler, _RoutedHandler) for handler in root.handlers):
        root.addHandler(_RoutedHandler())
    if _note_collection not in gc.callbacks:
        gc.callbacks.append(_note_collection)


@contextlib.contextmanager
def captured_output() -> Iterator[None]:
    """Capture the output of nodes in the body, unless it is captured already."""
    stdout, stderr = sys.stdout, sys.stderr
    install()
    try:
        yield
    finally:
        if isinstance(sys.stdout, RoutedStream):
            sys.stdout = stdout
        if isinstance(sys.stderr, RoutedStream):
            sys.stderr = stderr


def _level_of(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


def _note_collection(phase: str, _: dict[str, int]) -> None:
    _Process.collecting_thread = threading.get_ident() if phase == "start" else 0


def _note_fork() -> None:
    _Process.is_fork = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
