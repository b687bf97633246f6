"""Start and stop of the processes of the `serve` command."""

from __future__ import annotations

import asyncio
import signal
from contextlib import ExitStack, closing
from importlib import import_module

import uvloop

from app.embedded.stack import running_stack
from app.server.file_descriptors import raise_limit
from app.server.listen import bind
from app.settings import Settings


def serve(settings: Settings) -> None:
    """Run the service until SIGINT or SIGTERM.

    Raises:
        CommandError: A part cannot be started, or an embedded server cannot be restarted.
    """
    raise_limit()
    interrupt = _Interrupt()
    interrupt.install()

    def import_application() -> None:
        """Import the application while the servers start, since the import takes even longer."""
        import_module("app.server.supervisor")
        interrupt.check()

    with closing(bind(settings)) as listener, ExitStack() as parts:
        if settings.database_url is not None or settings.s3_endpoint is not None:
            from app.server.preflight import check_servers

            check_servers(settings)
        stack = parts.enter_context(running_stack(settings, meanwhile=import_application))
        from app.server.schema import upgrade_schema
        from app.server.supervisor import Supervisor

        upgrade_schema(stack.database_url)
        interrupt.check()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Supervisor(stack, listener).run())
        # The event loop's handlers are removed; a signal while the servers stop kills them.
        interrupt.install()


class _Interrupt:
    """Signal handler that raises KeyboardInterrupt and records the signal.

    An exception raised in a destructor is discarded, and imports run many destructors.
    """

    def __init__(self) -> None:
        self._was_received = False

    def install(self) -> None:
        """Install the handler for SIGINT and SIGTERM; to be called in the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal was received."""
        if self._was_received:
            raise KeyboardInterrupt

    def _handle(self, _signal: int, _frame: object) -> None:
        self._was_received = True
        raise KeyboardInterrupt
