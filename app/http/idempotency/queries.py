"""Statements on idempotency keys."""

from __future__ import annotations

from typing import NamedTuple

from app.database.statement import Query, Scalar, Statement

RESERVATION_TTL_S = 15


class StoredKey(NamedTuple):
    """A key that another request has reserved or used."""

    key: str
    object_id: str | None
    fingerprint: bytes | None


# Ordered by key, so that two requests with common keys do not deadlock. The commit is asynchronous:
# a request whose reservation is lost in a crash of PostgreSQL creates nothing.
RESERVE = Scalar(
    f"""
insert into idempotency_keys (user_id, route, key, request, fingerprint, expires_at)
select :user_id, :route, key, :request, fingerprint, now() + interval '{RESERVATION_TTL_S} s'
from set_config('synchronous_commit', 'off', true),
  unnest(:keys::text[], :fingerprints::bytea[]) as reserved (key, fingerprint) order by key
on conflict (user_id, route, key) do update
set request = excluded.request, fingerprint = excluded.fingerprint, object_id = null,
    expires_at = excluded.expires_at
where idempotency_keys.expires_at < now()
returning key""",
    str,
)
FIND = Query(
    """
select key, object_id, fingerprint from idempotency_keys
where user_id = :user_id and route = :route and key = any(:keys)""",
    StoredKey,
)
_HELD = """
user_id = :user_id and route = :route and request = :request and key = any(:keys)
and object_id is null"""
RENEW = Statement(
    f"""
update idempotency_keys set expires_at = now() + interval '{RESERVATION_TTL_S} s' where {_HELD}"""
)
RELEASE = Statement(f"delete from idempotency_keys where {_HELD}")
COMPLETE = Statement(
    """
update idempotency_keys as stored
set object_id = created.object_id, fingerprint = created.fingerprint,
    expires_at = now() + interval '24 h'
from unnest(:keys::text[], :object_ids::text[], :fingerprints::bytea[])
  as created (key, object_id, fingerprint)
where user_id = :user_id and route = :route and request = :request and stored.key = created.key"""
)
DELETE_OF_USER = Statement(
    """
delete from idempotency_keys where ctid in (
  select ctid from idempotency_keys where user_id = :user_id limit :limit)"""
)
PURGE = Statement("delete from idempotency_keys where expires_at < now()")
