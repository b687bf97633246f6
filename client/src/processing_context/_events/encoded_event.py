"""Events that are encoded without their model."""

from __future__ import annotations

from typing import NamedTuple

from processing_context.wire.events import EVENT, ProcessingMessage


class Encoded(NamedTuple):
    """JSON of an event about a node, as a worker sends it."""

    node_id: str
    body: bytes
    type: str = "node_update"

    def message(self) -> ProcessingMessage:
        """Return the event as its model."""
        return EVENT.validate_json(self.body)
