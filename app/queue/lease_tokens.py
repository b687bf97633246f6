"""Look-up of the tokens of leases."""

from __future__ import annotations

from collections.abc import Collection

from app.database.engine import Database
from app.http.auth import Principal
from app.queue import lease_queries

SCOPES = frozenset({"user"})


class LeaseTokens:
    """The tokens of leases."""

    def __init__(self, db: Database, *, default_quota: int | None) -> None:
        self._db = db
        self._default_quota = default_quota

    async def find(self, token_hash: bytes) -> Principal | None:
        """Return the job's owner, limited to the lease; None for an unknown token."""
        row = await lease_queries.principal(self._db.pool, token_hash)
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
            quota_bytes=self._default_quota if own_quota is None else own_quota,
        )

    async def valid_among(self, token_ids: Collection[str]) -> set[str]:
        """Return those of the token ids whose lease is live."""
        hashes = [bytes.fromhex(token_id) for token_id in token_ids]
        return {token_hash.hex() for token_hash in await lease_queries.live(self._db.pool, hashes)}
