"""What a batch of events says about nodes, as one row a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

from processing_context.wire.jobs import NodeState

COLUMN_TYPES = (
    ("node_id", "text"),
    ("node_name", "text"),
    ("node_type", "text"),
    ("status", "text"),
    ("error", "json"),
    ("progress", "float8"),
    ("total", "float8"),
    ("result", "json"),
    ("seq", "int"),
)
COLUMNS = tuple(name for name, _ in COLUMN_TYPES)


def columns_sql(first: int, *, also: str) -> str:
    """Return the rows of the upsert as `n`, from arrays that are the parameters from `first` on.

    `also` is the name of one more column before the others, of whole numbers.
    """
    kinds = ("int", *(kind for _, kind in COLUMN_TYPES))
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, first))
    return f"unnest({arrays}) as n({also}, {', '.join(COLUMNS)})"


def node_columns(events: Iterable[tuple[int, Mapping[str, Any]]]) -> list[list[Any]]:
    """Return the columns of the upsert for events with their `seq`.

    A row with a status replaces what the node's last update said; one without only moves its
    progress.
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
    return [
        [node_id if column == "node_id" else state.get(column) for node_id, state in states.items()]
        for column in COLUMNS
    ]


def node_out(row: asyncpg.Record) -> NodeState:
    """Return the wire form of a node's state."""
    return NodeState.model_validate(dict(row))
