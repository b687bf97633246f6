"""The start and the end of everything that `serve` runs."""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing
from importlib import import_module

import uvloop

from app.embedded.stack import running_stack
from app.serving.listen import bind
from app.settings import Settings


def serve(settings: Settings) -> None:
    """Serve until a signal comes.

    Raises:
        StackError: Something is in the way, or an embedded server does not come back.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    with closing(bind(settings)) as taken, running_stack(settings, meanwhile=_load) as stack:
        from app.core.migrate import upgrade
        from app.serving.service import Service

        upgrade(stack.database_url)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Service(stack, taken).run())
        # The loop's handlers are gone; what comes while the servers stop is to hurry them.
        signal.signal(signal.SIGTERM, _interrupt)


def _load() -> None:
    """Import the application, which takes longer than the servers need to start."""
    import_module("app.serving.service")


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt
