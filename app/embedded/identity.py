"""User that PostgreSQL runs as: `nobody` for root, since PostgreSQL does not run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.runtime.errors import CommandError

# Capabilities to traverse folders without permission, with their bits: the first one grants less,
# the second one is available in containers.
_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}


@dataclass(frozen=True)
class Identity:
    """User of a server, and the capability it keeps to traverse folders.

    Without a user, the server runs as the user of this process.
    """

    user: pwd.struct_passwd | None = None
    capability: str | None = None

    @property
    def uid(self) -> int:
        """The user id that must own the server's files."""
        return os.geteuid() if self.user is None else self.user.pw_uid

    def own(self, path: Path) -> None:
        """Change the owner of a file or folder to this user."""
        if self.user is None:
            return
        try:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        except OSError as error:
            raise CommandError(
                f"PostgreSQL does not run as root, and the owner of {path} cannot be changed to "
                f"{self.user.pw_name} ({error.strerror}): start the service as another user"
            ) from error

    def wrap(self, argv: list[str], death_signal: signal.Signals) -> list[str]:
        """Return a command line that changes the user with setpriv if a capability is kept.

        Changing the user clears the death signal of a process, so setpriv sets it again.
        """
        if self.user is None or self.capability is None:
            return argv
        capability = f"+{self.capability}"
        return [
            "setpriv",
            f"--reuid={self.user.pw_uid}",
            f"--regid={self.user.pw_gid}",
            "--clear-groups",
            f"--inh-caps={capability}",
            f"--ambient-caps={capability}",
            f"--pdeathsig={death_signal.name.removeprefix('SIG')}",
            *argv,
        ]

    def popen_args(self) -> dict[str, Any]:
        """Return the arguments of `subprocess.Popen` that change the user without setpriv."""
        if self.user is None or self.capability is not None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}


def can_traverse(user: pwd.struct_passwd, path: Path) -> bool:
    """Return True if a user without groups can enter `path` and all of its parents."""
    for folder in (path, *path.parents):
        status = folder.stat()
        if status.st_uid == user.pw_uid:
            bit = stat.S_IXUSR
        elif status.st_gid == user.pw_gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not status.st_mode & bit:
            return False
    return True


def usable_capability() -> str | None:
    """Return a capability of this process that lets another user traverse all folders, or None."""
    if shutil.which("setpriv") is None:
        return None
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    held = int(status["CapPrm"], 16) & int(status["CapBnd"], 16)
    return next((name for name, bit in _CAPABILITIES.items() if held >> bit & 1), None)


def postgres_identity(
    data_dir: Path, find_capability: Callable[[], str | None] = usable_capability
) -> Identity:
    """Return the user that PostgreSQL runs as.

    Args:
        data_dir: The data directory.
        find_capability: Returns the capability to keep.

    Raises:
        CommandError: The process runs as root, and `nobody` cannot traverse the data directory.
    """
    if os.geteuid() != 0:
        return Identity()
    nobody = pwd.getpwnam("nobody")
    if can_traverse(nobody, data_dir):
        return Identity(nobody)
    capability = find_capability()
    if capability is None:
        raise CommandError(
            f"PostgreSQL does not run as root, and user {nobody.pw_name} cannot enter {data_dir}: "
            "set CONTEXT_DATA_DIR to a folder that others can enter, such as "
            "/var/lib/processing-context, or start the service as another user"
        )
    return Identity(nobody, capability)
