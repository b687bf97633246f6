"""Blocking work on the local disk for uploads and downloads of folders, and safe file names."""

from __future__ import annotations

import io
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Literal

from processing_context._transport.connections import BLOCK
from processing_context.wire.assets import Asset

logger = logging.getLogger(__name__)

OnExisting = Literal["fail", "skip", "overwrite"]
"""Treatment of files that exist already."""

_MAX_NAME_BYTES = 255
_MAX_SUFFIX_BYTES = 32
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\ud800-\udfff]|[. ]$')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Upload:
    """A local file and the folder that it is uploaded into."""

    path: Path
    size: int
    parent_id: str


@dataclass(frozen=True)
class Download:
    """An asset and the local file that it is written to."""

    asset: Asset
    path: Path


def safe_name(name: str) -> str:
    """Return a file name that is valid on every system.

    Unsafe characters become `%` and hex; a long name is shortened, its extension is kept.
    """
    if name in (".", ".."):
        return name.replace(".", "%2E")
    safe = _UNSAFE.sub(lambda found: "".join(f"%{ord(c):02X}" for c in found[0]), name)
    if _RESERVED.fullmatch(safe):
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"
    return marked(safe, "")


def marked(name: str, mark: str) -> str:
    """Return a file name with a mark before its extension, shortened if it would be too long."""
    suffix = PurePath(name).suffix
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        suffix = ""
    end = f"{mark}{suffix}"
    stem = name.removesuffix(suffix).encode()
    if len(stem) + len(end.encode()) <= _MAX_NAME_BYTES:
        return name.removesuffix(suffix) + end
    return stem[: _MAX_NAME_BYTES - len(end.encode())].decode(errors="ignore").rstrip() + end


class FreeNames:
    """Names of the files in one folder, in which assets may share a name."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._last_number: dict[str, int] = {}

    def add(self, name: str) -> str:
        """Return the name, or `name (2)` and so on if it is taken; takes constant time."""
        free = name
        if name.casefold() in self._taken:
            # Long names with the same beginning are shortened to the same stem.
            family = marked(name, " ()").casefold()
            number = self._last_number.get(family, 1)
            while free.casefold() in self._taken:
                number += 1
                free = marked(name, f" ({number})")
            self._last_number[family] = number
        self._taken.add(free.casefold())
        return free


def folder_name(path: Path) -> str:
    """Return the name of an existing local folder.

    Raises:
        NotADirectoryError: It is not a folder.
    """
    if not path.is_dir():
        raise NotADirectoryError(f"not a folder: {str(path)!r}")
    return path.resolve().name or "files"


def target_of(path: Path, asset: Asset) -> tuple[Path, bool]:
    """Return the file that an asset is saved to, and True if it exists."""
    target = path / safe_name(asset.name) if path.is_dir() else path
    return target, os.path.lexists(target)


def entries_of(path: Path) -> list[os.DirEntry[str]]:
    """Return the folders and files in a folder, without links.

    Raises:
        ValueError: A name is not UTF-8.
    """
    found = []
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
                _check_name(entry)
                found.append(entry)
            else:
                logger.warning("skipped, neither a file nor a folder: %s", entry.path)
    return found


def make_folders(folders: list[Path]) -> None:
    """Create folders that do not exist yet, with their parents."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)


def check_free(folders: list[Path], files: list[Download], on_existing: OnExisting) -> None:
    """Check that a download can write its folders and files; the first folder may be a link.

    Raises:
        FileExistsError: A file, or a link in place of a folder, exists.
    """
    for folder in folders:
        if folder.is_symlink() and folder != folders[0]:
            raise FileExistsError(f"{str(folder)!r} is a link, which is not followed: remove it")
        if os.path.lexists(folder) and not folder.is_dir():
            raise FileExistsError(f"{str(folder)!r} exists and is not a folder: remove it")
    if on_existing == "fail":
        for file in files:
            if os.path.lexists(file.path):
                raise exists_error(file.path)


def copy(content: IO[bytes], raw: io.FileIO) -> None:
    """Copy a file from its position into an unbuffered file."""
    while block := content.read(BLOCK):
        view = memoryview(block)
        while view:
            view = view[raw.write(view) :]


def rename(source: Path, target: Path, is_overwriting: bool) -> None:
    """Rename a file atomically.

    Raises:
        FileExistsError: The target exists, and `is_overwriting` is false.
    """
    if is_overwriting:
        source.replace(target)
        return
    try:
        os.link(source, target)  # fails if the target has been created meanwhile
    except FileExistsError:
        raise exists_error(target) from None
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise exists_error(target) from None
        source.rename(target)


def exists_error(path: Path) -> FileExistsError:
    """Return the error for a file that would be replaced."""
    return FileExistsError(f"{str(path)!r} exists: remove it, or skip or overwrite existing files")


def _check_name(entry: os.DirEntry[str]) -> None:
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the file name {entry.path!r} is not UTF-8: rename the file") from None
