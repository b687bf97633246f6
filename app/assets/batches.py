"""Many small assets made by one request: each as if it had come alone, at a fraction of the cost.

Their bytes are held in memory, so that together they are no more than one piece of a large upload.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.assets import queries
from app.assets.creation import Columns, Maker
from app.assets.errors import AssetNotFound, InvalidAsset, InvalidParent
from app.assets.queries import Row
from app.assets.quotas import Quota, QuotaExceeded
from app.database.engine import Database
from app.http.auth import Principal
from app.http.idempotency.errors import IdempotencyInFlight
from app.http.idempotency.keys import fingerprint_of
from app.http.idempotency.reservation import KeyReservation
from app.http.problems import ProblemError, Unavailable
from app.runtime.ids import is_id, new_id
from app.storage import Journal, Storage, StorageUnavailable
from app.storage.errors import UploadInterrupted
from processing_context.wire import media_types
from processing_context.wire.assets import FOLDER, BatchItem

_OF_ONE = (InvalidParent, QuotaExceeded, IdempotencyInFlight)
"""What fails a transaction for the sake of some of its items."""


@dataclass(slots=True)
class Item:
    """One asset in the making; at the end it has a row or a problem."""

    wanted: BatchItem
    data: bytes
    sha256: str
    fingerprint: bytes
    asset_id: str = field(default_factory=new_id)
    version: str = field(default_factory=new_id)
    row: Row | None = None
    problem: ProblemError | None = None
    is_replay: bool = False

    @property
    def object_key(self) -> str:
        """Where its bytes go."""
        return f"{self.asset_id}/{self.version}"

    @property
    def is_open(self) -> bool:
        """Whether nothing has become of it yet."""
        return self.row is None and self.problem is None


def items_of(wanted: Sequence[BatchItem], data: bytes) -> list[Item]:
    """Return the items with their shares of the bytes.

    Raises:
        InvalidAsset: There are more bytes than their sizes say, or fewer.
    """
    if sum(item.size for item in wanted) != len(data):
        raise InvalidAsset(f"The part `file` has {len(data)} bytes; the sizes say otherwise.")
    items, start = [], 0
    for item in wanted:
        piece = data[start : start + item.size]
        start += item.size
        sha256 = hashlib.sha256(piece).hexdigest()
        items.append(Item(item, piece, sha256, fingerprint_of(item.asset, sha256)))
    return items


class BatchService:
    """Makes assets of one owner, many at once. What is wrong with one leaves the others alone."""

    def __init__(self, db: Database, storage: Storage, principal: Principal) -> None:
        self._db = db
        self._bucket = storage.assets
        self._owner_id = principal.user_id
        self._maker = Maker(db, principal)
        self._quota = Quota(db, principal)
        self._journal = Journal(db, storage, "assets")

    async def create(self, items: Sequence[Item], marks: KeyReservation) -> None:
        """Make the assets; each item has its row or its problem then.

        Raises:
            Unavailable: None could be made, as something is away.
        """
        await self._recall(items, marks)
        await self._check(_open(items))
        if waiting := _open(items):
            await self._store(waiting, marks)
        problems = [item.problem for item in items]
        if problems[0] is not None and all(isinstance(each, Unavailable) for each in problems):
            raise problems[0]

    async def _recall(self, items: Sequence[Item], marks: KeyReservation) -> None:
        by_key = {key: item for item in items if (key := item.wanted.idempotency_key) is not None}
        if not by_key:
            return
        earlier = await marks.begin({key: item.fingerprint for key, item in by_key.items()})
        made: dict[str, Item] = {}
        for key, mark in earlier.items():
            item = by_key[key]
            item.is_replay = True
            try:
                made[mark.created(item.fingerprint)] = item
            except ProblemError as problem:
                item.problem = problem
        if not made:
            return
        for row in await queries.many(self._db.pool, list(made), user_id=self._owner_id):
            made[row["id"]].row = row
        for item in _open(list(made.values())):
            item.problem = AssetNotFound()

    async def _check(self, items: Sequence[Item]) -> None:
        """Find what cannot be made, before anything is stored."""
        parents = {item.wanted.asset.parent_id for item in items} - {None}
        ids = [parent for parent in parents if parent is not None and is_id(parent)]
        folders: set[str | None] = {None}
        if ids:
            rows = await queries.FOLDERS.rows(self._db.pool, ids=ids, user_id=self._owner_id)
            folders |= {row["id"] for row in rows}
        room = await self._quota.room() if items else None
        for item in items:
            try:
                _check_draft(item)
                if item.wanted.asset.parent_id not in folders:
                    raise InvalidParent
                self._quota.check(item.wanted.size, room)
            except ProblemError as problem:
                item.problem = problem
            else:
                room = None if room is None else room - item.wanted.size

    async def _store(self, items: Sequence[Item], marks: KeyReservation) -> None:
        async with self._journal.putting(*(item.object_key for item in items)):
            ends = await asyncio.gather(*map(self._put, items), return_exceptions=True)
            for end in ends:
                if end is not None:
                    raise end
            stored = _open(items)
            try:
                await self._insert(stored, marks)
            except _OF_ONE:
                for item in stored:
                    await self._insert_alone(item, marks)
            unwanted = [item.object_key for item in stored if item.row is None]
            if unwanted:
                await asyncio.shield(self._journal.discard(unwanted))

    async def _put(self, item: Item) -> None:
        try:
            await self._bucket.put(item.object_key, item.data)
        except StorageUnavailable as problem:
            item.problem = problem

    async def _insert_alone(self, item: Item, marks: KeyReservation) -> None:
        try:
            await self._insert([item], marks)
        except _OF_ONE as problem:
            item.problem = problem

    async def _insert(self, items: Sequence[Item], marks: KeyReservation) -> None:
        async with self._db.transaction() as on:
            announced = await self._journal.finish_all(on, [item.object_key for item in items])
            made = [item for item in items if item.object_key in announced]
            rows = await self._maker.insert_all(on, [self._columns(item) for item in made])
            keyed = {
                item.wanted.idempotency_key: (item.asset_id, item.fingerprint)
                for item in made
                if item.wanted.idempotency_key is not None
            }
            await marks.complete(on, keyed)
        for item, row in zip(made, rows, strict=True):
            item.row = row
        for item in _open(items):
            item.problem = UploadInterrupted()

    def _columns(self, item: Item) -> Columns:
        draft = item.wanted.asset
        name = draft.name or ""
        return self._maker.columns(
            draft,
            asset_id=item.asset_id,
            version=item.version,
            name=name,
            content_type=media_types.content_type_of(
                draft.content_type, item.data[: media_types.HEAD_BYTES], name
            ),
            size=item.wanted.size,
            sha256=item.sha256,
        )


def _open(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.is_open]


def _check_draft(item: Item) -> None:
    draft = item.wanted.asset
    if draft.name is None:
        raise InvalidAsset("An asset of a batch needs a name.")
    if draft.content_type == FOLDER:
        raise InvalidAsset("A folder has no bytes: make it with POST /v1/assets.")
    if draft.workflow_id is not None and not is_id(draft.workflow_id):
        raise InvalidAsset("workflow_id is no id.")
