"""Paths of the entries of an archive: safe on every operating system, and unique."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from app.assets.archive_queries import ArchiveAsset
from app.http.problems import TooLarge
from processing_context.wire.assets import FOLDER

MAX_MEMBERS = 50_000
MAX_PATH_BYTES = 32_000
MAX_PATHS_BYTES = 32 * 1024 * 1024
"""Limit for all paths of an archive together, which the zip's directory holds in memory."""
MAX_PART_BYTES = 240
_MAX_EXTENSION_BYTES = 16
_SLICE = 100
"""Number of entries after which the event loop runs other tasks."""

# Windows forbids these characters in names, and reserves these names for devices.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)


@dataclass(frozen=True, slots=True)
class Member:
    """Entry of the zip; the path of a folder ends in a slash."""

    path: str
    asset: ArchiveAsset


class UniqueNames:
    """Names of one folder, each made unique in constant time, ignoring case."""

    def __init__(self) -> None:
        self._last_number: dict[str, int] = {}

    def add(self, name: str) -> str:
        """Return a name that has not been returned before: `a.txt`, then `a (2).txt`."""
        key = name.casefold()
        if key not in self._last_number:
            self._last_number[key] = 1
            return name
        stem, dot, extension = name.rpartition(".")
        if not stem:
            stem, dot, extension = name, "", ""
        number = self._last_number[key]
        free = key
        while free in self._last_number:
            number += 1
            unique = f"{stem} ({number}){dot}{extension}"
            free = unique.casefold()
        self._last_number[key] = number
        self._last_number[free] = 1
        return unique


async def members(
    tops: Iterable[ArchiveAsset], children: dict[str | None, list[ArchiveAsset]]
) -> AsyncIterator[Member]:
    """Yield the entries of an archive in slices, between which the loop runs other tasks.

    Args:
        tops: The assets at the top level of the archive.
        children: The contents of each folder.

    Raises:
        TooLarge: The paths are too long, or there are too many entries.
    """
    folders: list[tuple[str, Iterable[ArchiveAsset]]] = [("", tops)]
    count, total = 0, 0
    while folders:
        above, inside = folders.pop()
        names = UniqueNames()
        for asset in inside:
            path = above + names.add(safe_name(asset.name))
            if asset.content_type == FOLDER:
                path += "/"
                folders.append((path, children.get(asset.id, ())))
            count += 1
            size = len(path.encode())
            total += size
            if count > MAX_MEMBERS or size > MAX_PATH_BYTES or total > MAX_PATHS_BYTES:
                raise TooLarge(
                    "The paths in the archive are too long, or it has too many files and folders."
                )
            yield Member(path, asset)
            if count % _SLICE == 0:
                await asyncio.sleep(0)


def safe_name(name: str) -> str:
    """Return a name that is a valid path component on every operating system."""
    clean = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name))
    if not clean.isprintable():
        clean = "".join(c if c.isprintable() else "_" for c in clean)
    clean = clean.rstrip(". ").lstrip(" ") or "_"
    if clean.partition(".")[0].strip().casefold() in _DEVICES:
        clean = f"_{clean}"
    return _shortened(clean)


def _shortened(name: str) -> str:
    """Return a name of at most `MAX_PART_BYTES`, with its extension."""
    if len(name.encode()) <= MAX_PART_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > _MAX_EXTENSION_BYTES:
        stem, dot, extension = name, "", ""
    stem_bytes = MAX_PART_BYTES - len(f"{dot}{extension}".encode())
    return stem.encode()[:stem_bytes].decode(errors="ignore") + dot + extension


def by_parent(assets: Sequence[ArchiveAsset]) -> dict[str | None, list[ArchiveAsset]]:
    """Return assets by the id of their folder."""
    children: dict[str | None, list[ArchiveAsset]] = {}
    for asset in assets:
        children.setdefault(asset.parent_id, []).append(asset)
    return children
