"""Node states from a batch of events, one row for each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.events.node_queries import COLUMN_TYPES


def node_columns(events: Iterable[tuple[int, Mapping[str, Any]]]) -> dict[str, list[Any]]:
    """Return the columns of the upsert for events, which are given with their `seq`.

    A row with a status replaces status, error and result of the node; one without a status only
    updates its progress.
    """
    states: dict[str, dict[str, Any]] = {}
    for seq, event in events:
        if event["type"] == "node_update":
            state = states.setdefault(event["node_id"], {})
            for column in ("node_name", "node_type", "status", "error", "result"):
                state[column] = event.get(column)
        elif event["type"] == "node_progress":
            state = states.setdefault(event["node_id"], {})
            state["progress"], state["total"] = event["progress"], event["total"]
        else:
            continue
        state["seq"] = seq
    return {
        column: [
            node_id if column == "node_id" else state.get(column)
            for node_id, state in states.items()
        ]
        for column in COLUMN_TYPES
    }
