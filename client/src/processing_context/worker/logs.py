"""Log of the worker: plain lines on a terminal, else one JSON object per line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from processing_context.nodes.runner.capture import unattributed
from processing_context.wire.terminal import TerminalFormatter, printable_json


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return printable_json(json.dumps(line, ensure_ascii=False))


def log_to_stderr(level: str) -> None:
    """Write the worker's own log to stderr; records of nodes go to the logs of their jobs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level.upper())
    handler.addFilter(unattributed)
    handler.setFormatter(TerminalFormatter() if sys.stderr.isatty() else _JsonLines())
    logging.basicConfig(level=min(handler.level, logging.INFO), handlers=[handler], force=True)
    # A line for each request adds nothing to the worker's own log.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
