"""Local worker process, which `serve` runs so that workflows run without a separate worker."""

from __future__ import annotations

import os
import signal
import sys

from app.embedded.process import Child, Command
from app.settings import Settings

GRACE_S = 1.5


def local_worker(url: str, token: str, settings: Settings) -> Child:
    """Return the worker process, not started yet.

    The token is passed in the environment, since all users of the machine can read command lines.
    """
    program = [sys.executable, "-m", "processing_context.cli.main", "worker"]
    options = {
        "url": url,
        "name": "local",
        "slots": settings.local_worker_slots,
        "grace": GRACE_S,
        "log-level": settings.log_level.lower(),
    }
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("CONTEXT_")
    }
    return Child(
        Command(
            name="the local worker",
            argv=[*program, *(f"--{name}={value}" for name, value in options.items())],
            environment=environment | {"CONTEXT_TOKEN": token},
            stop_signal=signal.SIGTERM,
            # It is killed with this process: the API that could release its leases is gone too.
            death_signal=signal.SIGKILL,
            stop_s=GRACE_S + 1,
        )
    )
