"""What a node gave, slot by slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processing_context.nodes.base import OUTPUT
from processing_context.nodes.runner.plan import Kind


def to_slots(kind: Kind, returned: Any) -> dict[str, Any]:
    """Return `{slot: value}` of what `process` returned or yielded.

    Raises:
        TypeError: It is not what the return annotation says.
    """
    slots = kind.slots
    if not kind.has_named_slots:
        if not slots and returned is not None:
            raise TypeError(f"process is declared to return None, and gave a {_kind(returned)}")
        return {OUTPUT: returned} if slots else {}
    if not isinstance(returned, Mapping):
        raise TypeError(f"process must give a dict of {', '.join(slots)}, not a {_kind(returned)}")
    unknown = sorted(str(name) for name in returned if name not in slots)
    if unknown:
        raise TypeError(f"process gave {', '.join(unknown)}; its outputs are {', '.join(slots)}")
    return dict(returned)


class StreamedSlots:
    """The slots of a node that gives its values piece by piece.

    Of a slot that gets strings alone the pieces are joined, so that no part of a text is lost; of
    another slot the last value counts.
    """

    def __init__(self) -> None:
        """Start without a value."""
        self._texts: dict[str, list[str]] = {}
        self._values: dict[str, Any] = {}

    def add(self, slots: Mapping[str, Any]) -> None:
        """Take in a piece."""
        for name, value in slots.items():
            if isinstance(value, str) and name not in self._values:
                self._texts.setdefault(name, []).append(value)
            else:
                self._texts.pop(name, None)
                self._values[name] = value

    def joined(self) -> dict[str, Any]:
        """Return the whole values."""
        return {name: "".join(pieces) for name, pieces in self._texts.items()} | self._values


def _kind(value: Any) -> str:
    return type(value).__name__
