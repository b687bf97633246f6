"""Creation of many small assets in one request; each succeeds or fails on its own.

Their bytes are held in memory: the limit for a batch is as small as one part of a large upload.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.assets import queries
from app.assets.creation import AssetCreation, new_asset
from app.assets.errors import AssetNotFound, InvalidAsset, InvalidParent
from app.assets.object_keys import object_key
from app.assets.queries import AssetRecord, NewAsset
from app.assets.quotas import Quotas, check_remaining
from app.assets.service import AssetService
from app.database.engine import Database
from app.http.auth import Principal
from app.http.idempotency.errors import IdempotencyInFlight
from app.http.idempotency.keys import fingerprint_of
from app.http.idempotency.open_keys import OpenKeys
from app.http.idempotency.reservation import KeyReservation
from app.http.problems import ProblemError, Unavailable
from app.http.quotas import QuotaExceeded
from app.runtime.ids import is_id, new_id
from app.storage import Bucket, Journal, StorageUnavailable
from app.storage.errors import UploadInterrupted
from processing_context.wire import media_types
from processing_context.wire.assets import FOLDER, BatchItem

_OF_ONE_ITEM = (InvalidParent, QuotaExceeded, IdempotencyInFlight)
"""Problems of single items that roll back the transaction of all items."""


@dataclass(slots=True)
class Item:
    """Item of a batch; when the batch has been processed, it has an asset or a problem."""

    wanted: BatchItem
    data: bytes
    sha256: str
    fingerprint: bytes
    asset_id: str = field(default_factory=new_id)
    version: str = field(default_factory=new_id)
    object_etag: str | None = None
    asset: AssetRecord | None = None
    problem: ProblemError | None = None
    is_replay: bool = False

    @property
    def object_key(self) -> str:
        """Key of the item's object in storage."""
        return object_key(self.asset_id, self.version)

    @property
    def is_open(self) -> bool:
        """True while the item has neither an asset nor a problem."""
        return self.asset is None and self.problem is None


def items_of(wanted: Sequence[BatchItem], data: bytes) -> list[Item]:
    """Return the items of a batch, each with its bytes.

    Raises:
        InvalidAsset: `data` is longer or shorter than the sum of the sizes.
    """
    if sum(item.size for item in wanted) != len(data):
        raise InvalidAsset(
            f"The part `file` has {len(data)} bytes, but the sizes of the items add up to "
            f"{sum(item.size for item in wanted)}."
        )
    items, start = [], 0
    for item in wanted:
        piece = data[start : start + item.size]
        start += item.size
        sha256 = hashlib.sha256(piece).hexdigest()
        items.append(Item(item, piece, sha256, fingerprint_of(item.asset, sha256)))
    return items


class BatchService:
    """Creates many assets in one request. A problem with one item does not affect the others."""

    def __init__(
        self,
        db: Database,
        bucket: Bucket,
        journal: Journal,
        assets: AssetService,
        creation: AssetCreation,
        quotas: Quotas,
        open_keys: OpenKeys,
    ) -> None:
        self._db = db
        self._bucket = bucket
        self._journal = journal
        self._assets = assets
        self._creation = creation
        self._quotas = quotas
        self._open_keys = open_keys

    async def create(self, principal: Principal, items: Sequence[Item], *, route: str) -> None:
        """Create the assets, and set the asset or the problem of each item.

        Args:
            principal: The caller.
            items: The items.
            route: The route that the idempotency keys of the items belong to.

        Raises:
            Unavailable: No item was created, because the database or storage cannot be reached.
        """
        reservation = KeyReservation(self._db, self._open_keys, principal.user_id, route)
        try:
            await self._create(principal, items, reservation)
        finally:
            has_failed = any(item.asset is None for item in items)
            await asyncio.shield(reservation.close(has_failed=has_failed))

    async def _create(
        self, principal: Principal, items: Sequence[Item], reservation: KeyReservation
    ) -> None:
        await self._find_previous(principal.user_id, items, reservation)
        await self._check(principal, _open(items))
        if remaining := _open(items):
            await self._store(principal, remaining, reservation)
        problems = [item.problem for item in items]
        if problems[0] is not None and all(isinstance(each, Unavailable) for each in problems):
            raise problems[0]

    async def _find_previous(
        self, user_id: str, items: Sequence[Item], reservation: KeyReservation
    ) -> None:
        """Set the assets of items whose idempotency keys were used by earlier requests."""
        by_key = {key: item for item in items if (key := item.wanted.idempotency_key) is not None}
        if not by_key:
            return
        previous = await reservation.begin({key: item.fingerprint for key, item in by_key.items()})
        created: dict[str, Item] = {}
        for key, result in previous.items():
            item = by_key[key]
            item.is_replay = True
            try:
                created[result.created(item.fingerprint)] = item
            except ProblemError as problem:
                item.problem = problem
        for asset in await self._assets.get_many(user_id, list(created)):
            created[asset.id].asset = asset
        for asset_id, item in created.items():
            if item.is_open:
                item.problem = AssetNotFound(asset_id)

    async def _check(self, principal: Principal, items: Sequence[Item]) -> None:
        """Set the problems of items that cannot be created, before anything is stored."""
        folders = await self._folders(principal.user_id, items)
        remaining = await self._quotas.remaining(principal) if items else None
        for item in items:
            try:
                _check_draft(item)
                self._creation.check_fields(item.wanted.asset)
                if item.wanted.asset.parent_id not in folders:
                    raise InvalidParent
                check_remaining(principal, item.wanted.size, remaining)
            except ProblemError as problem:
                item.problem = problem
            else:
                remaining = None if remaining is None else remaining - item.wanted.size

    async def _folders(self, user_id: str, items: Sequence[Item]) -> set[str | None]:
        """Return the ids of the parents that exist, and None, which is the top level."""
        parents = {item.wanted.asset.parent_id for item in items}
        ids = [parent for parent in parents if parent is not None and is_id(parent)]
        if not ids:
            return {None}
        return {None, *await queries.folders_among(self._db.pool, ids, user_id=user_id)}

    async def _store(
        self, principal: Principal, items: Sequence[Item], reservation: KeyReservation
    ) -> None:
        async with self._journal.putting(*(item.object_key for item in items)):
            results = await asyncio.gather(*map(self._put, items), return_exceptions=True)
            for result in results:
                if result is not None:
                    raise result
            stored = _open(items)
            try:
                await self._insert(principal, stored, reservation)
            except _OF_ONE_ITEM:
                for item in stored:
                    await self._insert_alone(principal, item, reservation)
            unwanted = [item.object_key for item in stored if item.asset is None]
            if unwanted:
                await asyncio.shield(self._journal.discard(unwanted))

    async def _put(self, item: Item) -> None:
        try:
            item.object_etag = await self._bucket.put(item.object_key, item.data)
        except StorageUnavailable as problem:
            item.problem = problem

    async def _insert_alone(
        self, principal: Principal, item: Item, reservation: KeyReservation
    ) -> None:
        try:
            await self._insert(principal, [item], reservation)
        except _OF_ONE_ITEM as problem:
            item.problem = problem

    async def _insert(
        self, principal: Principal, items: Sequence[Item], reservation: KeyReservation
    ) -> None:
        async with self._db.transaction() as on:
            announced = await self._journal.finish_all(on, [item.object_key for item in items])
            stored = [item for item in items if item.object_key in announced]
            new = [_new_asset(principal, item) for item in stored]
            assets = await self._creation.insert_all(on, principal, new)
            created = {
                item.wanted.idempotency_key: (item.asset_id, item.fingerprint)
                for item in stored
                if item.wanted.idempotency_key is not None
            }
            await reservation.complete(on, created)
        for item, asset in zip(stored, assets, strict=True):
            item.asset = asset
        for item in _open(items):
            item.problem = UploadInterrupted()


def _new_asset(principal: Principal, item: Item) -> NewAsset:
    draft = item.wanted.asset
    name = draft.name or ""
    head = item.data[: media_types.HEAD_BYTES]
    return new_asset(
        principal,
        draft,
        asset_id=item.asset_id,
        version=item.version,
        name=name,
        content_type=media_types.content_type_of(draft.content_type, head, name),
        size=item.wanted.size,
        sha256=item.sha256,
        object_etag=item.object_etag,
    )


def _open(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.is_open]


def _check_draft(item: Item) -> None:
    draft = item.wanted.asset
    if draft.name is None:
        raise InvalidAsset("Each asset of a batch needs a name.")
    if draft.content_type == FOLDER:
        raise InvalidAsset("A batch cannot create folders: create them with POST /v1/assets.")
