"""Reason why a queued job does not run yet, determined when the job is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from app.database.engine import Database
from app.events.job_queries import JobRecord, JobSummary
from app.jobs import queries
from app.queue.user_turns import UserTurns
from app.workers.service import WorkerCapabilities, WorkerService


class QueueReasons:
    """Determines the reasons why queued jobs do not run yet."""

    def __init__(
        self, db: Database, workers: WorkerService, turns: UserTurns, *, user_limit: int
    ) -> None:
        self._db = db
        self._workers = workers
        self._turns = turns
        self._user_limit = user_limit

    async def of(
        self, user_id: str, jobs: Sequence[JobRecord | JobSummary]
    ) -> Mapping[str, str | None]:
        """Return the reasons by job id; None or missing if nothing prevents a job from running."""
        queued = [job for job in jobs if job.status == "queued"]
        if not queued:
            return {}
        workers = await self._workers.active(user_id)
        at_limit = (
            f"The limit of {self._user_limit} running jobs is reached."
            if await self._is_at_limit(user_id)
            else None
        )
        return {
            job.id: waiting_reason(job.required_capabilities, job.node_types, workers) or at_limit
            for job in queued
        }

    async def _is_at_limit(self, user_id: str) -> bool:
        if not self._turns.is_near_limit(user_id, max_jobs=1):
            return False
        running = await queries.count_running(self._db.pool, user_id=user_id)
        return running >= self._user_limit


def waiting_reason(
    capabilities: Collection[str],
    node_types: Collection[str],
    workers: Sequence[WorkerCapabilities],
) -> str | None:
    """Return which requirements of a job no worker meets; None if a worker can run it."""
    if not workers:
        return "No worker is connected that takes this user's jobs."
    if any(worker.can_run(capabilities, node_types) for worker in workers):
        return None
    unknown = [
        node_type
        for node_type in node_types
        if not any(worker.can_run((), (node_type,)) for worker in workers)
    ]
    missing = [name for name in capabilities if not any(w.can_run((name,), ()) for w in workers)]
    reasons = []
    if unknown:
        reasons.append(f"no worker runs the node type{'s' * (len(unknown) > 1)} {_names(unknown)}")
    if missing:
        many = len(missing) > 1
        reasons.append(f"no worker has the capabilit{'ies' if many else 'y'} {_names(missing)}")
    if not reasons:
        needs = _names([*capabilities, *node_types])
        reasons.append(f"no single worker has all that it needs: {needs}")
    text = "; ".join(reasons)
    return f"{text[0].upper()}{text[1:]}."


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
