"""Base classes and field types of the wire models: strict requests, tolerant replies, UTC times."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    StringConstraints,
    model_validator,
)

# Times outside of this range cannot be distinguished from PostgreSQL's infinities, or cannot be
# written in UTC.
_FIRST = datetime(1900, 1, 1, tzinfo=UTC)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def _to_utc(value: datetime) -> datetime:
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        moment = _FIRST
    if not _FIRST < moment <= _LAST:
        raise ValueError(f"must lie between {_FIRST:%Y-%m-%d} and {_LAST:%Y-%m-%d} in UTC")
    return moment


def has_controls(text: str) -> bool:
    """Return True if a text has control characters or line separators."""
    return _CONTROLS.search(text) is not None


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain a NUL character")
    return value


def _no_controls(value: str) -> str:
    if has_controls(value):
        raise ValueError("must not contain control characters, such as line breaks, tabs and NUL")
    return value


Timestamp = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""RFC 3339 time with an offset; stored and sent in UTC (`Z`)."""

Text = Annotated[str, AfterValidator(_no_nul)]
"""A string without NUL characters, which PostgreSQL text columns cannot store."""

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_no_controls)
]
"""A display name: 1 to 1,000 characters, no control characters. Never used as a path."""

Id = Text
"""A UUIDv7 as 32 lowercase hex characters. A malformed id is treated as one that does not exist."""


class Request(BaseModel):
    """Base of request bodies. Unknown fields are errors, since most of them are misspellings."""

    model_config = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Reply(BaseModel):
    """Base of replies. Unknown fields are ignored, so that newer services can add fields."""

    model_config = ConfigDict(extra="ignore", ser_json_bytes="base64", val_json_bytes="base64")


class Open(BaseModel):
    """Base of documents that keep unknown fields, as other editors may have added them."""

    model_config = ConfigDict(extra="allow")


class Update(Request):
    """Base of PATCH bodies. Omitted fields are unchanged; only those in `nullable` can be null."""

    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _no_other_nulls(self) -> Self:
        for field in self.model_fields_set - self.nullable:
            if getattr(self, field) is None:
                raise ValueError(f"{field} cannot be null: omit it to keep its value")
        return self
