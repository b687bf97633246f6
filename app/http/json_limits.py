"""Limit on the size of `metadata` and `settings`, JSON that is stored with an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.http.problems import TooLarge


class MetadataTooLarge(TooLarge):
    """The metadata or the settings of an object exceed the limit."""

    code = "metadata_too_large"


def check_metadata(name: str, value: Mapping[str, Any], limit: int) -> None:
    """Check the size of a field with JSON of the user.

    Args:
        name: The name of the field.
        value: Its new value.
        limit: The largest size in bytes.

    Raises:
        MetadataTooLarge: The value is larger.
    """
    if value and (size := len(orjson.dumps(value))) > limit:
        raise MetadataTooLarge(
            f"`{name}` has {size} bytes; the limit is {limit} bytes. Store the value in an asset "
            "and keep its id."
        )
