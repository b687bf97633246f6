"""Saving of a job's outputs as files."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing_context.wire.media_types import extension_of

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

_UNSAFE = re.compile(r"[^\w.-]+")


async def save_outputs(
    context: ProcessingContext, outputs: Mapping[str, Any], directory: Path
) -> dict[str, list[str]]:
    """Save each output in a directory; return `{output name: paths}`.

    Refs are downloaded (lists of refs one by one), texts become `.txt`, other values `.json`.
    """
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    saved: dict[str, list[str]] = {}
    taken: set[str] = set()
    for name, value in outputs.items():
        files = value if isinstance(value, list) and value and all(map(is_file, value)) else [value]
        saved[name] = []
        for file in files:
            suffix, content = await _content(context, file)
            path = directory / _free_name(name, suffix, taken)
            await asyncio.to_thread(_write, path, content)
            saved[name].append(str(path))
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


def _free_name(name: str, suffix: str, taken: set[str]) -> str:
    # The names of outputs must not choose paths on this machine.
    stem = _UNSAFE.sub("_", name).strip("._") or "output"
    found, number = f"{stem}{suffix}", 1
    while found.lower() in taken:
        number += 1
        found = f"{stem}-{number}{suffix}"
    taken.add(found.lower())
    return found


def _write(path: Path, content: Any) -> None:
    with path.open("wb") as target:
        if isinstance(content, bytes):
            target.write(content)
        else:
            with content:
                shutil.copyfileobj(content, target)
