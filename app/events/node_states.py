"""Node states from a batch of events, one row for each node."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

_UPDATED = ("node_name", "node_type", "status", "error", "result")


def node_columns(events: Iterable[tuple[int, Mapping[str, Any]]]) -> dict[str, list[Any]]:
    """Return the columns of the upsert for events, which are given with their `seq`.

    A row with a status replaces status, error and result of the node; one without a status only
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
