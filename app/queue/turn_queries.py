"""Statements that read the users with queued jobs and the numbers of their running jobs."""

from __future__ import annotations

from typing import NamedTuple

from app.database.statement import Executor, Query, Scalar


class RunningCount(NamedTuple):
    """The number of a user's running jobs."""

    user_id: str
    running: int


_USERS_WITH_LANES = Scalar(
    """
select distinct l.user_id from queue_lanes l
join users u on u.id = l.user_id and u.deleted_at is null""",
    str,
)
_RUNNING = Query(
    "select user_id, count(*) as running from jobs where status = 'running' group by user_id",
    RunningCount,
)


async def users_with_lanes(on: Executor) -> list[str]:
    """Return the ids of the users with a lane in the queue, except deleted users."""
    return await _USERS_WITH_LANES.values(on)


async def running(on: Executor) -> dict[str, int]:
    """Return the numbers of running jobs of the users who have any."""
    return dict(await _RUNNING.all(on))
