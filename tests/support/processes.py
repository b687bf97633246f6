"""The service and the worker in separate processes, for tests with kills and for benchmarks."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from pydantic import SecretStr

from app.settings import Settings

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).parents[2]
TOKEN = secrets.token_urlsafe(32)
"""Token of the first user of the services in processes."""


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_bytes(pid: int) -> int:
    """Return the peak memory of a process since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    """Reset the peak memory of a process."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def environment(settings: Settings, **changes: object) -> dict[str, str]:
    """Return the environment variables for settings."""
    values = {**settings.model_dump(), "bootstrap_token": SecretStr(TOKEN), **changes}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CONTEXT_")}
    return inherited | {
        f"CONTEXT_{name.upper()}": _text(value)
        for name, value in values.items()
        if value not in (None, ())
    }


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@contextmanager
def started(
    *arguments: str, env: dict[str, str], ready_url: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python with arguments until the block ends; first wait until `ready_url` returns 200."""
    process = subprocess.Popen([sys.executable, *arguments], env=env, cwd=ROOT)
    try:
        if ready_url is not None:
            wait_for(ready_url, process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running_service(settings: Settings, **changes: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m app serve` without a local worker; the token is `TOKEN`."""
    env = environment(settings, **{"local_worker_slots": 0, **changes})
    ready_url = f"http://127.0.0.1:{env['CONTEXT_PORT']}/readyz"
    with started("-m", "app", "serve", env=env, ready_url=ready_url) as process:
        yield process


@contextmanager
def running_worker(
    url: str, token: str = TOKEN, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker with the built-in nodes."""
    env = {**os.environ, "CONTEXT_URL": url, "CONTEXT_TOKEN": token}
    arguments = ("-m", "processing_context.cli.main", "worker", *options)
    with started(*arguments, env=env) as process:
        yield process


def wait_for(url: str, process: subprocess.Popen[bytes], *, within_s: float = 120) -> None:
    """Wait until a URL returns 200; raise if the process ends, or the time is over."""
    deadline = time.monotonic() + within_s
    with httpx.Client(timeout=60) as http:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"it ended with {process.returncode} before it answered {url}")
            with suppress(httpx.TransportError):
                if http.get(url).status_code == httpx.codes.OK:
                    return
            time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer within {within_s:g} s")
