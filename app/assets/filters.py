"""Filters of the list of assets."""

from __future__ import annotations

from typing import NamedTuple


class AssetFilters(NamedTuple):
    """Filters of a list of assets; a filter of None or "" is not applied.

    Attributes:
        parent_id: The folder; without it, the list has the assets at the top level.
        workflow_id: The workflow.
        job_id: The job that created the assets.
        content_type: A complete type, or a prefix that ends in a slash; case and parameters are
            ignored.
        q: A part of the name.
        recursive: Include the assets at all levels below.
    """

    parent_id: str | None = None
    workflow_id: str | None = None
    job_id: str | None = None
    content_type: str | None = None
    q: str | None = None
    recursive: bool | None = None
