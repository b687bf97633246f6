"""What all wire models share: strict requests, tolerant replies, UTC times."""

from __future__ import annotations

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

# What lies outside cannot be told from PostgreSQL's infinities, or not be written in UTC.
_FIRST = datetime(1900, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def _to_utc(value: datetime) -> datetime:
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        moment = _FIRST
    if not _FIRST < moment <= _LAST:
        raise ValueError(f"must lie between {_FIRST:%Y-%m-%d} and {_LAST:%Y-%m-%d} in UTC")
    return moment


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain a NUL character")
    return value


Timestamp = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""RFC 3339 with an offset; kept and sent in UTC (`Z`)."""

Text = Annotated[str, AfterValidator(_no_nul)]
"""A string that fits a PostgreSQL text column: anything without NUL."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_no_nul)]
"""What a user calls a thing: 1 to 1,000 characters, no NUL. Never used as a path."""

Id = Text
"""A UUIDv7 as 32 lowercase hex characters. A malformed one is one that does not exist."""


class Request(BaseModel):
    """A request body: an unknown field is an error, since it is nearly always a misspelling."""

    model_config = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Reply(BaseModel):
    """A reply: fields that a newer service adds are ignored."""

    model_config = ConfigDict(extra="ignore", ser_json_bytes="base64", val_json_bytes="base64")


class Open(BaseModel):
    """A document that keeps what it does not know: files of other editors survive a round trip."""

    model_config = ConfigDict(extra="allow")


class Update(Request):
    """The body of a PATCH: a field left out stays as it is; null only where `nullable` says so."""

    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _no_other_nulls(self) -> Self:
        for field in self.model_fields_set - self.nullable:
            if getattr(self, field) is None:
                raise ValueError(f"{field} cannot be null: leave it out to keep it as it is")
        return self
