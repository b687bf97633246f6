"""The stack under measurement: PostgreSQL, an S3 server and one replica of the service."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.database import migrate
from app.embedded.stack import embedded_stack
from app.settings import Settings
from processing_context import ProcessingContext
from tests.support.processes import TOKEN, running_service
from tests.support.services import free_port


@dataclass(frozen=True)
class Stack:
    """A running stack: its settings, and the URL and process of the service."""

    settings: Settings
    url: str
    pid: int
    token: str = TOKEN

    @property
    def database_url(self) -> str:
        """The URL of the database."""
        return self.settings.database_url or ""

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header of requests to the service."""
        return {"Authorization": f"Bearer {self.token}"}

    def context(self) -> ProcessingContext:
        """Return a client of the service."""
        return ProcessingContext(base_url=self.url, token=self.token)


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Start a stack in a temporary folder; stop and remove it at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="context-bench-") as folder,
        # Connections of benchmarks are idle while they fill tables.
        embedded_stack(
            Settings(data_dir=Path(folder), port=0, rate_limit_per_s=0, keep_alive_s=3600)
        ) as settings,
    ):
        migrate.upgrade(settings.database_url or "")
        port = free_port()
        with running_service(settings, port=port, log_level="WARNING") as service:
            yield Stack(settings, f"http://127.0.0.1:{port}", service.pid)
