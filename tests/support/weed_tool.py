"""The program `weed` as the tool of an attacker, or of the owner of a server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from app.embedded.stack import Stack
from app.embedded.weed import PARTS

_REFUSED_S = 5
_CONNECTED_S = 120


class WeedTool:
    """The program, in a folder that every user can enter, and the S3 server of a running stack.

    Attributes:
        pid: Process id of the server.
        ports: HTTP ports of the server's parts.
        security: Folder of the credentials.
        folder: Working directory.
    """

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.folder = folder
        self.security = stack.settings.data_dir / "s3-security"
        [server] = [s for s in stack.servers if s.child.command.name == "the S3 server"]
        self.pid = server.child.pid
        program, *arguments = server.child.command.argv
        flags = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
        self.ports = {part: int(flags[f"-{part}.port"]) for part in PARTS}
        self._program = folder / "weed"
        shutil.copy(program, self._program)
        self._program.chmod(0o755)

    def shell(self, command: str, *, as_owner: bool) -> str:
        """Run a command of `weed shell`; return its output."""
        servers = [f"-{part}=127.0.0.1:{self.ports[part]}" for part in ("master", "filer")]
        return self.run("shell", *servers, stdin=f"{command}\nexit\n", as_owner=as_owner)

    def run(self, *arguments: str, stdin: str = "", as_owner: bool) -> str:
        """Run it as the owner with the credentials, or as `nobody`; return its output.

        Without a connection, it tries again until it is killed.
        """
        config = [f"-config_dir={self.security}"] if as_owner else []
        become = {} if as_owner else {"user": "nobody", "group": "nogroup", "extra_groups": []}
        process = subprocess.Popen(
            [self._program, *config, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={"HOME": str(self.folder), "PATH": os.environ["PATH"]},
            **become,  # type: ignore[call-overload]
        )
        try:
            return str(process.communicate(stdin, _CONNECTED_S if as_owner else _REFUSED_S)[0])
        except subprocess.TimeoutExpired:
            process.kill()
            return str(process.communicate()[0])
