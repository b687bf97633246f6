"""What passes between the service and a decoder's process: frames of a kind, a length, bytes.

Nothing is pickled: a process that a hostile file has taken over can only answer.
"""

from __future__ import annotations

import struct
from enum import IntEnum

HEAD = struct.Struct(">BQ")
RANGE = struct.Struct(">QQ")


class Kind(IntEnum):
    """What a frame is."""

    TASK = 1
    """To the process, JSON: `function` (`module:name`), `options`, `size` of the source."""
    READ = 2
    """To the service, a range: which bytes of the source are wanted next."""
    DATA = 3
    """To the process: those bytes."""
    RESULT = 4
    """To the service: what the function returned."""
    REFUSED = 5
    """To the service, JSON: `code` and `detail` of an error of ours."""
    FAILED = 6
    """To the service, text: an exception that nobody expected."""


def frame(kind: Kind, payload: bytes) -> bytes:
    """Return a frame."""
    return HEAD.pack(kind, len(payload)) + payload
