"""Security configuration of the S3 server: certificates and keys for its internal ports.

Without it, every user of the machine could list, read and delete objects through the gRPC and HTTP
ports behind the S3 port. `weed -config_dir=<folder> shell` uses the same file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from app.embedded.certificates import Certificates, issue_certificates
from app.embedded.credentials import Credentials
from app.runtime.private_files import write_private

_GRPC = ("master", "volume", "filer", "s3", "admin", "worker", "client")
# Not "volume", the port for the bytes: TLS takes as much CPU time as the rest of a download. Every
# read and write there needs a token for the one file that it names (`jwt.signing`).
_HTTPS = ("master", "filer", "admin")

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
