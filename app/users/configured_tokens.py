"""Tokens that the operator sets, by a setting or by a file in the data directory."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from app.http.auth import JOB_PREFIX, USER_PREFIX, hash_token, new_token
from app.runtime.errors import CommandError
from app.runtime.private_files import write_private
from app.settings import Settings

logger = logging.getLogger(__name__)

ALL_SCOPES = ("user", "worker", "fleet", "admin")
WELL_KNOWN = frozenset(
    {
        "development-only-token",
        "development-only-secret-key",
        "a-token-that-tests-know-0123456789",
        "a-token-of-this-test-0123456789",
        "given-by-the-test",
    }
)
"""Values that were published with earlier releases; they are refused."""
_TOKEN = re.compile(rf"(?!{JOB_PREFIX})[A-Za-z0-9._-]{{16,200}}")


@dataclass(frozen=True, slots=True)
class TokenKind:
    """A kind of configured token: its setting, its file in the data directory, its scopes."""

    purpose: Literal["bootstrap", "worker"]
    variable: str
    file: str
    name: str
    scopes: tuple[str, ...]


FIRST_USER = TokenKind(
    "bootstrap", "CONTEXT_BOOTSTRAP_TOKEN", "token", "first token", scopes=ALL_SCOPES
)
WORKER = TokenKind(
    "worker", "CONTEXT_WORKER_TOKEN", "worker-token", "worker token", scopes=("worker", "fleet")
)


@dataclass(frozen=True, slots=True)
class ConfiguredToken:
    """A token and its source: the name of a setting, or the path of a file."""

    secret: str = field(repr=False)
    source: str
    is_file: bool

    @property
    def hash(self) -> bytes:
        """The hash under which the token is stored."""
        return hash_token(self.secret)


def read(kind: TokenKind, settings: Settings) -> ConfiguredToken | None:
    """Return the token of a kind from its setting, else from its file; None without both.

    Raises:
        CommandError: The value is not a token, or a well-known one.
    """
    given = _setting(kind, settings)
    if given is not None:
        return _checked(ConfiguredToken(given.get_secret_value().strip(), kind.variable, False))
    path = _path(kind, settings)
    try:
        text = path.read_text(errors="replace")
        is_open = path.stat().st_mode & 0o077 != 0
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(
            f"cannot read {path} ({error.strerror}): make it readable, or set {kind.variable}"
        ) from error
    if is_open:
        logger.warning("%s holds a token and is open to other users: chmod 600 it", path)
    return _checked(ConfiguredToken(text.strip(), str(path), True))


def generate(kind: TokenKind, settings: Settings) -> ConfiguredToken:
    """Write a new token into the file of its kind, which only its owner can read.

    Raises:
        CommandError: The file cannot be written.
    """
    path = _path(kind, settings)
    token = ConfiguredToken(new_token(USER_PREFIX), str(path), True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, token.secret + "\n")
    except OSError as error:
        raise CommandError(
            f"cannot write a token to {path} ({error.strerror}): set {kind.variable}, or "
            "CONTEXT_DATA_DIR to a folder that the service can write to"
        ) from error
    return token


def _setting(kind: TokenKind, settings: Settings) -> SecretStr | None:
    return settings.bootstrap_token if kind is FIRST_USER else settings.worker_token


def _path(kind: TokenKind, settings: Settings) -> Path:
    return settings.data_dir.expanduser().absolute() / kind.file


def _checked(token: ConfiguredToken) -> ConfiguredToken:
    if token.secret in WELL_KNOWN:
        raise CommandError(
            f"the token of {token.source} is a published development value, which everybody "
            "knows: set a random one (python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
            ")"
        )
    if not _TOKEN.fullmatch(token.secret):
        raise CommandError(
            f"the value of {token.source} is not a token: it must have 16 to 200 characters of "
            f"A-Z a-z 0-9 . _ - and must not begin with {JOB_PREFIX}"
        )
    return token
