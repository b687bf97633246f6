"""Versions of node types for checks of graphs, cached per user."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from app.catalogue import queries
from app.catalogue.queries import VersionRecord
from app.database.engine import Database
from app.database.notifications import Notifications
from processing_context.wire.node_checks import NodeVersion
from processing_context.wire.nodes import NodeDescription

TOPIC = "catalogue"
_EVERYBODY = "*"
_TTL_S = 30.0
"""Time after which a replica notices a change whose notification was lost."""

_MAX_TYPES = 50_000


class _View:
    """The versions of the node types that a user has used."""

    def __init__(self) -> None:
        self.expires_at = time.monotonic() + _TTL_S
        self.types: dict[str, Sequence[NodeVersion]] = {}


class NodeVersions:
    """Versions of node types, as they count for each user.

    Args:
        db: The database.
        notifications: Tell other replicas about new catalogues.
        max_cached_bytes: The maximum size of the descriptions that are kept prepared.
    """

    def __init__(
        self, db: Database, notifications: Notifications, *, max_cached_bytes: int
    ) -> None:
        self._db = db
        self._notifications = notifications
        self._max_cached_bytes = max_cached_bytes
        self._views: dict[str, _View] = {}
        self._cached_types = 0
        self._prepared: dict[bytes, NodeVersion] = {}
        self._prepared_bytes = 0
        notifications.on(TOPIC, self._evict)
        notifications.on_reconnect(partial(self._evict, _EVERYBODY))

    async def of(self, user_id: str, types: Collection[str]) -> Mapping[str, Sequence[NodeVersion]]:
        """Return the versions of node types, the newest first; an unknown type has no version."""
        view = self._view(user_id)
        missing = [each for each in types if each not in view.types]
        if missing:
            await self._load(user_id, view, missing)
        return view.types

    def changed(self, user_id: str, *, is_fleet: bool) -> None:
        """Discard what is cached for the users of a new catalogue, on all replicas."""
        whose = _EVERYBODY if is_fleet else user_id
        self._evict(whose)
        self._notifications.notify(TOPIC, whose)

    def _evict(self, whose: str) -> None:
        if whose == _EVERYBODY:
            self._views.clear()
            self._cached_types = 0
        elif (view := self._views.pop(whose, None)) is not None:
            self._cached_types -= len(view.types)

    def _view(self, user_id: str) -> _View:
        view = self._views.get(user_id)
        if view is None or view.expires_at < time.monotonic():
            self._evict(user_id)
            view = self._views[user_id] = _View()
        return view

    async def _load(self, user_id: str, view: _View, types: Sequence[str]) -> None:
        found = await queries.versions(self._db.pool, user_id, types)
        ready = await self._prepare(found)
        loaded: dict[str, list[NodeVersion]] = {name: [] for name in types}
        for version in found:
            if version.digest in ready:  # else its catalogue was deleted meanwhile
                loaded[version.type].append(ready[version.digest])
        view.types.update(loaded)
        self._cached_types += len(loaded)
        if self._cached_types > _MAX_TYPES:
            self._evict(_EVERYBODY)

    async def _prepare(self, found: Collection[VersionRecord]) -> Mapping[bytes, NodeVersion]:
        ready = {
            version.digest: self._prepared[version.digest]
            for version in found
            if version.digest in self._prepared
        }
        unread = {version.digest: version for version in found if version.digest not in ready}
        if unread:
            for digest, body in await queries.bodies(self._db.pool, unread.values()):
                version = NodeVersion(NodeDescription.model_validate_json(body))
                ready[digest] = self._keep(digest, version, len(body))
                await asyncio.sleep(0)  # preparing a large description takes milliseconds
        return ready

    def _keep(self, digest: bytes, version: NodeVersion, size: int) -> NodeVersion:
        if self._prepared_bytes + size > self._max_cached_bytes:
            self._prepared, self._prepared_bytes = {}, 0
        self._prepared[digest] = version
        self._prepared_bytes += size
        return version
