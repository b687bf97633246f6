"""Who a server runs as. PostgreSQL refuses to run as root, so for root it runs as `nobody`."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.embedded.errors import StackError

# Each lets a process pass folders that it may not enter; the first gives less, the second is the
# one that containers keep.
_PASSING = {"dac_read_search": 2, "dac_override": 1}


@dataclass(frozen=True)
class Identity:
    """The user to become; `capability` is kept on the way, to pass folders above the data."""

    user: pwd.struct_passwd | None = None
    capability: str | None = None

    @property
    def uid(self) -> int:
        """The user id that the server's files must have."""
        return os.geteuid() if self.user is None else self.user.pw_uid

    def own(self, path: Path) -> None:
        """Make a file or folder this user's."""
        if self.user is None:
            return
        try:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        except OSError as error:
            raise StackError(
                f"PostgreSQL does not run as root, and {path} cannot be given to user "
                f"{self.user.pw_name} ({error.strerror}): start the service as another user"
            ) from error

    def wrap(self, argv: list[str], death_signal: signal.Signals) -> list[str]:
        """Return the command line; setpriv changes the user, which clears the signal set before."""
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
        """Return what `subprocess` needs to become this user without setpriv."""
        if self.user is None or self.capability is not None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}


def may_pass(user: pwd.struct_passwd, path: Path) -> bool:
    """Whether a user without groups may enter `path` and every folder above it."""
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


def _usable_capability() -> str | None:
    if shutil.which("setpriv") is None:
        return None
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    held = int(status["CapPrm"], 16) & int(status["CapBnd"], 16)
    return next((name for name, bit in _PASSING.items() if held >> bit & 1), None)


def postgres_identity(data_dir: Path) -> Identity:
    """Return who PostgreSQL is to run as, given where its data lies.

    Raises:
        StackError: We are root, and `nobody` cannot get at the data dir.
    """
    if os.geteuid() != 0:
        return Identity()
    nobody = pwd.getpwnam("nobody")
    if may_pass(nobody, data_dir):
        return Identity(nobody)
    capability = _usable_capability()
    if capability is None:
        raise StackError(
            f"PostgreSQL does not run as root, and user nobody may not enter {data_dir}: set "
            "CONTEXT_DATA_DIR to a folder that others may pass, such as "
            "/var/lib/processing-context, or start the service as another user"
        )
    return Identity(nobody, capability)
