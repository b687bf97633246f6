"""Removal of the worker's token and other secrets from the process, so that nodes see none."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

_FIRST_FIELD, _FIELDS = 45, 4
"""`arg_start, arg_end, env_start, env_end` in `/proc/self/stat`, counted from after the name."""


_SECRET = re.compile(r"CONTEXT_(?:\w+_)?(?:TOKEN|TOKEN_FILE|KEY|DATABASE_URL)")
_SHORTEST_SECRET = 8


def take_secrets() -> list[str]:
    """Remove the secrets of the service from the environment; return their values.

    A worker's environment may hold settings of the service, if both are started with one file.
    """
    names = [name for name in os.environ if _SECRET.fullmatch(name)]
    values = [os.environ.pop(name).strip() for name in names]
    return [value for value in values if len(value) >= _SHORTEST_SECRET]


def blot_out(secret: str) -> None:
    """Remove a secret from the command line and the initial environment of this process.

    `sys.argv` and `os.environ` are copies: `ps` and `/proc` show the memory of the process, to
    nodes and to other processes.
    """
    for arguments in (sys.argv, sys.orig_argv):
        arguments[:] = [argument.replace(secret, "***") for argument in arguments]
    if sys.platform == "linux":
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        bounds = [int(field) for field in fields[_FIRST_FIELD : _FIRST_FIELD + _FIELDS]]
        for start, end in (bounds[:2], bounds[2:]):
            _overwrite(start, end - start, secret.encode())


def _overwrite(start: int, size: int, secret: bytes) -> None:
    content = ctypes.string_at(start, size) if start else b""  # 0: the kernel does not report it
    at = content.find(secret)
    while at >= 0:
        ctypes.memset(start + at, ord("*"), len(secret))
        at = content.find(secret, at + len(secret))
