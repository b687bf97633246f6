"""Start and stop of everything that the `serve` command runs."""

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
    """Run the service until SIGINT or SIGTERM.

    Raises:
        CommandError: A part cannot start, or an embedded server cannot be restarted.
    """
    interrupt = _Interrupt()
    interrupt.install()

    def import_application() -> None:
        """Import the application, which takes longer than the embedded servers need to start."""
        import_module("app.server.supervisor")
        interrupt.check()

    with (
        closing(bind(settings)) as listener,
        running_stack(settings, meanwhile=import_application) as stack,
    ):
        from app.database.migrate import upgrade
        from app.server.supervisor import Supervisor

        upgrade(stack.database_url)
        interrupt.check()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Supervisor(stack, listener).run())
        # The handlers of the loop are gone; a signal while the servers stop kills them.
        interrupt.install()


class _Interrupt:
    """Signal handler that raises KeyboardInterrupt and remembers the signal.

    The exception alone is lost when it is raised in a destructor, and imports run many of them.
    """

    def __init__(self) -> None:
        self._was_received = False

    def install(self) -> None:
        """Handle SIGINT and SIGTERM from now on; to be called in the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal was received."""
        if self._was_received:
            raise KeyboardInterrupt

    def _handle(self, _signal: int, _frame: object) -> None:
        self._was_received = True
        raise KeyboardInterrupt
