"""Assets and the local disk: one file, or a whole folder."""

from __future__ import annotations

import io
import logging
import os
import re
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import IO, Literal, TypeVar

from processing_context._progress import Sum, shown
from processing_context._transport.bulk import Bytes
from processing_context._transport.connections import BLOCK
from processing_context._transport.download import SPOOL_BYTES
from processing_context._transport.parallel import AT_ONCE, in_parallel
from processing_context._transport.transfer import Progress
from processing_context.resources.assets import Assets
from processing_context.wire.assets import FOLDER, Asset
from processing_context.wire.media_types import guess

logger = logging.getLogger(__name__)
T = TypeVar("T")

OnExisting = Literal["fail", "skip", "overwrite"]
"""What becomes of files that are there already."""

_PAGE_SIZE = 1000
_LONGEST_NAME_BYTES = 255
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\ud800-\udfff]|[. ]$')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Upload:
    path: Path
    size: int
    parent_id: str


@dataclass(frozen=True)
class _Download:
    asset: Asset
    path: Path


def safe_name(name: str) -> str:
    """Return a name as a file name that every system takes; what is unsafe becomes `%` and hex.

    Raises:
        ValueError: It is too long.
    """
    if name in (".", ".."):
        return name.replace(".", "%2E")
    safe = _UNSAFE.sub(lambda found: "".join(f"%{ord(c):02X}" for c in found[0]), name)
    if _RESERVED.fullmatch(safe):
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"
    if len(safe.encode()) > _LONGEST_NAME_BYTES:
        raise ValueError(f"the name of an asset is too long for a file: {name[:60]!r}…")
    return safe


class LocalFiles:
    """Copies between assets and the local disk.

    Args:
        assets: The assets.
        transport: Its threads do the file work.
    """

    def __init__(self, assets: Assets, transport: Bytes) -> None:
        self._assets = assets
        self._bytes = transport

    async def upload_folder(
        self,
        path: str | os.PathLike[str],
        parent_id: str | None,
        progress: bool | Progress | None,
    ) -> Asset:
        """See `ProcessingContext.upload_folder`."""
        root = Path(path)
        name = await self._bytes.run(_folder_name, root)
        top = await self._assets.create_folder(name, parent_id)
        files = await self._make_folders(root, top)
        with shown(progress, top.name) as tell:
            total = Sum(tell, sum(file.size for file in files))

            async def work(file: _Upload) -> None:
                await self._assets.create(
                    file.path.name,
                    guess(file.path.name),
                    file.path,
                    file.parent_id,
                    progress=total.part(),
                )

            await in_parallel(_each(files), work, at_once=AT_ONCE)
        return top

    async def download_folder(
        self,
        asset_id: str,
        path: str | os.PathLike[str],
        on_existing: OnExisting,
        progress: bool | Progress | None,
    ) -> Path:
        """See `ProcessingContext.download_folder`."""
        folder = await self._assets.find(asset_id)
        if folder.content_type != FOLDER:
            raise ValueError(f"asset {asset_id} is a file: use save_asset")
        root = Path(path)
        folders, files = await self._planned(folder, root)
        await self._bytes.run(_check_free, [root, *folders], files, on_existing)
        await self._bytes.run(_make, [root, *folders])
        with shown(progress, folder.name) as tell:
            total = Sum(tell, sum(file.asset.size for file in files))

            async def work(file: _Download) -> None:
                part = total.part()
                if on_existing == "skip" and await self._bytes.run(os.path.lexists, file.path):
                    part(file.asset.size, file.asset.size)
                    return
                await self._save(file, part, is_overwriting=on_existing == "overwrite")

            await in_parallel(_each(files), work, at_once=AT_ONCE)
        return root

    async def save(
        self,
        asset_id: str,
        path: str | os.PathLike[str],
        on_existing: OnExisting,
        progress: bool | Progress | None,
    ) -> Path:
        """See `ProcessingContext.save_asset`."""
        asset = await self._assets.find(asset_id)
        target, is_there = await self._bytes.run(_target, Path(path), asset)
        if is_there and on_existing == "skip":
            return target
        if is_there and on_existing == "fail":
            raise FileExistsError(f"it exists: {str(target)!r}")
        with shown(progress, asset.name) as tell:
            await self._save(
                _Download(asset, target), tell, is_overwriting=on_existing == "overwrite"
            )
        return target

    async def _make_folders(self, root: Path, top: Asset) -> list[_Upload]:
        files: list[_Upload] = []
        left = [(root, top)]
        while left:
            path, folder = left.pop()
            for entry in await self._bytes.run(_entries, path):
                if entry.is_dir(follow_symlinks=False):
                    below = await self._assets.create_folder(entry.name, folder.id)
                    left.append((Path(entry.path), below))
                else:
                    files.append(_Upload(Path(entry.path), entry.stat().st_size, folder.id))
        return files

    async def _planned(self, top: Asset, root: Path) -> tuple[list[Path], list[_Download]]:
        """Return the folders below `root`, parents first, and the files, each with a path."""
        folders: list[Path] = []
        files: list[_Download] = []
        left = [(top.id, root)]
        while left:
            asset_id, path = left.pop()
            taken: set[str] = set()
            async for asset in self._assets.each(
                parent_id=asset_id, page_size=_PAGE_SIZE, urls=True
            ):
                target = path / _free_name(safe_name(asset.name), taken)
                if asset.content_type == FOLDER:
                    folders.append(target)
                    left.append((asset.id, target))
                else:
                    files.append(_Download(asset, target))
        return folders, files

    async def _save(
        self, file: _Download, progress: Progress | None, *, is_overwriting: bool
    ) -> None:
        """Download beside the target, then give it its name: under that name it is whole."""
        beside = file.path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            with await self._bytes.run(io.FileIO, beside, "x+") as raw:
                if file.asset.size > SPOOL_BYTES:
                    await self._assets.download_into(raw, file.asset, progress)
                else:
                    with await self._assets.open(file.asset, progress) as content:
                        await self._bytes.run(_copy, content, raw)
            await self._bytes.run(_rename, beside, file.path, is_overwriting)
        finally:
            await self._bytes.run(partial(beside.unlink, missing_ok=True))


def _folder_name(path: Path) -> str:
    if not path.is_dir():
        raise NotADirectoryError(f"not a folder: {str(path)!r}")
    return path.resolve().name or "files"


def _make(folders: list[Path]) -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)


def _target(path: Path, asset: Asset) -> tuple[Path, bool]:
    """Return where an asset goes, and whether there is something."""
    target = path / safe_name(asset.name) if path.is_dir() else path
    return target, os.path.lexists(target)


def _entries(path: Path) -> list[os.DirEntry[str]]:
    """Return the folders and files in a folder; links are not followed, and left out."""
    found = []
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
                _check_name(entry)
                found.append(entry)
            else:
                logger.warning("left out, as it is neither a file nor a folder: %s", entry.path)
    return found


def _check_name(entry: os.DirEntry[str]) -> None:
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the name of this file is not UTF-8: {entry.path!r}") from None


def _free_name(name: str, taken: set[str]) -> str:
    """Return a name that no other asset of the folder has; assets may be named alike."""
    stem, suffix = PurePath(name).stem, PurePath(name).suffix
    number = 1
    free = name
    while free.casefold() in taken:
        number += 1
        free = f"{stem} ({number}){suffix}"
    taken.add(free.casefold())
    return free


def _check_free(folders: list[Path], files: list[_Download], on_existing: OnExisting) -> None:
    for folder in folders:
        if folder.is_symlink() and folder != folders[0]:
            raise FileExistsError(f"it is a link, and links are not followed: {str(folder)!r}")
        if os.path.lexists(folder) and not folder.is_dir():
            raise FileExistsError(f"it exists, and is no folder: {str(folder)!r}")
    if on_existing == "fail":
        for file in files:
            if os.path.lexists(file.path):
                raise FileExistsError(f"it exists: {str(file.path)!r}")


def _copy(content: IO[bytes], raw: io.FileIO) -> None:
    while block := content.read(BLOCK):
        view = memoryview(block)
        while view:
            view = view[raw.write(view) :]


def _rename(source: Path, target: Path, is_overwriting: bool) -> None:
    if is_overwriting:
        source.replace(target)
        return
    try:
        os.link(source, target)  # fails where the target has come into being meanwhile
    except FileExistsError:
        raise FileExistsError(f"it exists: {str(target)!r}") from None
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(f"it exists: {str(target)!r}") from None
        source.rename(target)


async def _each(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
