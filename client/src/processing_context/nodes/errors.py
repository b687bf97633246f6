"""Errors of node definitions, graphs and the values that nodes return."""

from __future__ import annotations


class NodeDefinitionError(TypeError):
    """A node class is invalid: its return annotation cannot be resolved, or its type is taken."""


class UnknownNodeTypeError(LookupError):
    """A node type is not installed."""


class GraphError(ValueError):
    """A graph or its params are invalid; `node_id` is the node concerned, if any."""

    def __init__(self, message: str, node_id: str | None = None) -> None:
        """Store the message and the node."""
        super().__init__(message)
        self.node_id = node_id


class NodeTimeoutError(RuntimeError):
    """A node exceeded its time limit."""

    def __init__(self, limit_s: float) -> None:
        """Store the limit in the message."""
        super().__init__(f"not finished within its time limit of {limit_s:g} s")


class UnsendableError(ValueError):
    """A value cannot be sent to the service as JSON or as a file."""


class NodeProcessError(RuntimeError):
    """A node in a process of its own failed; `logs` is the traceback of that process."""

    def __init__(self, message: str, logs: str) -> None:
        """Store the message and the traceback."""
        super().__init__(message)
        self.logs = logs
