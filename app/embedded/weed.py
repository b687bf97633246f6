"""Command line, environment and files of `weed mini`, the program of the S3 server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.embedded.credentials import Credentials
from app.settings import Settings

GRPC = 10_000
"""Offset of the gRPC port of a part from its HTTP port."""
PARTS = {"master": 0, "volume": 2, "filer": 4, "s3": 6, "admin": 8}
"""Offsets of the HTTP ports from the first one."""


@dataclass(frozen=True)
class Weed:
    """A server.

    Attributes:
        program: The program.
        data: Folder of the data.
        security: Folder of `security.toml`.
        sockets: Private folder for the sockets of HTTP.
        base: The first port, see `PARTS`.
        bind: Address to listen on.
        volume_mb: See `SeaweedFS`.
    """

    program: Path
    data: Path
    security: Path
    sockets: Path
    base: int
    bind: str = "127.0.0.1"
    volume_mb: int | None = None

    def argv(self) -> list[str]:
        """Return the command line; it has no secrets."""
        options: dict[str, object] = {
            "dir": self.data,
            "ip": "127.0.0.1",
            "ip.bind": self.bind,
            "master.telemetry": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "webdav": "false",
            "admin.ui": "false",
            "s3.autoCreateBucket": "false",
            "s3.allowDeleteBucketNotEmpty": "false",
            "volume.preStopSeconds": 0,
            "filer.localSocket": self.sockets / "filer.sock",
            "s3.localSocket": self.sockets / "s3.sock",
        }
        if self.volume_mb is not None:
            options["master.volumeSizeLimitMB"] = self.volume_mb
        options |= {f"{part}.port": self.base + offset for part, offset in PARTS.items()}
        flags = [f"-{name}={value}" for name, value in options.items()]
        return [
            str(self.program),
            f"-config_dir={self.security}",
            "-logtostderr=true",
            "mini",
            *flags,
        ]


def internal_ports(base: int) -> list[int]:
    """Return the ports that need a certificate and are open once objects can be stored."""
    grpc = [base + PARTS[part] + GRPC for part in ("master", "volume", "filer", "s3")]
    return [base + PARTS["master"], base + PARTS["filer"], *grpc]


def grpc_sockets(base: int) -> list[Path]:
    """Return the sockets of gRPC; the program has no option for another folder."""
    ports = {part: base + offset + GRPC for part, offset in PARTS.items()}
    return [
        Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock")  # noqa: S108
        for part, port in ports.items()
    ]


def weed_environment(settings: Settings, credentials: Credentials) -> dict[str, str]:
    """Return the variables that the server needs."""
    return {
        "AWS_ACCESS_KEY_ID": credentials.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.s3_secret_key,
        "S3_BUCKET": f"{settings.s3_asset_bucket},{settings.s3_temp_bucket}",
        "GOMEMLIMIT": "512MiB",  # without it, the process grows to 1 GB
    }
