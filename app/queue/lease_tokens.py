"""Look-up of the tokens of leases."""

from __future__ import annotations

from collections.abc import Collection

from app.database.engine import Database
from app.http.auth import Principal
from app.queue import lease_queries

SCOPES = frozenset({"user"})


class LeaseTokens:
    """Token look-up for leases (`TokenLookup`)."""

    def __init__(self, db: Database, *, default_quota: int | None) -> None:
        self._db = db
        self._default_quota = default_quota

    async def find(self, token_hash: bytes) -> Principal | None:
        """Return a principal for the job's owner, limited to the lease; None if it is unknown."""
        owner = await lease_queries.find_owner(self._db.pool, token_hash)
        if owner is None:
            return None
        return Principal(
            user_id=owner.user_id,
            scopes=SCOPES,
            token_id=token_hash.hex(),
            job_id=owner.job_id,
            attempt=owner.attempt,
            is_live=owner.is_live,
            quota_bytes=self._default_quota if owner.quota_bytes is None else owner.quota_bytes,
        )

    async def valid_among(self, token_ids: Collection[str]) -> set[str]:
        """Return the token ids whose lease is live."""
        hashes = [bytes.fromhex(token_id) for token_id in token_ids]
        live = await lease_queries.live_among(self._db.pool, hashes)
        return {token_hash.hex() for token_hash in live}
