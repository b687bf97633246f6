"""Python client of the processing service: files, jobs, workflows, nodes and workers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import Field

    from processing_context.context import ProcessingContext
    from processing_context.errors import (
        APIError,
        AuthenticationError,
        ConflictError,
        ConnectionFailedError,
        ContextError,
        HTTPStatusError,
        JobCancelledError,
        JobFailedError,
        MissingDependencyError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitedError,
        TooLargeError,
        UnavailableError,
        UnsafeFileError,
        ValidationError,
    )
    from processing_context.nodes import BaseNode, Property
    from processing_context.wire.assets import Asset, AssetList
    from processing_context.wire.events import (
        ErrorEvent,
        Event,
        JobUpdate,
        Log,
        NodeProgress,
        NodeUpdate,
        OutputUpdate,
        PredictionEvent,
        Preview,
        ProcessingMessage,
    )
    from processing_context.wire.graph import Edge, Graph, Node
    from processing_context.wire.jobs import Job, JobError, JobList, RunJobRequest
    from processing_context.wire.refs import (
        AssetRef,
        AudioRef,
        DataframeRef,
        DocumentRef,
        FolderRef,
        ImageRef,
        ModelRef,
        TextRef,
        VideoRef,
    )
    from processing_context.wire.sockets import Gap
    from processing_context.wire.workflows import (
        Workflow,
        WorkflowCreate,
        WorkflowList,
        WorkflowSummary,
    )

# Modules of the exported names, which are imported on first use: building the wire models takes
# about as long as importing httpx2, and few programs need all of them.
_EXPORTS = {
    "pydantic": ("Field",),
    "processing_context.context": ("ProcessingContext",),
    "processing_context.errors": (
        "APIError",
        "AuthenticationError",
        "ConflictError",
        "ConnectionFailedError",
        "ContextError",
        "HTTPStatusError",
        "JobCancelledError",
        "JobFailedError",
        "MissingDependencyError",
        "NotFoundError",
        "PermissionDeniedError",
        "RateLimitedError",
        "TooLargeError",
        "UnavailableError",
        "UnsafeFileError",
        "ValidationError",
    ),
    "processing_context.nodes": ("BaseNode", "Property"),
    "processing_context.wire.assets": ("Asset", "AssetList"),
    "processing_context.wire.events": (
        "ErrorEvent",
        "Event",
        "JobUpdate",
        "Log",
        "NodeProgress",
        "NodeUpdate",
        "OutputUpdate",
        "PredictionEvent",
        "Preview",
        "ProcessingMessage",
    ),
    "processing_context.wire.graph": ("Edge", "Graph", "Node"),
    "processing_context.wire.jobs": ("Job", "JobError", "JobList", "RunJobRequest"),
    "processing_context.wire.refs": (
        "AssetRef",
        "AudioRef",
        "DataframeRef",
        "DocumentRef",
        "FolderRef",
        "ImageRef",
        "ModelRef",
        "TextRef",
        "VideoRef",
    ),
    "processing_context.wire.sockets": ("Gap",),
    "processing_context.wire.workflows": (
        "Workflow",
        "WorkflowCreate",
        "WorkflowList",
        "WorkflowSummary",
    ),
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "APIError",
    "Asset",
    "AssetList",
    "AssetRef",
    "AudioRef",
    "AuthenticationError",
    "BaseNode",
    "ConflictError",
    "ConnectionFailedError",
    "ContextError",
    "DataframeRef",
    "DocumentRef",
    "Edge",
    "ErrorEvent",
    "Event",
    "Field",
    "FolderRef",
    "Gap",
    "Graph",
    "HTTPStatusError",
    "ImageRef",
    "Job",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobList",
    "JobUpdate",
    "Log",
    "MissingDependencyError",
    "ModelRef",
    "Node",
    "NodeProgress",
    "NodeUpdate",
    "NotFoundError",
    "OutputUpdate",
    "PermissionDeniedError",
    "PredictionEvent",
    "Preview",
    "ProcessingContext",
    "ProcessingMessage",
    "Property",
    "RateLimitedError",
    "RunJobRequest",
    "TextRef",
    "TooLargeError",
    "UnavailableError",
    "UnsafeFileError",
    "ValidationError",
    "VideoRef",
    "Workflow",
    "WorkflowCreate",
    "WorkflowList",
    "WorkflowSummary",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
