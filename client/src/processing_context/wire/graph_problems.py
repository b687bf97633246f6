"""Problems of a graph, with suggestions for names that are not known."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

from processing_context.wire import terminal
from processing_context.wire.graph import GraphError, Node, ProblemType

MAX_PROBLEMS = 100
"""Problems that are described; further ones are only counted."""

_MAX_HINTS = 20
"""Problems with a suggestion, since looking for one is slow."""

_MAX_LENGTH = 80
_MAX_LISTED = 20
_MAX_CANDIDATES = 200


class Hints:
    """Suggestions for unknown names, a limited number of them."""

    def __init__(self, left: int = _MAX_HINTS) -> None:
        self._left = left

    def of(self, name: str, known: Collection[str]) -> str:
        """Return the end of a message about an unknown name: a similar name, or all known ones."""
        if self._left > 0:
            self._left -= 1
            if (near := similar(name, known)) is not None:
                return f": did you mean {printable(near)}?"
        return f"; known: {listed(known)}"


class Problems:
    """Problems of a graph: the first `limit` of them, and the number of all."""

    def __init__(self, limit: int = MAX_PROBLEMS, hints: Hints | None = None) -> None:
        self.first: list[GraphError] = []
        self.count = 0
        self.hints = hints or Hints()
        self._limit = limit

    @property
    def room(self) -> int:
        """The number of problems that can still be described."""
        return self._limit - len(self.first)

    def add(
        self, kind: ProblemType, node_ids: list[str], msg: str, *, edge_index: int | None = None
    ) -> None:
        """Add a problem."""
        self.count += 1
        if self.room:
            self.first.append(
                GraphError(type=kind, msg=msg, node_ids=node_ids, edge_index=edge_index)
            )

    def extend(self, others: Problems, *, note: str = "") -> None:
        """Add other problems, with a note behind their messages."""
        self.count += others.count
        self.first += [
            each.model_copy(update={"msg": each.msg + note}) for each in others.first[: self.room]
        ]


def similar(name: str, known: Collection[str]) -> str | None:
    """Return the known name that is most similar to a name, or None.

    Long names and long lists are not searched.
    """
    if len(name) > _MAX_LENGTH or len(known) > _MAX_CANDIDATES:
        return None
    candidates = [each for each in known if len(each) <= _MAX_LENGTH]
    return next(iter(difflib.get_close_matches(name, candidates, n=1)), None)


def label(node: Node) -> str:
    """Return the name of a node in messages: its type and its id."""
    return f"{printable(node.type)} ({printable(node.id)})"


def listed(names: Collection[str]) -> str:
    """Return names for a message, the first of many."""
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(printable(name) for name in list(names)[:_MAX_LISTED]) + more or "none"


def printable(name: str) -> str:
    """Return a name of a user for a message: shortened, with control characters escaped."""
    short = name if len(name) <= _MAX_LENGTH else f"{name[:_MAX_LENGTH]}…"
    return terminal.printable(short)


def shown(value: Any) -> str:
    """Return a short form of a value for a message."""
    if not isinstance(value, str | int | float | bool | None):
        return f"a value of type {type(value).__name__}"
    text = repr(value[:_MAX_LENGTH] if isinstance(value, str) else value)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"
