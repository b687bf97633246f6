"""Limits on the registration of a worker."""

from __future__ import annotations

from collections.abc import Sized

from app.http.json_limits import check_metadata
from app.http.problems import validation_problem
from app.settings import Settings
from processing_context.wire.workers import WorkerCreate


class RegistrationLimits:
    """The largest registration: each claim passes its lists to the database."""

    def __init__(self, settings: Settings) -> None:
        self._max_node_types = settings.max_worker_node_types
        self._max_capabilities = settings.max_worker_capabilities
        self._max_metadata_bytes = settings.max_metadata_bytes

    def check(self, request: WorkerCreate) -> None:
        """Check the sizes of a registration.

        Raises:
            ValidationFailed: It has too many node types or capabilities.
            MetadataTooLarge: The metadata is too large.
        """
        _check_length("node_types", request.node_types or (), self._max_node_types)
        _check_length("capabilities", request.capabilities, self._max_capabilities)
        check_metadata("metadata", request.metadata, self._max_metadata_bytes)


def _check_length(name: str, items: Sized, limit: int) -> None:
    if len(items) > limit:
        message = f"has {len(items)} items; the limit is {limit} items"
        raise validation_problem([{"loc": ("body", name), "msg": message, "type": "too_long"}])
