"""The start and the end of everything that `serve` runs."""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing
from importlib import import_module

import uvloop

from app.embedded.stack import running_stack
from app.server.listen import bind
from app.settings import Settings


def serve(settings: Settings) -> None:
    """Serve until a signal comes.

    Raises:
        StackError: Something is in the way, or an embedded server does not come back.
    """
    interrupt = _Interrupt()
    interrupt.install()

    def load() -> None:
        """Import the application, which takes longer than the servers need to start."""
        import_module("app.server.supervisor")
        interrupt.check()

    with closing(bind(settings)) as taken, running_stack(settings, meanwhile=load) as stack:
        from app.database.migrate import upgrade
        from app.server.supervisor import Service

        upgrade(stack.database_url)
        interrupt.check()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Service(stack, taken).run())
        # The loop's handlers are gone; what comes while the servers stop is to hurry them.
        interrupt.install()


class _Interrupt:
    """Raises KeyboardInterrupt on a signal, and remembers it.

    The exception alone is lost where it meets a destructor, and importing runs many.
    """

    def __init__(self) -> None:
        self._has_come = False

    def install(self) -> None:
        """Take SIGINT and SIGTERM from now on; to be called in the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take)

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come."""
        if self._has_come:
            raise KeyboardInterrupt

    def _take(self, _signal: int, _frame: object) -> None:
        self._has_come = True
        raise KeyboardInterrupt
