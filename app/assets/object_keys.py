"""Object keys of assets and thumbnails: `<asset id>/<version>`.

A thumbnail has a version of its own.
"""

from __future__ import annotations

import re
from typing import Protocol

OBJECT_KEY = re.compile(r"[0-9a-f]{32}/[0-9a-f]{32}")


class HasVersion(Protocol):
    """Row with the id of an asset and the version of its bytes."""

    @property
    def id(self) -> str:
        """The id of the asset."""
        ...

    @property
    def version(self) -> str | None:
        """The version of the bytes; None for folders."""
        ...


def object_key(asset_id: str, version: str) -> str:
    """Return the key of a version of an asset's bytes."""
    return f"{asset_id}/{version}"


def key_of(asset: HasVersion) -> str:
    """Return the key of the current bytes of an asset that is not a folder."""
    return f"{asset.id}/{asset.version}"


def split_key(key: str) -> tuple[str, str]:
    """Split a key into the asset's id and the version."""
    asset_id, _, version = key.partition("/")
    return asset_id, version
