"""Credentials of a data directory, generated at the first start and stored in a private file."""

from __future__ import annotations

import fcntl
import secrets
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from app.embedded.lock import open_lock_file
from app.runtime.errors import CommandError
from app.runtime.private_files import write_private


def _secret() -> str:
    return secrets.token_hex(32)


class Credentials(BaseModel):
    """Credentials; the defaults generate those missing in the file of an earlier release."""

    s3_access_key: str = Field(default_factory=lambda: secrets.token_hex(10))
    s3_secret_key: str = Field(default_factory=_secret)
    # Without these keys, all users of the machine could use the S3 server's internal HTTP ports.
    s3_volume_write_key: str = Field(default_factory=_secret)
    s3_volume_read_key: str = Field(default_factory=_secret)
    s3_filer_write_key: str = Field(default_factory=_secret)
    s3_filer_read_key: str = Field(default_factory=_secret)
    secret_key: str = Field(default_factory=_secret)


def load_credentials(data_dir: Path) -> Credentials:
    """Return the credentials of a data directory; generate them at the first start.

    Replicas that share the directory may call this at the same time.

    Raises:
        CommandError: The file is damaged, or cannot be read or written.
    """
    try:
        with open_lock_file(data_dir / "credentials.lock") as fd:
            fcntl.flock(fd, fcntl.LOCK_EX)
            return _load(data_dir / "credentials.json")
    except OSError as error:
        raise CommandError(
            f"cannot use {error.filename} ({error.strerror}): make {data_dir} writable for the "
            "service, or set CONTEXT_DATA_DIR to another folder"
        ) from error


def _load(path: Path) -> Credentials:
    try:
        before = path.read_text()
        credentials = Credentials.model_validate_json(before)
    except FileNotFoundError:
        before, credentials = "", Credentials()
    except ValidationError as error:
        raise CommandError(
            f"{path} is damaged: restore it from a backup (without it, the keys of the embedded S3 "
            "server and the stored secrets are lost)"
        ) from error
    after = credentials.model_dump_json(indent=2) + "\n"
    if after != before:
        write_private(path, after)
    return credentials
