"""Stacks of their own: these tests kill them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded.stack import Stack, running_stack
from app.settings import Settings


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A folder that every user may pass; pytest's own are under a folder of mode 700."""
    path = Path(tempfile.mkdtemp(prefix="context-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack, in a data dir where a start before was killed in the middle of initdb."""
    data_dir = tmp_path_factory.mktemp("data")
    (data_dir / "postgres.new").mkdir()
    (data_dir / "postgres.new" / "PG_VERSION").write_text("18\n")
    with running_stack(Settings(data_dir=data_dir)) as stack:
        yield stack


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def only_storage(data_dir: Path) -> Settings:
    """Return settings with which a stack starts the S3 server alone."""
    given = {"database_url": "postgresql+asyncpg://app@db.example/context", "secret_key": "k" * 32}
    return Settings.model_validate({"data_dir": data_dir, **given})
