"""Copies between assets and the local disk: single files, and folders with their contents."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from processing_context import _local_files as local
from processing_context._local_files import OnExisting
from processing_context._progress import TotalProgress, shown
from processing_context._transport.api import transfer_headers
from processing_context._transport.download import SPOOL_BYTES
from processing_context._transport.parallel import AT_ONCE, in_parallel
from processing_context._transport.transfer import Progress
from processing_context.resources.assets import AssetMethods
from processing_context.wire.assets import FOLDER, Asset
from processing_context.wire.media_types import guess

T = TypeVar("T")

_PAGE_SIZE = 1000


class FolderMethods(AssetMethods):
    """Copies between assets and the local disk."""

    async def save_asset(
        self,
        asset_id: str,
        path: str | os.PathLike[str],
        *,
        on_existing: OnExisting = "fail",
        progress: bool | Progress | None = None,
    ) -> Path:
        """Download into a local file, written atomically; return its path.

        Args:
            asset_id: Id of the asset.
            path: A file, or an existing folder in which a file with the asset's name is created.
            on_existing: `"fail"`, `"skip"` or `"overwrite"`.
            progress: True for a bar, or a callable that receives (bytes done, total bytes).

        Raises:
            FileExistsError: The file exists.
        """
        asset = await self._core.downloads.find(asset_id)
        target, exists = await self._core.bulk.run(local.target_of, Path(path), asset)
        if exists and on_existing == "skip":
            return target
        if exists and on_existing == "fail":
            raise local.exists_error(target)
        file = local.Download(asset, target)
        with shown(progress, asset.name) as report:
            await self._save_asset_file(file, report, is_overwriting=on_existing == "overwrite")
        return target

    async def upload_folder(
        self,
        path: str | os.PathLike[str],
        parent_id: str | None = None,
        *,
        progress: bool | Progress | None = None,
    ) -> Asset:
        """Upload a local folder with its contents; return the created folder.

        Links are neither followed nor uploaded; each is logged as a warning.

        Raises:
            NotADirectoryError: The folder does not exist.
            ValueError: A name is not UTF-8.
        """
        root = Path(path)
        name = await self._core.bulk.run(local.folder_name, root)
        top = await self.create_folder(name, parent_id)
        files = await self._create_folders(root, top)
        with shown(progress, top.name) as report:
            total = TotalProgress(report, sum(file.size for file in files))

            async def upload(file: local.Upload) -> None:
                await self.create_asset(
                    file.path.name,
                    guess(file.path.name),
                    file.path,
                    file.parent_id,
                    progress=total.part(),
                )

            await in_parallel(_each(files), upload, at_once=AT_ONCE)
        return top

    async def download_folder(
        self,
        asset_id: str,
        path: str | os.PathLike[str],
        *,
        on_existing: OnExisting = "fail",
        progress: bool | Progress | None = None,
    ) -> Path:
        """Download the contents of a folder, at any depth, into a local folder; return its path.

        Characters that are invalid in file names become `%` and hex, long names are shortened; the
        second of two assets with the same name becomes `name (2)`.

        Args:
            asset_id: Id of the folder.
            path: The local folder, created if it does not exist.
            on_existing: `"fail"` (before anything is written), `"skip"` or `"overwrite"`.
            progress: True for a bar, or a callable that receives (bytes done, total bytes).

        Raises:
            FileExistsError: A file exists, or a link is in place of a folder.
            ValueError: The asset is not a folder.
        """
        folder = await self.find_asset(asset_id)
        if folder.content_type != FOLDER:
            raise ValueError(f"asset {asset_id} is a file: use save_asset")
        root = Path(path)
        folders, files = await self._plan_downloads(folder, root)
        await self._core.bulk.run(local.check_free, [root, *folders], files, on_existing)
        await self._core.bulk.run(local.make_folders, [root, *folders])
        with shown(progress, folder.name) as report:
            total = TotalProgress(report, sum(file.asset.size for file in files))

            async def download(file: local.Download) -> None:
                part = total.part()
                if on_existing == "skip" and await self._core.bulk.run(os.path.lexists, file.path):
                    part(file.asset.size, file.asset.size)
                    return
                is_overwriting = on_existing == "overwrite"
                await self._save_asset_file(file, part, is_overwriting=is_overwriting)

            await in_parallel(_each(files), download, at_once=AT_ONCE)
        return root

    async def _create_folders(self, root: Path, top: Asset) -> list[local.Upload]:
        """Create the folders below `top`; return the files to upload into them."""
        files: list[local.Upload] = []
        left = [(root, top)]
        while left:
            path, folder = left.pop()
            for entry in await self._core.bulk.run(local.entries_of, path):
                if entry.is_dir(follow_symlinks=False):
                    below = await self.create_folder(entry.name, folder.id)
                    left.append((Path(entry.path), below))
                else:
                    size = entry.stat().st_size
                    files.append(local.Upload(Path(entry.path), size, folder.id))
        return files

    async def _plan_downloads(
        self, top: Asset, root: Path
    ) -> tuple[list[Path], list[local.Download]]:
        """Return the folders below `root`, parents first, and the files with their paths."""
        folders: list[Path] = []
        files: list[local.Download] = []
        left = [(top.id, root)]
        while left:
            asset_id, path = left.pop()
            names = local.FreeNames()
            filters = {"parent_id": asset_id, "page_size": _PAGE_SIZE, "urls": True}
            async for asset in self._iter_pages(filters, transfer_headers()):
                target = path / names.add(local.safe_name(asset.name))
                if asset.content_type == FOLDER:
                    folders.append(target)
                    left.append((asset.id, target))
                else:
                    files.append(local.Download(asset, target))
        return folders, files

    async def _save_asset_file(
        self, file: local.Download, progress: Progress | None, *, is_overwriting: bool
    ) -> None:
        """Download into a file in the same folder, then rename it."""
        run = self._core.bulk.run
        beside = file.path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            with await run(io.FileIO, beside, "x+") as raw:
                if file.asset.size > SPOOL_BYTES:
                    await self._download_asset_into(raw, file.asset, progress)
                else:
                    with await self._open_asset(file.asset, progress) as content:
                        await run(local.copy, content, raw)
            await run(local.rename, beside, file.path, is_overwriting)
        finally:
            await run(partial(beside.unlink, missing_ok=True))


async def _each(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
