"""Deletion of objects whose assets have been deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.assets.object_keys import key_of
from app.assets.queries import DeletedAsset
from app.database.statement import Connection
from app.storage import Journal


class RetiredObjects(NamedTuple):
    """Keys of objects to delete; `uploads` maps keys to the ids of unfinished multipart uploads."""

    keys: list[str]
    uploads: dict[str, str]


async def retire_objects(
    on: Connection, journal: Journal, deleted: Sequence[DeletedAsset]
) -> RetiredObjects:
    """Add the objects of deleted assets to the journal, in the transaction that deletes the rows.

    After the commit, pass the result to `Journal.delete`; objects that are left are deleted when
    their journal entries are due.
    """
    files = [asset for asset in deleted if asset.version is not None]
    keys = [key_of(asset) for asset in files]
    uploads = {key_of(file): file.upload_id for file in files if file.upload_id is not None}
    await journal.retire(on, keys, [file.put_until for file in files], uploads)
    return RetiredObjects(keys, uploads)
