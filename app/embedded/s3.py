"""Embedded S3 server (SeaweedFS) in one process, on the loopback interface only."""

from __future__ import annotations

import contextlib
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from app.embedded.binaries import weed_program
from app.embedded.credentials import Credentials
from app.embedded.identity import Identity
from app.embedded.private_dirs import make_private_dir, socket_dir
from app.embedded.process import Child, Command, plain_environment
from app.embedded.s3_ports import choose_base, remembered_base
from app.embedded.s3_security import check_security, write_security
from app.embedded.weed import PARTS, Weed, grpc_sockets, internal_ports, weed_environment
from app.settings import Settings


class SeaweedFS:
    """The S3 server of a data directory.

    Args:
        settings: The settings.
        credentials: The keys of the server.
        inherit: File descriptor that the process inherits.
        volume_mb: Size of a volume in MiB; by default SeaweedFS chooses it by the free disk space.
            A bucket with objects needs at least one volume, and the free space divided by the size
            is the number of volumes that can exist.
    """

    name = "the S3 server"

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        *,
        inherit: int,
        volume_mb: int | None = None,
    ) -> None:
        data_dir = settings.data_dir
        self._credentials = credentials
        program = weed_program()
        base, self._reservation = choose_base(data_dir / "ports.json")
        self._weed = Weed(
            program,
            data=data_dir / "s3",
            security=data_dir / "s3-security",
            sockets=socket_dir(data_dir, "s3"),
            base=base,
            volume_mb=volume_mb,
        )
        self.child = Child(
            Command(
                name=self.name,
                argv=self._weed.argv(),
                environment=plain_environment() | weed_environment(settings, credentials),
                stop_signal=signal.SIGTERM,
                # It often hangs in its shutdown, after its data is written; acknowledged writes
                # survive a kill.
                stop_s=2,
                death_signal=signal.SIGKILL,
                log=data_dir / "log" / "s3.log",
            ),
            inherit=inherit,
        )
        self._store = S3Store(
            settings.s3_temp_bucket,
            endpoint=self.endpoint,
            region=settings.s3_region,
            access_key_id=credentials.s3_access_key,
            secret_access_key=credentials.s3_secret_key,
            client_options={"allow_http": True, "timeout": timedelta(seconds=2)},
            retry_config={"max_retries": 0},
        )

    @property
    def endpoint(self) -> str:
        """The URL of the S3 API."""
        return _endpoint(self._weed.base)

    def prepare(self) -> None:
        """Create the folders of the server, and new certificates."""
        self._weed.data.mkdir(mode=0o700, exist_ok=True)
        for folder in (self._weed.sockets, self._weed.security):
            make_private_dir(folder, Identity())
        write_security(self._weed.security, self._credentials)

    def is_ready(self) -> bool:
        """Return True if an object can be stored: the status page reports success too early.

        Raises:
            CommandError: An internal port is open to other users.
        """
        try:
            obstore.put(self._store, ".ready", b"")
            obstore.delete(self._store, ".ready")
        except (BaseError, OSError):  # OSError: the bucket does not exist yet
            return False
        check_security(self._weed.security, internal_ports(self._weed.base))
        return True

    def clean_up(self) -> None:
        """Release the ports, and remove the files outside the data directory."""
        self._reservation.close()
        for socket_file in grpc_sockets(self._weed.base):
            # Files of other users cannot be removed.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                socket_file.unlink()
        if self._weed.sockets.parent != self._weed.data.parent:
            shutil.rmtree(self._weed.sockets, ignore_errors=True)


def running_endpoint(data_dir: Path) -> str:
    """Return the URL of the server of a running stack."""
    return _endpoint(remembered_base(data_dir / "ports.json"))


def _endpoint(base: int) -> str:
    return f"http://127.0.0.1:{base + PARTS['s3']}"
