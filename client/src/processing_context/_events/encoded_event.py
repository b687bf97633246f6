"""Events that were put together as they are sent, without their model."""

from __future__ import annotations

from typing import NamedTuple

from processing_context.wire.events import EVENT, ProcessingMessage


class Encoded(NamedTuple):
    """The JSON of an event about a node, as a worker sends it."""

    node_id: str
    body: bytes

    def message(self) -> ProcessingMessage:
        """Return its model."""
        return EVENT.validate_json(self.body)
