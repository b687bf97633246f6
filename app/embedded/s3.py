"""Embedded S3 server (SeaweedFS) in one process, on the loopback interface only."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from app.embedded.binaries import weed_program
from app.embedded.credentials import Credentials
from app.embedded.identity import Identity
from app.embedded.process import Child, Command, plain_environment
from app.embedded.unix_sockets import make_socket_dir, socket_dir
from app.runtime.errors import CommandError
from app.settings import Settings

_GRPC = 10_000  # weed adds this to an HTTP port for the gRPC port
_PARTS = {"master": 0, "volume": 2, "filer": 4, "s3": 6, "admin": 8}
# All ports are below 32768, where the kernel's ports for outgoing connections begin.
_BASES = range(10_300, 22_000, 10)


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
        self._data = data_dir / "s3"
        self._sockets = socket_dir(data_dir, "s3")
        program = weed_program()
        self._base, self._reservation = _choose_base(data_dir / "ports.json")
        environment = plain_environment() | {
            "AWS_ACCESS_KEY_ID": credentials.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.s3_secret_key,
            "S3_BUCKET": f"{settings.s3_asset_bucket},{settings.s3_temp_bucket}",
            "WEED_JWT_SIGNING_KEY": credentials.s3_volume_write_key,
            "WEED_JWT_SIGNING_READ_KEY": credentials.s3_volume_read_key,
            "WEED_JWT_FILER_SIGNING_KEY": credentials.s3_filer_write_key,
            "WEED_JWT_FILER_SIGNING_READ_KEY": credentials.s3_filer_read_key,
            "GOMEMLIMIT": "512MiB",  # without it, the process grows to 1 GB
        }
        self.child = Child(
            Command(
                name=self.name,
                argv=self._argv(program, volume_mb),
                environment=environment,
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
        return _endpoint(self._base)

    def prepare(self) -> None:
        """Create the folders of the server."""
        self._data.mkdir(mode=0o700, exist_ok=True)
        make_socket_dir(self._sockets, Identity())

    def is_ready(self) -> bool:
        """Return True if an object can be stored: the status page reports success too early."""
        try:
            obstore.put(self._store, ".ready", b"")
            obstore.delete(self._store, ".ready")
        except (BaseError, OSError):  # OSError: the bucket does not exist yet
            return False
        return True

    def clean_up(self) -> None:
        """Release the ports, and remove the sockets that the server leaves in /tmp."""
        self._reservation.close()
        for part, offset in _PARTS.items():
            port = self._base + offset + _GRPC
            # Files of other users cannot be removed.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink()  # noqa: S108

    def _argv(self, program: Path, volume_mb: int | None) -> list[str]:
        options: dict[str, object] = {
            "dir": self._data,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.telemetry": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "webdav": "false",
            "admin.ui": "false",
            "s3.autoCreateBucket": "false",
            "s3.allowDeleteBucketNotEmpty": "false",
            "volume.preStopSeconds": 0,
            "filer.localSocket": self._sockets / "filer.sock",
            "s3.localSocket": self._sockets / "s3.sock",
        }
        if volume_mb is not None:
            options["master.volumeSizeLimitMB"] = volume_mb
        options |= {f"{part}.port": self._base + offset for part, offset in _PARTS.items()}
        flags = [f"-{name}={value}" for name, value in options.items()]
        return [str(program), "-logtostderr=true", "mini", *flags]


def running_endpoint(data_dir: Path) -> str:
    """Return the URL of the server of a running stack."""
    return _endpoint(int(json.loads((data_dir / "ports.json").read_text())["s3"]))


def _endpoint(base: int) -> str:
    return f"http://127.0.0.1:{base + _PARTS['s3']}"


def _choose_base(memory: Path) -> tuple[int, socket.socket]:
    """Return the first of ten consecutive free ports, and a socket that reserves them.

    The ports of the last start are preferred. The reservation is for other stacks.
    """
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        remembered = int(json.loads(memory.read_text())["s3"])
        if remembered in _BASES and (reservation := _reserve(remembered)):
            return remembered, reservation
    for base in random.sample(_BASES, 50):
        if reservation := _reserve(base):
            memory.write_text(json.dumps({"s3": base}) + "\n")
            return base, reservation
    raise CommandError(
        "the embedded S3 server needs ten consecutive free ports on 127.0.0.1: stop programs that "
        "use ports below 32768"
    )


def _reserve(base: int) -> socket.socket | None:
    """Bind a port that the server does not use, since it binds its own ports a second later."""
    reservation = socket.socket()
    try:
        reservation.bind(("127.0.0.1", base + 1))
    except OSError:
        reservation.close()
        return None
    if _are_free(base):
        return reservation
    reservation.close()
    return None


def _are_free(base: int) -> bool:
    ports = [base + offset + twin for offset in _PARTS.values() for twin in (0, _GRPC)]
    return all(_is_free(port) for port in ports)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Like the server: a port with connections in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
