"""Events of the nodes of a run.

Building events is most of the cost of a small node. Events that every node has are therefore
assembled as JSON; their model is created only for a reader.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from processing_context._events.encoded_event import Encoded
from processing_context.errors import ContextError
from processing_context.nodes.runner.node_log import Level
from processing_context.nodes.runner.plan import PlannedNode
from processing_context.nodes.runner.values import json_bytes
from processing_context.wire.events import Log, NodeProgress, NodeUpdate, OutputUpdate

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext
    from processing_context.wire.events import ProcessingMessage

_CHUNK = 8_000
# The fields of each update in order, up to the status.
_UPDATE = NodeUpdate(node_id="", node_name="", node_type="", status="running").model_dump(
    exclude_none=True
) | {"status": ""}


class NodeReporter:
    """Posts the events of the nodes of one run.

    Args:
        context: Receives the messages.
    """

    def __init__(self, context: ProcessingContext) -> None:
        self._context = context
        self._post_encoded = context._encoded_post()
        self._is_muted = False
        self._heads: dict[str, bytes] = {}

    def mute(self) -> None:
        """Stop posting."""
        self._is_muted = True

    def post(self, message: ProcessingMessage) -> None:
        """Post a message."""
        if not self._is_muted:
            self._context.post_message(message)

    def running(self, node: PlannedNode) -> None:
        """Report that a node has started."""
        self._post_update(node.id, b'%srunning"}' % self._head(node))

    def completed(self, node: PlannedNode, result: Mapping[str, bytes]) -> None:
        """Report that a node has completed; `result` is the JSON of each slot."""
        slots = b",".join([b"%s:%s" % (_key(name), value) for name, value in result.items()])
        self._post_update(node.id, b'%scompleted","result":{%s}}' % (self._head(node), slots))

    def skipped(self, node: PlannedNode) -> None:
        """Report that a node does not run, since it has no value to work on."""
        self._post_update(node.id, b'%sskipped"}' % self._head(node))

    def cancelled(self, node: PlannedNode) -> None:
        """Report that a node was cancelled, or will not start."""
        self._post_update(node.id, b'%scancelled"}' % self._head(node))

    def failed(self, node: PlannedNode, *, error: str, logs: str) -> None:
        """Report that a node has failed."""
        self.post(
            NodeUpdate(
                node_id=node.id,
                node_name=node.name,
                node_type=node.type,
                status="failed",
                error=error,
                logs=logs,
            )
        )

    def line(self, node_id: str, level: Level, message: str) -> None:
        """Report a line that a node printed or logged; thread-safe."""
        if self._is_muted:
            return
        if not message.isascii():  # JSON has no unpaired surrogates
            message = message.encode(errors="backslashreplace").decode()
        event = {"type": "log", "level": level, "message": message, "node_id": node_id}
        with contextlib.suppress(ContextError):  # the job is ending: it must not fail the node
            self._post_encoded(Encoded(node_id, json_bytes(event), "log"))

    def not_used(self, node: PlannedNode, name: str) -> None:
        """Warn that a value belongs to no property of a node."""
        message = f"{node.label} has no property {name!r}; its value is ignored"
        self.post(Log(level="warning", message=message, node_id=node.id))

    def text(self, node: PlannedNode, text: str, *, count: int) -> None:
        """Report streamed text, the value number `count`."""
        for start in range(0, len(text), _CHUNK):
            chunk = text[start : start + _CHUNK]
            self.post(NodeProgress(node_id=node.id, progress=count, total=0, chunk=chunk))

    def output(self, node: PlannedNode, name: str, value: Any) -> None:
        """Report a value of an output in JSON form."""
        self.post(OutputUpdate(node_id=node.id, node_name=node.name, output_name=name, value=value))

    def _head(self, node: PlannedNode) -> bytes:
        """Return the beginning of the updates of a node, up to the status."""
        head = self._heads.get(node.id)
        if head is None:
            named = {"node_id": node.id, "node_name": node.name, "node_type": node.type}
            head = self._heads[node.id] = json_bytes(_UPDATE | named).removesuffix(b'"}')
        return head

    def _post_update(self, node_id: str, event: bytes) -> None:
        if not self._is_muted:
            self._post_encoded(Encoded(node_id, event))


@functools.cache  # for the slots of node classes
def _key(name: str) -> bytes:
    return json_bytes(name)
