"""Embedded PostgreSQL server on a private Unix socket, without a TCP port or a password."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

from app.embedded.binaries import installed_package, postgres_programs
from app.embedded.identity import postgres_identity
from app.embedded.private_dirs import make_private_dir, socket_dir
from app.embedded.process import Child, Command, plain_environment, run
from app.runtime.errors import CommandError
from app.settings import Settings

_PORT = 5432  # names the socket file; no TCP port is opened


class Postgres:
    """The PostgreSQL server of a data directory."""

    def __init__(self, settings: Settings, *, inherit: int) -> None:
        data_dir = settings.data_dir
        self._identity = postgres_identity(data_dir)
        self._programs = postgres_programs(
            settings.postgres_bin_dir, data_dir, self._identity, package=installed_package()
        )
        self._data = data_dir / "postgres"
        self._sockets = socket_dir(data_dir, "postgres")
        self.child = Child(self._server(data_dir / "log" / "postgres.log"), inherit=inherit)

    @property
    def psql(self) -> str:
        """A command line that opens the database; PostgreSQL's own `psql`, or that of the PATH."""
        program = self._programs / "psql"
        name = str(program) if program.exists() else "psql"
        return shlex.join([name, "-h", str(self._sockets), "-U", "app", "context"])

    def prepare(self) -> None:
        """Create the cluster and the database at the first start."""
        make_private_dir(self._sockets, self._identity)
        if not self._data.exists():
            self._create()
        owner = self._data.stat().st_uid
        if owner != self._identity.uid:
            raise CommandError(
                f"{self._data} belongs to user {owner}, but PostgreSQL would run as user "
                f"{self._identity.uid}: start the service as the user who created the data dir"
            )
        self._check_version()

    def is_ready(self) -> bool:
        """Return True if the server accepts connections."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.child.pid) and lines[7].strip() == "ready"

    def clean_up(self) -> None:
        """Remove the folder of the socket if it is outside the data directory."""
        if self._sockets.parent != self._data.parent:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _server(self, log: Path) -> Command:
        settings = {
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "log_checkpoints": "off",
        }
        argv = [str(self._programs / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        return self._command("PostgreSQL", argv, log)

    def _command(self, name: str, argv: list[str], log: Path | None = None) -> Command:
        return Command(
            name=name,
            argv=argv,
            environment=plain_environment(),
            stop_signal=signal.SIGINT,  # fast shutdown
            death_signal=signal.SIGINT,
            stop_s=30,  # it writes a checkpoint
            log=log,
            identity=self._identity,
        )

    def _create(self) -> None:
        """Create the cluster atomically: in a temporary folder that is renamed at the end."""
        new = self._data.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        self._identity.own(new)
        options = ["--username=app", "--encoding=UTF8", "--locale=C"]
        auth = ["--auth-local=trust", "--auth-host=reject"]
        initdb = [str(self._programs / "initdb"), "-D", str(new), *options, *auth]
        run(self._command("initdb", initdb))
        single = [str(self._programs / "postgres"), "--single", "-D", str(new), "template1"]
        run(self._command("CREATE DATABASE", single), stdin=b"CREATE DATABASE context\n")
        new.rename(self._data)

    def _check_version(self) -> None:
        made_by = (self._data / "PG_VERSION").read_text().strip()
        said = subprocess.check_output(  # noqa: S603
            [self._programs / "postgres", "--version"], text=True
        )
        found = re.search(r"\d+", said)
        if found is None or found[0] != made_by:
            raise CommandError(
                f"{self._data} was created by PostgreSQL {made_by}, the programs in "
                f"{self._programs} are {said.strip()}: set CONTEXT_POSTGRES_BIN_DIR "
                f"to a PostgreSQL {made_by}, or move the data with pg_upgrade"
            )


def database_url(data_dir: Path) -> str:
    """Return the SQLAlchemy URL of the database of a data directory."""
    host = quote(str(socket_dir(data_dir, "postgres")), safe="/")
    return f"postgresql+asyncpg://app@/context?host={host}&port={_PORT}"
