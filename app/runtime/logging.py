"""Logging to stderr: one JSON object per line, or plain text on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from app.runtime.request_context import request_id
from processing_context.wire.terminal import TerminalFormatter, printable_json


class _RequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class _WithoutQueries(logging.Filter):
    """Removes the query from URLs of WebSockets: it may contain a ticket or, wrongly, a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                arg.partition("?")[0] if isinstance(arg, str) and arg.startswith("/") else arg
                for arg in record.args
            )
        return True


class JsonLines(JsonFormatter):
    """Formatter that encodes records with orjson, since every request logs a line.

    Records that orjson cannot encode are encoded by the base class.
    """

    def serialize_log_record(self, log_data: dict[str, Any]) -> str:
        """Return a record as one line of JSON."""
        try:
            return printable_json(orjson.dumps(log_data).decode())
        except TypeError:
            return super().serialize_log_record(log_data)


def configure(level: str) -> None:
    """Configure the root logger to write all records of at least `level` to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RequestId())
    if sys.stderr.isatty():
        handler.setFormatter(TerminalFormatter())
    else:
        handler.setFormatter(
            JsonLines(
                ["levelname", "name", "message", "request_id"],
                rename_fields={"levelname": "level", "name": "logger"},
                reserved_attrs=[*RESERVED_ATTRS, "color_message"],
                timestamp="time",
            )
        )
    # Not part of any line, but looked up for each record by default.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").addFilter(_WithoutQueries())
    # Alembic logs the same lines at every start and every check of the schema.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # The pool logs each failed attempt to reconnect, with a traceback.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
