"""Tests of servers that the settings name and that cannot be used: the start ends in a sentence."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from app.runtime.errors import CommandError
from app.server.preflight import check_servers, shown_address
from app.settings import Settings
from tests.conftest import database_url, execute
from tests.support.loopback import Answer, Loopback
from tests.support.probes import query
from tests.support.processes import ROOT, environment

Check = Callable[..., str]


@pytest.fixture
def refusal(stack: Settings) -> Check:
    """Function that returns the sentence with which changed settings are refused."""

    def refuse(**changes: object) -> str:
        given = {"secret_key": SecretStr("k" * 32), **changes}
        settings = Settings.model_validate({**stack.model_dump(), **given})
        with pytest.raises(CommandError) as caught:
            check_servers(settings)
        return str(caught.value)

    return refuse


def test_servers_that_can_be_used_pass(stack: Settings) -> None:
    check_servers(stack)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:s3cret@no.such.host.invalid/c", "the host is unknown"),
        ("postgresql://u:s3cret@[::1/c", "percent-encode"),
        ("postgresql://u:s3cret@db.example:port/c", "percent-encode"),
        ("postgresql://u:s3cret@127.0.0.1:1/c?sslmode=wrong", "sslmode"),
        ("postgresql://u:s3cret@127.0.0.1:1/c", "it cannot be reached"),
        ("postgresql://u@/c?host=/nowhere", "it cannot be reached"),
    ],
)
def test_a_database_url_that_leads_nowhere(refusal: Check, url: str, said: str) -> None:
    sentence = refusal(database_url=url)
    assert sentence.startswith("CONTEXT_DATABASE_URL")
    assert said in sentence
    assert "s3cret" not in sentence
    assert "\n" not in sentence


def test_a_missing_database_and_a_wrong_user_are_named(refusal: Check, stack: Settings) -> None:
    url = make_url(str(stack.database_url))
    missing = url.set(database="not_there").render_as_string(hide_password=False)
    assert 'database "not_there" does not exist: create it' in refusal(database_url=missing)
    stranger = url.set(username="stranger").render_as_string(hide_password=False)
    assert "stranger" in refusal(database_url=stranger)


def test_the_address_that_is_shown_has_no_password() -> None:
    url = "postgresql+asyncpg://u:p%40ss@db.example:5433/c?sslmode=require&password=p2"
    assert shown_address(url) == "postgresql://u@db.example:5433/c?sslmode=require"


def test_storage_that_cannot_be_reached_or_refuses_the_keys(refusal: Check) -> None:
    sentence = refusal(s3_endpoint="http://127.0.0.1:1")
    assert sentence.startswith("CONTEXT_S3_ENDPOINT=http://127.0.0.1:1 cannot be reached")
    for setting in ("s3_access_key", "s3_secret_key"):
        sentence = refusal(**{setting: SecretStr("wrong-key")})
        assert "correct CONTEXT_S3_ACCESS_KEY and CONTEXT_S3_SECRET_KEY" in sentence
        assert "wrong-key" not in sentence
    with Loopback(lambda _asked: Answer(404, b"no such page")) as server:
        sentence = refusal(s3_endpoint=server.url)
    assert "answers like no S3 server" in sentence


def app(
    *arguments: str, settings: Settings, cwd: Path, **changes: object
) -> subprocess.CompletedProcess[str]:
    env = environment(settings, **changes) | {"PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-P", "-m", "app", *arguments]
    return subprocess.run(program, env=env, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", [("serve",), ("migrate",), ("users", "list"), ("sweep",)])
def test_a_bad_database_ends_each_command_without_starting_anything(
    new_settings: Callable[..., Settings], tmp_path: Path, command: tuple[str, ...]
) -> None:
    url = "postgresql://u:s3cret@127.0.0.1:1/c"
    changes = {"database_url": url, "s3_endpoint": None, "data_dir": tmp_path / "data"}
    done = app(*command, settings=new_settings(), cwd=tmp_path, port=0, **changes)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("processing-context: CONTEXT_DATABASE_URL (")
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr
    assert not (tmp_path / "data" / "s3").exists()


def test_commands_before_the_first_start_create_schema_and_first_user(
    new_settings: Callable[..., Settings], tmp_path: Path, stack: Settings
) -> None:
    name = f"before_first_{os.getpid()}"
    execute(stack, f"create database {name}")
    token = secrets.token_urlsafe(32)
    settings = new_settings(database_url=database_url(stack, name))
    done = app("users", "create", "Ada", settings=settings, cwd=tmp_path, bootstrap_token=token)
    assert done.returncode == 0, done.stderr
    listed = app("users", "list", settings=settings, cwd=tmp_path, bootstrap_token=token)
    assert [line.split("\t")[2] for line in listed.stdout.splitlines()] == ["Ada", "admin"]
    shown = app("token", settings=settings, cwd=tmp_path, bootstrap_token=token)
    assert shown.stdout == token + "\n"


def test_a_schema_that_the_code_does_not_know_ends_each_command(
    new_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = new_settings()
    query(str(settings.database_url), "update alembic_version set version_num = '9999' returning 1")
    for command in (("users", "list"), ("serve",)):
        done = app(*command, settings=settings, cwd=tmp_path, port=0)
        assert done.returncode == 1
        assert "9999" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
