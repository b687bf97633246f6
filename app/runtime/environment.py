"""Check of the environment for variables that have the prefix of settings."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dotenv import dotenv_values

from app.settings import Settings

PREFIX = "CONTEXT_"
OF_THE_CLIENT = frozenset(
    {"CONTEXT_URL", "CONTEXT_TOKEN", "CONTEXT_TOKEN_FILE", "CONTEXT_STORAGE_NETWORK"}
)
"""Variables that the Python client and the worker read."""


def unknown_variables(file: Path | None) -> Iterator[str]:
    """Yield a sentence for each variable with the prefix that is not a setting.

    Args:
        file: File with more variables, see `read_settings`.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | OF_THE_CLIENT
    yield from _unknown(os.environ, "the environment", known)
    if file is not None:
        yield from _unknown(dotenv_values(file), str(file), known)


def _unknown(names: Iterable[str], place: str, known: set[str]) -> Iterator[str]:
    for name in names:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            close = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)
            hint = f" (did you mean {close[0]}?)" if close else ""
            yield f"{name} in {place} is not a setting and has no effect{hint}"
