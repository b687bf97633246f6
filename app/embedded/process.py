"""Child processes that are signalled when their parent dies."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from app.embedded.identity import Identity
from app.runtime.errors import CommandError

_PR_SET_PDEATHSIG = 1
_LOG_LIMIT = 16 * 1024 * 1024
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent(death_signal: int) -> Callable[[], None] | None:
    """Return a `preexec_fn` that requests a signal for the child when its parent dies."""
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def in_child() -> None:
        # The parent may have died before the call.
        if libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(127)

    return in_child


def plain_environment() -> dict[str, str]:
    """Return the environment without variables that configure the service or its servers."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


@dataclass(frozen=True)
class Command:
    """A command, and how to stop it. Without a `log`, it shares the output of this process."""

    name: str
    argv: list[str]
    environment: Mapping[str, str]
    stop_signal: signal.Signals
    death_signal: signal.Signals
    stop_s: float
    log: Path | None = None
    identity: Identity = field(default_factory=Identity)

    def popen_args(self) -> dict[str, Any]:
        """Return the arguments of `subprocess.Popen` for the user and the death signal."""
        return {
            "args": self.identity.wrap(self.argv, self.death_signal),
            "env": dict(self.environment),
            "preexec_fn": _die_with_parent(self.death_signal),
            **self.identity.popen_args(),
        }


class Child:
    """A process started from a `Command`, in its own session, so that it receives no Ctrl-C."""

    def __init__(self, command: Command, *, inherit: int | None = None) -> None:
        self.command = command
        self._inherit = () if inherit is None else (inherit,)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id, also after the exit."""
        return self._started().pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the process is running."""
        return self._started().poll()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.command.name} was never started")
        return self._process

    def start(self) -> None:
        """Start the process; to be called in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "the kernel signals a child when the thread that started it ends: use the main "
                "thread"
            )
        command = self.command
        with contextlib.ExitStack() as files:
            output = files.enter_context(_open_log(command.log)) if command.log else None
            self._process = subprocess.Popen(
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=self._inherit,
                start_new_session=True,
                umask=0o077,
                **command.popen_args(),
            )

    def ask_to_stop(self) -> None:
        """Send the stop signal if the process is running."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.command.stop_signal)

    def wait(self) -> None:
        """Wait for the exit; kill the process group after `Command.stop_s`."""
        if self._process is None:
            return
        try:
            self._process.wait(self.command.stop_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the process group if the process is running."""
        if self._process is None or self._process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        log = self.command.log
        if log is None:
            return ""
        return "\n".join(log.read_text(errors="replace").splitlines()[-5:])


def _open_log(path: Path) -> BinaryIO:
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_suffix(".old.log"))
    return path.open("ab")


def run(command: Command, *, stdin: bytes = b"") -> None:
    """Run a command and wait for it.

    Raises:
        CommandError: It failed; the message has the last lines of its output.
    """
    done = subprocess.run(
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **command.popen_args(),
    )
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace").strip().splitlines()[-3:]
        raise CommandError(f"{command.name} failed ({done.returncode}): {' '.join(said)}")
