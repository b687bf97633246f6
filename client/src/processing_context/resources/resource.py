"""Base class of all resources."""

from __future__ import annotations

from processing_context._core import Core


class Resource:
    """Attributes of `ProcessingContext` that the methods of resources use."""

    workflow_id: str
    node_id: str | None
    _core: Core
