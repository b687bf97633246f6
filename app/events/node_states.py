"""The states of nodes that a batch of events describes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

_UPDATED = ("node_name", "node_type", "status", "error", "result")


def node_states(
    events: Iterable[tuple[int, Mapping[str, Any]]],
) -> Collection[Mapping[str, Any]]:
    """Return the state of each node in events with their `seq`, as columns of the upsert.

    A state with a status replaces status, error and result of the node; one without a status only
    updates its progress.
    """
    states: dict[str, dict[str, Any]] = {}
    for seq, event in events:
        if event["type"] == "node_update":
            state = states.setdefault(event["node_id"], {})
            for column in _UPDATED:
                state[column] = event.get(column)
        elif event["type"] == "node_progress":
            state = states.setdefault(event["node_id"], {})
            state["progress"], state["total"] = event["progress"], event["total"]
        else:
            continue
        state["node_id"], state["seq"] = event["node_id"], seq
    return states.values()
