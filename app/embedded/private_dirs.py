"""Private folders for Unix sockets and keys: PostgreSQL trusts every client on its socket."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from app.embedded.identity import Identity
from app.runtime.errors import CommandError

_LONGEST_ADDRESS = 91
_LONGEST_NAME = ".s.PGSQL.5432"


def socket_dir(data_dir: Path, server: str) -> Path:
    """Return the folder for a socket: in the data directory, or for long paths a temporary one."""
    inside = data_dir / f"{server}-run"
    if len(bytes(inside / _LONGEST_NAME)) <= _LONGEST_ADDRESS:
        return inside
    name = hashlib.sha256(bytes(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"processing-context-{name}-{server}"


def make_private_dir(path: Path, identity: Identity) -> None:
    """Create the folder, or check that of an earlier start.

    Raises:
        CommandError: The folder belongs to another user, or other users can enter it.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    is_own = status.st_uid in (os.geteuid(), identity.uid)
    if not is_own or status.st_mode & 0o077 or path.is_symlink():
        raise CommandError(
            f"{path}, for sockets or keys of a server, is not private (another owner, or mode not "
            "700): remove it"
        )
    identity.own(path)
