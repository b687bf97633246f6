"""Exceptions of decoder functions.

The processes do not import the problems of the service, which would slow down their start.
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """The file is not decoded; the text is the detail of the problem."""

    code: ClassVar[str]


class CannotDecode(Refusal):
    """The function cannot read the file."""

    code = "undecodable"


class TooMuch(Refusal):
    """The decoded file would be larger than a limit."""

    code = "source_too_large"
