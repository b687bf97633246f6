"""Statements on the node catalogue."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from app.database.like import contains
from app.database.page_query import PAGE_BYTES, Listed
from app.database.statement import Connection, Executor, Query, Scalar, Statement


class CatalogueKey(NamedTuple):
    """The key of a catalogue: the owner and the kind of its workers, and the hash they sent."""

    user_id: str
    is_fleet: bool
    sha256: str


class NodeTypeRecord(NamedTuple):
    """A node type of a catalogue; `body` is the JSON text of its description."""

    type: str
    digest: bytes
    words: str
    body: str


class VersionRecord(NamedTuple):
    """A version of a node type, and a catalogue that has it."""

    type: str
    digest: bytes
    catalogue_id: str


class BodyRecord(NamedTuple):
    """The JSON text of a description, by its hash."""

    digest: bytes
    body: str


class ListedNodeType(NamedTuple):
    """The newest description of a node type, and the number of different ones.

    `found` is the number of types that were found for the page, before its size was limited.
    """

    type: str
    versions: int
    body: str
    found: int


# Live catalogues are marked as seen at the same time: of these, the newer one comes first.
_VISIBLE = """
with visible as materialized (
    select id, last_seen_at from node_catalogues where is_fleet or user_id = :user_id
)"""
_NEWEST = "(array_agg(n.catalogue_id order by v.last_seen_at desc, v.id desc))[1]"

_INSERT = Scalar(
    """
insert into node_catalogues (id, user_id, is_fleet, sha256)
values (:id, :user_id, :is_fleet, :sha256)
on conflict (user_id, is_fleet, sha256) do nothing returning id""",
    str,
)
_INSERT_TYPES = Statement(
    """
insert into node_types (catalogue_id, type, digest, words, body)
select :catalogue_id, t.* from unnest(:types::text[], :digests::bytea[], :words::text[],
    :bodies::text[]) t"""
)
_EXISTS = Scalar(
    """
select exists (
    select from node_catalogues
    where user_id = :user_id and is_fleet = :is_fleet and sha256 = :sha256)""",
    bool,
)
_DELETE_OLDEST = Statement(
    """
delete from node_catalogues where id in (
    select id from node_catalogues where user_id = :user_id
    order by last_seen_at desc, id desc offset :kept)"""
)
_MARK_SEEN = Statement(
    """
update node_catalogues c set last_seen_at = now()
from unnest(:user_ids::text[], :are_fleet::bool[], :hashes::text[]) t(user_id, is_fleet, sha256)
where c.user_id = t.user_id and c.is_fleet = t.is_fleet and c.sha256 = t.sha256
    and c.last_seen_at < now() - interval '1 hour'"""
)
_DELETE_UNSEEN = Statement(
    "delete from node_catalogues where last_seen_at < now() - :days * interval '1 day'"
)
_VERSIONS = Query(
    f"""{_VISIBLE}
select n.type, n.digest, {_NEWEST} as catalogue_id
from visible v join node_types n on n.catalogue_id = v.id
where n.type = any((select :types::text[])::text[])
group by n.type, n.digest order by n.type, max(v.last_seen_at) desc, max(v.id) desc""",
    VersionRecord,
)
_BODIES = Query(
    """
select n.digest, n.body
from unnest(:catalogue_ids::text[], :types::text[]) t(catalogue_id, type)
join node_types n on n.catalogue_id = t.catalogue_id and n.type = t.type""",
    BodyRecord,
)
_PAGE = Query(
    f"""{_VISIBLE}, found as materialized (
    select n.type, count(distinct n.digest) as versions, {_NEWEST} as catalogue_id
    from visible v join node_types n on n.catalogue_id = v.id
    where (:after::text is null or n.type > :after)
        and (:prefix::text is null or starts_with(n.type, :prefix))
        and (:q::text is null or n.words ilike :q)
    group by n.type order by n.type limit :limit
), sized as (
    select n.type, f.versions, n.body, count(*) over () as found,
        sum(octet_length(n.body)) over (order by n.type) - octet_length(n.body) as bytes_before
    from found f join node_types n on n.catalogue_id = f.catalogue_id and n.type = f.type
)
select type, versions, body, found from sized where bytes_before < :max_bytes order by type""",
    ListedNodeType,
)


async def insert(
    on: Connection, catalogue_id: str, key: CatalogueKey, types: Sequence[NodeTypeRecord]
) -> bool:
    """Insert a catalogue; return False if it exists."""
    if await _INSERT.value(on, id=catalogue_id, **key._asdict()) is None:
        return False
    await _INSERT_TYPES.execute(
        on,
        catalogue_id=catalogue_id,
        types=[each.type for each in types],
        digests=[each.digest for each in types],
        words=[each.words for each in types],
        bodies=[each.body for each in types],
    )
    return True


async def exists(on: Executor, key: CatalogueKey) -> bool:
    """Return True if a catalogue is stored."""
    return await _EXISTS.only(on, **key._asdict())


async def delete_oldest(on: Executor, user_id: str, *, kept: int) -> None:
    """Delete the catalogues of a user except for those that were seen last."""
    await _DELETE_OLDEST.execute(on, user_id=user_id, kept=kept)


async def mark_seen(on: Executor, keys: Collection[CatalogueKey]) -> None:
    """Set `last_seen_at` of catalogues to now where it is older than an hour."""
    await _MARK_SEEN.execute(
        on,
        user_ids=[key.user_id for key in keys],
        are_fleet=[key.is_fleet for key in keys],
        hashes=[key.sha256 for key in keys],
    )


async def delete_unseen(on: Executor, *, days: float) -> int:
    """Delete the catalogues that were not seen for some days; return their number."""
    return await _DELETE_UNSEEN.execute(on, days=days)


async def versions(on: Executor, user_id: str, types: Collection[str]) -> list[VersionRecord]:
    """Return the versions of node types that count for a user, the newest of each type first."""
    return await _VERSIONS.all(on, user_id=user_id, types=list(types))


async def bodies(on: Executor, found: Collection[VersionRecord]) -> list[BodyRecord]:
    """Return the descriptions of versions."""
    return await _BODIES.all(
        on,
        catalogue_ids=[version.catalogue_id for version in found],
        types=[version.type for version in found],
    )


async def page(
    on: Executor,
    *,
    user_id: str,
    namespace: str | None,
    q: str | None,
    after: str | None,
    size: int,
) -> Listed[ListedNodeType]:
    """Return the node types that count for a user, in the order of their types.

    Args:
        on: Executes the statement.
        user_id: The user.
        namespace: Only types in or below it.
        q: Only types with this text in their type, title or description.
        after: Only types after this one.
        size: The maximum number of types.
    """
    rows = await _PAGE.all(
        on,
        user_id=user_id,
        prefix=f"{namespace}." if namespace else None,
        q=contains(q) if q else None,
        after=after,
        limit=size + 1,
        max_bytes=PAGE_BYTES,
    )
    has_more = bool(rows) and rows[0].found > min(len(rows), size)
    return Listed(rows[:size], has_more)
