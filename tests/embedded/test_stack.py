"""Tests of the embedded stack: start, stop and errors of its configuration."""

from __future__ import annotations

import stat
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import BaseError

from app.embedded.lock import data_dir_lock
from app.embedded.private_dirs import socket_dir
from app.embedded.process import Child
from app.embedded.stack import Stack, embedded_database, embedded_stack, running_stack
from app.runtime.errors import CommandError
from app.settings import Settings
from tests.support.probes import open_ports, query, read, store


def test_both_servers_work(running: Stack) -> None:
    where = "select current_database() || ' ' || current_setting('server_encoding')"
    assert query(running.database_url, where) == "context UTF8"
    obstore.put(store(running.settings), "some/key", b"bytes")
    assert read(store(running.settings), "some/key") == b"bytes"


def test_what_an_interrupted_initdb_left_is_replaced(running: Stack) -> None:
    assert not (running.settings.data_dir / "postgres.new").exists()


def test_secrets_are_for_their_owner_alone(running: Stack) -> None:
    data_dir = running.settings.data_dir
    assert stat.S_IMODE((data_dir / "credentials.json").stat().st_mode) == 0o600
    for folder in ("s3", "log", "postgres", "postgres-run", "s3-run", "s3-security"):
        assert stat.S_IMODE((data_dir / folder).stat().st_mode) == 0o700


def test_the_s3_server_refuses_other_keys(running: Stack) -> None:
    with pytest.raises((BaseError, OSError)):
        read(store(running.settings, secret_access_key="guess"), "some/key")


def test_nothing_listens_beyond_loopback(running: Stack) -> None:
    ours = [address for server in running.servers for address in open_ports(server.child.pid)]
    assert len(ours) == 10  # the S3 server's five and their gRPC twins; PostgreSQL opens none
    assert all(address.startswith("0100007F:") for address in ours)


def test_a_second_stack_in_the_data_dir_is_refused(running: Stack) -> None:
    bare = Settings(data_dir=running.settings.data_dir)
    with pytest.raises(CommandError, match=r"in use by process \d+"), embedded_stack(bare):
        pass


def test_a_command_beside_a_running_stack_uses_its_database(running: Stack) -> None:
    with embedded_database(Settings(data_dir=running.settings.data_dir)) as database_url:
        assert query(database_url, "select 1") == 1


def test_outside_servers_start_nothing(tmp_path: Path) -> None:
    outside = Settings.model_validate(
        {
            "data_dir": tmp_path / "none",
            "database_url": "postgresql+asyncpg://somebody@db.example/context",
            "s3_endpoint": "http://s3.example",
            "s3_access_key": "key",
            "s3_secret_key": "secret",
            "secret_key": "a secret key of 32 characters ..",
        }
    )
    with running_stack(outside) as stack:
        assert stack.settings == outside
        assert not stack.servers
    assert not (tmp_path / "none").exists()


def test_replicas_with_a_common_data_dir_generate_one_secret_key(tmp_path: Path) -> None:
    outside = Settings.model_validate(
        {
            "data_dir": tmp_path / "shared",
            "database_url": "postgresql://somebody@db.example/context",
            "s3_endpoint": "http://s3.example",
            "s3_access_key": "key",
            "s3_secret_key": "secret",
        }
    )

    def key() -> str:
        with running_stack(outside) as stack:
            assert stack.settings.secret_key
            return stack.settings.secret_key.get_secret_value()

    with ThreadPoolExecutor(4) as pool:
        found = {each.result() for each in [pool.submit(key) for _ in range(8)]}
    assert len(found) == 1
    assert len(found.pop()) >= 32
    assert stat.S_IMODE((tmp_path / "shared" / "credentials.json").stat().st_mode) == 0o600


def test_an_outside_s3_server_leaves_postgres_alone_to_start(tmp_path: Path) -> None:
    given = {"s3_endpoint": "http://s3.example", "s3_access_key": "a", "s3_secret_key": "b"}
    settings = Settings.model_validate({"data_dir": tmp_path / "data", **given})
    with running_stack(settings) as stack:
        assert [server.child.command.name for server in stack.servers] == ["PostgreSQL"]
        assert stack.settings.s3_endpoint == "http://s3.example"
    assert not list((tmp_path / "data" / "s3").iterdir())


def test_a_data_dir_whose_path_is_too_long_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20) / "data"
    with embedded_database(Settings(data_dir=deep)) as database_url:
        assert query(database_url, "select 1") == 1
    sockets = socket_dir(deep, "postgres")
    assert sockets.is_relative_to(tempfile.gettempdir())
    assert not sockets.exists()
    (deep / "postgres" / "PG_VERSION").write_text("12\n")
    with (
        pytest.raises(CommandError, match="was created by PostgreSQL 12"),
        embedded_database(Settings(data_dir=deep)),
    ):
        pass


def test_servers_of_a_killed_stack_that_do_not_end_are_named(tmp_path: Path) -> None:
    with (
        data_dir_lock(tmp_path),
        (tmp_path / "lock").open() as _,
    ):
        (tmp_path / "lock").rename(tmp_path / "lock of a killed stack")
        with (
            pytest.raises(CommandError, match="servers of an earlier stack"),
            data_dir_lock(tmp_path, leftovers_s=0.2),
        ):
            pass


def test_damaged_credentials_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(CommandError, match="damaged"), embedded_stack(Settings(data_dir=tmp_path)):
        pass
    assert (tmp_path / "credentials.json").read_text() == "{"


def test_a_child_is_started_by_the_main_thread_only(running: Stack) -> None:
    errors: list[RuntimeError] = []

    def start() -> None:
        try:
            Child(running.servers[0].child.command).start()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(errors) == 1
