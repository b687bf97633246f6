"""Protocol between the service and decoder processes: frames of a kind, a length and a payload.

Payloads are JSON or bytes, not pickles, so that a compromised process cannot run code in the
service.
"""

from __future__ import annotations

import struct
from enum import IntEnum

HEAD = struct.Struct(">BQ")
RANGE = struct.Struct(">QQ")


class Kind(IntEnum):
    """Kinds of frames."""

    TASK = 1
    """To the process, JSON: `function` (`module:name`), `options`, `size` of the source."""
    READ = 2
    """To the service, a range: request for bytes of the source."""
    DATA = 3
    """To the process: the requested bytes."""
    RESULT = 4
    """To the service: the result of the function."""
    REFUSED = 5
    """To the service, JSON: `code` and `detail` of a `Refusal`."""
    FAILED = 6
    """To the service, text: the traceback of any other exception."""


def frame(kind: Kind, payload: bytes) -> bytes:
    """Return an encoded frame."""
    return HEAD.pack(kind, len(payload)) + payload
