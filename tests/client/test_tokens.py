"""Tests of the sources and the form of a client's token; no error shows one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from processing_context import ProcessingContext
from processing_context._tokens import find_token
from processing_context._transport.api import Api
from processing_context._transport.network import Network
from processing_context.cli.run import RunOptions
from processing_context.worker.worker import WorkerOptions
from tests.support.services import Service, User

BAD = "ctx_s3cret\u00e9 in two parts"
URL = "http://127.0.0.1:9"


@pytest.fixture(params=["argument", "CONTEXT_TOKEN", "CONTEXT_TOKEN_FILE"])
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def put(source: str, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Give a token by a source; return the argument."""
    if source == "argument":
        return token
    if source == "CONTEXT_TOKEN":
        monkeypatch.setenv(source, token)
    else:
        (tmp_path / "token").write_text(token)
        monkeypatch.setenv(source, str(tmp_path / "token"))
    return None


@pytest.mark.parametrize("around", ["\n", " \t", "\r\n", "\u00a0", "\v"])
def test_white_space_around_a_token_is_removed(
    source: str, around: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = put(source, f"{around}ctx_s3cret{around}", tmp_path, monkeypatch)
    assert find_token(given) == "ctx_s3cret"


@pytest.mark.parametrize("bad", [BAD, "two\nlines", "semi;colon", "\u043a\u043b"])
def test_another_character_is_refused_without_showing_the_token(
    source: str, bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = put(source, bad, tmp_path, monkeypatch)
    with pytest.raises(ValueError, match="is not a token") as caught:
        ProcessingContext(base_url=URL, token=given)
    shown = "".join(traceback.format_exception(caught.value))
    assert bad not in shown
    assert ("token=" if source == "argument" else source) in str(caught.value)


def test_the_argument_wins_then_the_variable_then_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("CONTEXT_TOKEN_FILE", "of-the-file", tmp_path, monkeypatch)
    assert find_token() == "of-the-file"
    monkeypatch.setenv("CONTEXT_TOKEN", "of-the-variable")
    assert find_token() == "of-the-variable"
    assert find_token("of-the-argument") == "of-the-argument"
    monkeypatch.setenv("CONTEXT_TOKEN", " ")
    assert find_token("") == "of-the-file"


@pytest.mark.parametrize(("content", "said"), [(None, "cannot read"), ("\n", "is empty")])
def test_a_token_file_that_cannot_be_used_is_named(
    content: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("CONTEXT_TOKEN_FILE", str(path))
    with pytest.raises(ValueError, match=f"{said}|{path}") as caught:
        find_token()
    assert str(path) in str(caught.value)


def test_no_object_of_the_client_shows_its_token() -> None:
    network = Network(timeout_s=1, retries=0)
    for shown in (
        WorkerOptions(url=URL, token="ctx_s3cret"),
        RunOptions(Path("w.json"), token="ctx_s3cret"),
        Api(URL, "ctx_s3cret", network),
        ProcessingContext(base_url=URL, token="ctx_s3cret"),
    ):
        assert "s3cret" not in repr(shown)


@pytest.mark.parametrize("command", [["ls"], ["run", "w.json"], ["worker"]])
def test_the_command_line_refuses_a_token_without_showing_it(
    command: list[str], source: str, tmp_path: Path
) -> None:
    (tmp_path / "w.json").write_text('{"nodes": []}')
    (tmp_path / "token").write_text(BAD)
    env = {name: value for name, value in os.environ.items() if not name.startswith("CONTEXT_")}
    env |= {"CONTEXT_URL": URL}
    arguments = list(command)
    if source == "argument":
        arguments += ["--token", BAD]
    else:
        env[source] = BAD if source == "CONTEXT_TOKEN" else str(tmp_path / "token")
    program = [sys.executable, "-m", "processing_context.cli.main"]
    done = subprocess.run(
        [*program, *arguments], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "s3cret" not in done.stderr + done.stdout
    assert ("--token" if source == "argument" else source) in done.stderr
    assert done.stderr.count("\n") == 1


async def test_a_token_with_a_line_end_works(service: Service, user: User, tmp_path: Path) -> None:
    async with ProcessingContext(base_url=service.url, token=user.token + "\n") as context:
        assert context.user_id == user.id
    (tmp_path / "token").write_text(user.token + "\n")
    env = {**os.environ, "CONTEXT_URL": service.url, "CONTEXT_TOKEN_FILE": str(tmp_path / "token")}
    program = (sys.executable, "-m", "processing_context.cli.main", "ls")
    listing = await asyncio.create_subprocess_exec(*program, env=env)
    assert await listing.wait() == 0
