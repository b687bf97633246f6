"""Output slots of a node, from the values that `process` returns or yields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processing_context.nodes.base import OUTPUT
from processing_context.nodes.runner.plan import Kind


def to_slots(kind: Kind, returned: Any) -> dict[str, Any]:
    """Return `{slot: value}` for a value that `process` returned or yielded.

    Raises:
        TypeError: The value does not fit the return annotation.
    """
    slots = kind.slots
    if not kind.has_named_slots:
        if not slots and returned is not None:
            raise TypeError(f"process is annotated to return None, but returned {_kind(returned)}")
        if not slots:
            return {}
        if kind.slot_types:
            kind.slot_types[OUTPUT].check(returned)
        return {OUTPUT: returned}
    if not isinstance(returned, Mapping):
        raise TypeError(f"process must return a dict of {', '.join(slots)}, not {_kind(returned)}")
    unknown = sorted(str(name) for name in returned if name not in slots)
    if unknown:
        raise TypeError(
            f"process returned {', '.join(unknown)}; its outputs are {', '.join(slots)}"
        )
    for name, slot_type in kind.slot_types.items():
        if name in returned:
            slot_type.check(returned[name])
    return dict(returned)


class StreamedSlots:
    """Output slots of a streaming node.

    The strings of a slot that yields only strings are joined; of another slot the last value
    counts.
    """

    def __init__(self) -> None:
        """Start without values."""
        self._texts: dict[str, list[str]] = {}
        self._values: dict[str, Any] = {}

    def add(self, slots: Mapping[str, Any]) -> None:
        """Add the slots of one yielded value."""
        for name, value in slots.items():
            if isinstance(value, str) and name not in self._values:
                self._texts.setdefault(name, []).append(value)
            else:
                self._texts.pop(name, None)
                self._values[name] = value

    def joined(self) -> dict[str, Any]:
        """Return the final values."""
        return {name: "".join(pieces) for name, pieces in self._texts.items()} | self._values


def _kind(value: Any) -> str:
    return type(value).__name__
