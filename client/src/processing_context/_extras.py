"""Optional packages, imported on demand."""

from __future__ import annotations

import importlib
from typing import Any

from processing_context.errors import MissingDependencyError


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
