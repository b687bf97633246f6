"""Problems of requests about the node catalogue."""

from __future__ import annotations

from app.http.problems import Invalid


class CatalogueMismatch(Invalid):
    """The descriptions do not have the hash that the worker registered."""

    code = "catalogue_mismatch"

    def __init__(self, worker_id: str, sha256: str) -> None:
        super().__init__(
            f"The node descriptions of worker {worker_id} do not have the SHA-256 that it "
            f"registered, {sha256}: register the hash of the body that is sent."
        )


class NoCatalogueRegistered(Invalid):
    """The worker registered without the hash of its descriptions."""

    code = "no_catalogue_registered"

    def __init__(self, worker_id: str) -> None:
        super().__init__(
            f"Worker {worker_id} registered without `catalogue`: register with the SHA-256 of the "
            "node descriptions, then send them."
        )


class DescriptionTooLarge(Invalid):
    """The description of one node type is too large."""

    code = "description_too_large"

    def __init__(self, node_type: str, size: int, limit: int) -> None:
        super().__init__(
            f"The description of the node type {node_type} has {size} bytes; the limit is "
            f"{limit} bytes."
        )
