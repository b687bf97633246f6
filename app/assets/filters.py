"""Filters of the list of assets."""

from __future__ import annotations

from typing import NamedTuple


class AssetFilters(NamedTuple):
    """Filters of a list; those that are None or empty are not applied.

    Without `parent_id` the list has the assets at the top level, with `recursive` those at all
    levels; `content_type` is a whole type, or a prefix that ends in a slash.
    """

    parent_id: str | None = None
    workflow_id: str | None = None
    job_id: str | None = None
    content_type: str | None = None
    q: str | None = None
    recursive: bool | None = None
