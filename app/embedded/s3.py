"""SeaweedFS in the data dir: an S3 server in one process, on loopback."""

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
from app.embedded.errors import StackError
from app.embedded.identity import Identity
from app.embedded.process import Child, Command, plain_environment
from app.embedded.sockets import make_socket_dir, socket_dir
from app.settings import Settings

_GRPC = 10_000  # weed adds this to a port for its gRPC twin
_PARTS = {"master": 0, "volume": 2, "filer": 4, "s3": 6, "admin": 8}
# All of them below 32768, where the kernel takes ports for outgoing connections.
_BASES = range(10_300, 22_000, 10)


class SeaweedFS:
    """The server of one data dir."""

    name = "the S3 server"

    def __init__(self, settings: Settings, credentials: Credentials, *, inherit: int) -> None:
        data_dir = settings.data_dir
        self._data = data_dir / "s3"
        self._sockets = socket_dir(data_dir, "s3")
        program = weed_program()
        self._base, self._claim = _choose_base(data_dir / "ports.json")
        environment = plain_environment() | {
            "AWS_ACCESS_KEY_ID": credentials.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.s3_secret_key,
            "S3_BUCKET": f"{settings.s3_asset_bucket},{settings.s3_temp_bucket}",
            "WEED_JWT_SIGNING_KEY": credentials.s3_volume_write_key,
            "WEED_JWT_SIGNING_READ_KEY": credentials.s3_volume_read_key,
            "WEED_JWT_FILER_SIGNING_KEY": credentials.s3_filer_write_key,
            "WEED_JWT_FILER_SIGNING_READ_KEY": credentials.s3_filer_read_key,
            "GOMEMLIMIT": "512MiB",  # without it the garbage collector lets it grow to 1 GB
        }
        self.child = Child(
            Command(
                name=self.name,
                argv=self._argv(program),
                environment=environment,
                stop_signal=signal.SIGTERM,
                # Every second stop or so it hangs, after its data is written; what is acknowledged
                # survives a kill.
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
        """Where it listens."""
        return _endpoint(self._base)

    def prepare(self) -> None:
        """Make its folders."""
        self._data.mkdir(mode=0o700, exist_ok=True)
        make_socket_dir(self._sockets, Identity())

    def is_ready(self) -> bool:
        """Whether it stores an object: its status page says so too early."""
        try:
            obstore.put(self._store, ".ready", b"")
            obstore.delete(self._store, ".ready")
        except (BaseError, OSError):  # OSError: no such bucket yet
            return False
        return True

    def clean_up(self) -> None:
        """Give up its ports; remove the sockets that it makes in /tmp, and leaves there."""
        self._claim.close()
        for part, offset in _PARTS.items():
            port = self._base + offset + _GRPC
            # Somebody else's file of that name is theirs to remove.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink()  # noqa: S108

    def _argv(self, program: Path) -> list[str]:
        options = {
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
        options |= {f"{part}.port": self._base + offset for part, offset in _PARTS.items()}
        flags = [f"-{name}={value}" for name, value in options.items()]
        return [str(program), "-logtostderr=true", "mini", *flags]


def running_endpoint(data_dir: Path) -> str:
    """Return where the server of a running stack listens."""
    return _endpoint(int(json.loads((data_dir / "ports.json").read_text())["s3"]))


def _endpoint(base: int) -> str:
    return f"http://127.0.0.1:{base + _PARTS['s3']}"


def _choose_base(memory: Path) -> tuple[int, socket.socket]:
    """Return the first of ten free ports, and what keeps other stacks off them until it is closed.

    They are those of the last time if they are still free.
    """
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        remembered = int(json.loads(memory.read_text())["s3"])
        if remembered in _BASES and (claim := _claim(remembered)):
            return remembered, claim
    for base in random.sample(_BASES, 50):
        if claim := _claim(base):
            memory.write_text(json.dumps({"s3": base}) + "\n")
            return base, claim
    raise StackError("found no ten free ports on 127.0.0.1 for the embedded S3 server")


def _claim(base: int) -> socket.socket | None:
    """Take a port between those of the server, which itself binds to them a second later."""
    claim = socket.socket()
    try:
        claim.bind(("127.0.0.1", base + 1))
    except OSError:
        claim.close()
        return None
    if _free(base):
        return claim
    claim.close()
    return None


def _free(base: int) -> bool:
    ports = [base + offset + twin for offset in _PARTS.values() for twin in (0, _GRPC)]
    return all(_bindable(port) for port in ports)


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        # As the server itself does: a port whose last connections still linger counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
