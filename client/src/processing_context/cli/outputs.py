"""Saving of a job's outputs as files."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from processing_context._local_files import marked, safe_name
from processing_context.errors import ContextError
from processing_context.wire.media_types import extension_of

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

_UNSAFE = re.compile(r"[^\w.-]+")


class SavedOutputs(NamedTuple):
    """The files that outputs were saved as, and an error message for each output that was not."""

    paths: dict[str, list[str]]
    errors: dict[str, str]


async def save_outputs(
    context: ProcessingContext,
    outputs: Mapping[str, Any],
    directory: Path,
    *,
    is_overwriting: bool = False,
) -> SavedOutputs:
    """Save each output in a directory.

    Refs are downloaded (lists of refs one by one), texts become `.txt`, other values `.json`. An
    existing file is replaced only if `is_overwriting` is true, else another name is used. An output
    that cannot be saved does not keep the others from it.
    """
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    target = _Target(directory, is_overwriting)
    saved = SavedOutputs({}, {})
    for name, value in outputs.items():
        files = value if isinstance(value, list) and value and all(map(is_file, value)) else [value]
        saved.paths[name] = []
        try:
            for file in files:
                suffix, content = await _content(context, file)
                path = await asyncio.to_thread(target.write, name, suffix, content)
                saved.paths[name].append(str(path))
        except (ContextError, OSError, ValueError) as error:
            saved.errors[name] = str(error)
    return saved


def is_file(value: Any) -> bool:
    """Return True if a value is a ref to a stored file."""
    return (
        isinstance(value, dict)
        and "type" in value
        and bool(value.get("asset_id") or value.get("uri"))
    )


async def _content(context: ProcessingContext, value: Any) -> tuple[str, Any]:
    if is_file(value):
        return await _suffix(context, value), await context.asset_to_io(value)
    if isinstance(value, str):
        return ".txt", value.encode()
    return ".json", json.dumps(value, ensure_ascii=False, indent=2).encode()


async def _suffix(context: ProcessingContext, ref: Mapping[str, Any]) -> str:
    if ref.get("asset_id"):
        asset = await context.find_asset(ref["asset_id"])
        extension = extension_of(asset.content_type, default="")
        return f".{extension}" if extension else ""
    return Path(ref["uri"].partition("?")[0]).suffix


class _Target:
    """A directory in which outputs are saved under free names."""

    def __init__(self, directory: Path, is_overwriting: bool) -> None:
        self._directory = directory
        self._is_overwriting = is_overwriting
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def write(self, name: str, suffix: str, content: Any) -> Path:
        """Create the file of an output; return its path."""
        while True:
            path = self._directory / self._free_name(name, suffix)
            try:
                _write(path, content, "wb" if self._is_overwriting else "xb")
            except FileExistsError:
                continue
            return path

    def _free_name(self, name: str, suffix: str) -> str:
        # The names of outputs must not choose paths on this machine.
        stem = _UNSAFE.sub("_", name).strip("._") or "output"
        full = safe_name(f"{stem}{suffix}")
        free = full
        while free.casefold() in self._taken:
            number = self._numbers[full] = self._numbers.get(full, 1) + 1
            free = marked(full, f"-{number}")
        self._taken.add(free.casefold())
        return free


def _write(path: Path, content: Any, mode: str) -> None:
    with path.open(mode) as target:
        if isinstance(content, bytes):
            target.write(content)
        else:
            with content:
                shutil.copyfileobj(content, target)
