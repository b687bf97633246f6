"""What functions of the decoders raise; the service's own errors would take long to import."""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """A file is not decoded; the argument says why."""

    code: ClassVar[str]


class CannotDecode(Refusal):
    """The bytes are not what the function can read."""

    code = "undecodable"


class TooMuch(Refusal):
    """Decoded, it would be larger than the limit."""

    code = "source_too_large"
