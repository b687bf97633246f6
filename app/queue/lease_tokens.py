"""Whom the token of a lease speaks for."""

from __future__ import annotations

from collections.abc import Collection

from app.database.engine import Database
from app.http.auth import Principal
from app.queue import lease_queries

SCOPES = frozenset({"user"})


async def look_up(db: Database, default_quota: int | None, token_hash: bytes) -> Principal | None:
    """Return the job's owner, within the limits of a lease's token; None for an unknown one."""
    row = await lease_queries.principal(db.pool, token_hash)
    if row is None:
        return None
    own_quota: int | None = row["quota_bytes"]
    return Principal(
        user_id=row["user_id"],
        scopes=SCOPES,
        token_id=token_hash.hex(),
        job_id=row["job_id"],
        attempt=row["attempt"],
        is_live=row["is_live"],
        quota_bytes=default_quota if own_quota is None else own_quota,
    )


async def valid_token_ids(db: Database, ids: Collection[str]) -> set[str]:
    """Return those of `ids` whose lease lives."""
    live = await lease_queries.live(db.pool, [bytes.fromhex(id_) for id_ in ids])
    return {token_hash.hex() for token_hash in live}
