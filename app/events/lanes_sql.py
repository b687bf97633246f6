"""SQL of the lanes of the queue, for statements that read queued jobs."""

from __future__ import annotations


def lanes_of(user_id: str) -> str:
    """Return the lanes of a user as `lane(priority, floor)`; a lane may have several rows."""
    return f"""(
    select l.priority, min(l.floor) as floor from queue_lanes l
    where l.user_id = {user_id} group by l.priority
) lane"""


def in_lane(user_id: str) -> str:
    """Return the condition for the queued jobs `j` of a lane; it fits the index of the queue."""
    return (
        f"j.user_id = {user_id} and j.priority = lane.priority and j.id >= lane.floor "
        "and j.status = 'queued'"
    )
