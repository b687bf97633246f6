"""Tests of `python -m app serve`: start, stop, `kill -9` and restart."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from app.embedded.stack import Stack
from app.runtime.errors import CommandError
from app.server.listen import bind
from app.settings import Settings
from tests.support.probes import is_alive, wait_until
from tests.support.processes import ROOT, TOKEN
from tests.support.services import WAIT_S, free_port

Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts `serve` on a data dir and port of this test."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("CONTEXT_")}
    environment |= {"CONTEXT_DATA_DIR": str(tmp_path / "data"), "CONTEXT_PORT": str(free_port())}
    started = []

    def start(**changes: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"],
            env=environment | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def rows(process: subprocess.Popen[str]) -> dict[str, str]:
    """Return the fields of the start-up summary, once it is printed."""
    assert process.stdout
    found: dict[str, str] = {}
    for line in process.stdout:
        if line.startswith("  "):
            name, value = line.split(maxsplit=1)
            found[name] = value.split("  ")[0].strip()
        elif found:
            return found
    raise AssertionError(process.stderr.read() if process.stderr else "")


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]


def workers(block: dict[str, str], token: str) -> list[str]:
    """Return the names of the workers that the service has seen."""
    me = {"Authorization": f"Bearer {token}"}
    reply = httpx.get(f"{block['API']}/v1/workers", headers=me, timeout=WAIT_S)
    assert reply.status_code == 200, reply.text
    return [worker["name"] for worker in reply.json()["workers"] if worker["state"] == "active"]


def test_it_starts_stops_and_survives_a_kill(serve: Serve, tmp_path: Path) -> None:
    first = serve()
    block = rows(first)
    token_file = Path(block["Token"])
    assert httpx.get(block["S3"], timeout=WAIT_S).status_code == httpx.codes.FORBIDDEN
    opened = subprocess.check_output([*shlex.split(block["PostgreSQL"]), "-Atc", "select 1"])
    assert opened == b"1\n"
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    token = token_file.read_text().strip()
    assert httpx.get(f"{block['API']}/readyz", timeout=WAIT_S).status_code == 200
    wait_until(lambda: workers(block, token) == ["local"])

    other_port = serve(CONTEXT_PORT="0")
    assert "in use by process" in other_port.communicate(timeout=WAIT_S)[1]
    assert other_port.returncode == 1
    other_dir = serve(CONTEXT_DATA_DIR=str(tmp_path / "other"))
    assert "set CONTEXT_PORT" in other_dir.communicate(timeout=WAIT_S)[1]
    assert not (tmp_path / "other").exists()

    started = children(first.pid)
    assert len(started) == 3
    first.kill()
    first.wait()
    second = serve()
    block = rows(second)
    wait_until(lambda: not any(is_alive(pid) for pid in started))
    assert token_file.read_text().strip() == token
    wait_until(lambda: workers(block, token) == ["local"])

    started = children(second.pid)
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=WAIT_S)
    assert second.returncode == 0
    assert not any(is_alive(pid) for pid in started)


def outside(running: Stack) -> dict[str, str]:
    """Return the settings with which `serve` uses servers that are already running."""
    given = running.settings.model_dump(include={"database_url", "s3_endpoint"})
    for name in ("s3_access_key", "s3_secret_key", "secret_key"):
        given[name] = getattr(running.settings, name).get_secret_value()
    environment = {f"CONTEXT_{name.upper()}": value for name, value in given.items()}
    return environment | {
        "CONTEXT_LOCAL_WORKER_SLOTS": "0",
        "CONTEXT_BOOTSTRAP_TOKEN": TOKEN,
    }


def test_with_outside_servers_it_starts_none(serve: Serve, running: Stack) -> None:
    process = serve(**outside(running))
    block = rows(process)
    assert "Data" not in block
    assert children(process.pid) == []
    assert httpx.get(f"{block['API']}/readyz", timeout=WAIT_S).status_code == 200
    me = {"Authorization": f"Bearer {TOKEN}"}
    reply = httpx.get(f"{block['API']}/v1/me", headers=me, timeout=WAIT_S)
    assert "admin" in reply.json()["scopes"]
    process.terminate()
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 0


def test_its_log_is_json_and_tells_nothing_that_came_in_the_url_of_a_socket(
    serve: Serve, running: Stack
) -> None:
    process = serve(**outside(running))
    url = rows(process)["API"].replace("http", "ws", 1) + "/v1/ws?ticket=secret-in-a-url"
    with connect(url) as socket, pytest.raises(ConnectionClosed):
        socket.recv()
    process.terminate()
    logged = process.communicate(timeout=WAIT_S)[1]
    lines = [json.loads(line) for line in logged.splitlines()]
    assert all({"level", "message", "request_id", "time"} <= set(line) for line in lines)
    assert any("/v1/ws" in line["message"] and line["request_id"] for line in lines)
    assert "secret-in-a-url" not in logged


def test_a_signal_while_it_starts_leaves_nothing(serve: Serve) -> None:
    process = serve()
    wait_until(lambda: len(children(process.pid)) > 0)
    started = children(process.pid)
    process.terminate()
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    # A child that was signalled between fork and exec is killed by the kernel a moment later.
    wait_until(lambda: not any(is_alive(pid) for pid in started))


def test_a_start_that_is_refused_leaves_nothing_running(serve: Serve, tmp_path: Path) -> None:
    process = serve(CONTEXT_BOOTSTRAP_TOKEN="development-only-token", CONTEXT_LOG_LEVEL="ERROR")
    wait_until(lambda: len(children(process.pid)) > 0)
    started = children(process.pid)
    output, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert output == ""
    assert errors.startswith("processing-context: the token of CONTEXT_BOOTSTRAP_TOKEN is a publ")
    assert errors.count("\n") == 1
    wait_until(lambda: not any(is_alive(pid) for pid in started))
    assert not list((tmp_path / "data").glob("*token"))


def test_settings_of_a_file_are_read_and_named(
    serve: Serve, running: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    given = {**outside(running), "CONTEXT_LOCAL_WORKER_SLOTS": "0", "CONTEXT_PROT": "1"}
    lines = [f"{name}='{value}'" for name, value in given.items()]
    (tmp_path / ".env").write_text("\n".join(lines) + "\n")
    process = serve()
    block = rows(process)
    assert block["Settings"] == str(tmp_path / ".env")
    me = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{block['API']}/v1/me", headers=me, timeout=WAIT_S).status_code == 200
    process.terminate()
    errors = process.communicate(timeout=WAIT_S)[1]
    assert "CONTEXT_PROT in" in errors
    assert TOKEN not in errors


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="is not an address"):
        bind(Settings(host="no.such.host.invalid"))
