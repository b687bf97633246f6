"""Optional packages, imported on demand."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from processing_context.errors import MissingDependencyError

_EXTRAS = {
    "PIL": "image",
    "numpy": "image",
    "pydub": "audio",
    "pandas": "dataframe",
    "pyarrow": "dataframe",
    "sklearn": "model",
    "skops": "model",
    "chromadb": "chroma",
    "fontTools": "fonts",
    "pymupdf_fonts": "fonts",
    "noto_cjk_sans_otc": "fonts",
}
"""Extras that install a module."""


def is_installed(module: str) -> bool:
    """Return True if a module can be found; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a parent package is missing, or imports are blocked
        return False


def how_to_install(module: str) -> str:
    """Return the command that installs a missing module."""
    extra = _EXTRAS.get(module.split(".", maxsplit=1)[0])
    return f'pip install "processing-context[{extra}]"' if extra else f"pip install {module}"


def require(module: str, *, extra: str) -> Any:  # a module of any shape
    """Import a module of an extra.

    Raises:
        MissingDependencyError: The module is not installed; the message names the `pip` command.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        if exc.name is not None and exc.name.split(".")[0] != module.split(".", maxsplit=1)[0]:
            raise  # the package is installed, but broken
        raise MissingDependencyError(
            f"{module.split('.', maxsplit=1)[0]} is not installed; run: "
            f'pip install "processing-context[{extra}]"',
            name=module,
        ) from exc
