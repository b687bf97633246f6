"""Base class of all resources."""

from __future__ import annotations

from processing_context._core import Core


class Resource:
    """Base class of resources, with the attributes of `ProcessingContext` that they use."""

    workflow_id: str
    node_id: str | None
    _core: Core
