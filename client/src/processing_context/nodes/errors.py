"""What can be wrong with nodes, graphs and the values that nodes return."""

from __future__ import annotations


class NodeDefinitionError(TypeError):
    """A node class is not usable: its return annotation cannot be read, or its type is taken."""


class UnknownNodeTypeError(LookupError):
    """No node of that type is installed here."""


class GraphError(ValueError):
    """The graph or its params cannot be run; `node_id` is the node it is about, if any."""

    def __init__(self, message: str, node_id: str | None = None) -> None:
        """Keep the node it is about."""
        super().__init__(message)
        self.node_id = node_id


class NodeTimeoutError(RuntimeError):
    """A node was not done within its time."""

    def __init__(self, limit_s: float) -> None:
        """Name the limit."""
        super().__init__(f"not done within {limit_s:g} s, the limit of this node")


class UnsendableError(ValueError):
    """A value cannot be sent to the service as JSON or as a file."""


class NodeProcessError(RuntimeError):
    """A node in a process of its own failed; `logs` is the traceback of that process."""

    def __init__(self, message: str, logs: str) -> None:
        """Keep the other process's traceback."""
        super().__init__(message)
        self.logs = logs
