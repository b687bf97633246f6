"""Tests of the user that PostgreSQL runs as, and of folders that this user cannot enter."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.embedded.binaries import installed_package, postgres_programs
from app.embedded.identity import postgres_identity
from app.embedded.stack import embedded_database, running_stack
from app.runtime.errors import CommandError
from app.settings import Settings
from tests.embedded.conftest import needs_root
from tests.support.probes import query

DAC_READ_SEARCH = 1 << 2
QUERY = """
import os, sys
from pathlib import Path
from app.embedded.stack import embedded_database
from app.settings import Settings
from tests.support.probes import query

with embedded_database(Settings(data_dir=Path(sys.argv[1]))) as url:
    print(os.geteuid(), query(url, "select 'works'"))
"""


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def _only_database(data_dir: Path) -> Settings:
    given = {"s3_endpoint": "http://s3.example", "s3_access_key": "a", "s3_secret_key": "b"}
    return Settings.model_validate({"data_dir": data_dir, **given})


@needs_root
@pytest.mark.parametrize("passable", [True, False])
def test_root_runs_postgres_as_nobody(open_dir: Path, passable: bool) -> None:
    open_dir.chmod(0o755 if passable else 0o700)
    with running_stack(_only_database(open_dir / "data")) as stack:
        assert query(stack.database_url, "select 1") == 1
        status = _status(stack.servers[0].child.pid)
    assert {int(uid) for uid in status["Uid"].split()} == {pwd.getpwnam("nobody").pw_uid}
    assert status["Groups"].strip() == ""
    assert int(status["CapEff"], 16) == (0 if passable else DAC_READ_SEARCH)


@needs_root
def test_without_a_capability_an_impassable_folder_is_refused(open_dir: Path) -> None:
    open_dir.chmod(0o700)
    with pytest.raises(CommandError, match="set CONTEXT_DATA_DIR"):
        postgres_identity(open_dir, find_capability=lambda: None)


@needs_root
@pytest.mark.parametrize("passable", [True, False])
def test_programs_that_postgres_cannot_reach_are_copied(
    open_dir: Path, tmp_path: Path, passable: bool
) -> None:
    installed = installed_package()
    assert installed
    hidden = tmp_path / "site-packages"
    shutil.copytree(installed, hidden / installed.name)
    shutil.copytree(
        installed.with_name(f"{installed.name}.libs"), hidden / f"{installed.name}.libs"
    )
    data_dir = (open_dir if passable else tmp_path) / "data"
    data_dir.mkdir(mode=0o711)
    programs = postgres_programs(
        None,
        data_dir,
        postgres_identity(data_dir),
        package=hidden / installed.name,
        shared_cache=open_dir / "cache",
    )
    settings = Settings(data_dir=data_dir, postgres_bin_dir=programs)
    with embedded_database(settings) as database_url:
        assert query(database_url, "select 1") == 1
    copies = data_dir / "programs" if passable else open_dir / "cache"
    assert len(list(copies.iterdir())) == 1


@needs_root
def test_a_plain_user_runs_everything_as_himself(open_dir: Path) -> None:
    daemon = pwd.getpwnam("daemon")
    os.chown(open_dir, daemon.pw_uid, daemon.pw_gid)
    # The Python of this machine may lie under root's own home; the capability is to get at it.
    become = ["setpriv", f"--reuid={daemon.pw_uid}", f"--regid={daemon.pw_gid}", "--clear-groups"]
    caps = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    said = subprocess.check_output(
        [*become, *caps, sys.executable, "-c", QUERY, str(open_dir / "data")], text=True
    )
    assert said.split() == [str(daemon.pw_uid), "works"]
    assert (open_dir / "data" / "postgres").stat().st_uid == daemon.pw_uid


@needs_root
def test_data_of_another_user_is_refused(open_dir: Path) -> None:
    (open_dir / "postgres").mkdir()
    os.chown(open_dir / "postgres", pwd.getpwnam("daemon").pw_uid, -1)
    with (
        pytest.raises(CommandError, match="belongs to user"),
        embedded_database(Settings(data_dir=open_dir)),
    ):
        pass
