"""Run of the job of one lease."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from processing_context._transport.network import Network
from processing_context._transport.retry import RETRIES
from processing_context.context import TIMEOUT_S, ProcessingContext
from processing_context.errors import ContextError
from processing_context.nodes.registry import NodeRegistry
from processing_context.nodes.runner import GraphRunner, RunFailedError
from processing_context.nodes.runner.tracebacks import summary
from processing_context.wire.events import JobUpdate
from processing_context.wire.graph import Graph
from processing_context.wire.jobs import JobError, JobStatus
from processing_context.wire.workers import Lease
from processing_context.worker.heartbeats import Heartbeats, Watch
from processing_context.worker.tracing import span_of

if TYPE_CHECKING:
    from processing_context.worker.relay import Relay

logger = logging.getLogger(__name__)

_STOP_S = 10.0
"""Time limit for nodes to stop after their cancellation."""

_RELEASE_S = 3.0
"""Seconds for which the release of a lease is retried."""

Stop = Literal["cancel", "timeout", "lost", "release"]
Ending = JobStatus | Literal["released", "lost"]
"""End of a lease: as reported to the service, or `lost` if it could not be reported."""


class LeaseRun:
    """Run of the job of a lease, in a context of its own."""

    def __init__(
        self,
        lease: Lease,
        *,
        base_url: str,
        registry: NodeRegistry,
        capabilities: Sequence[str],
        node_memory_bytes: int | None = None,
        heartbeats: Heartbeats,
        network: Network,
        relay: Relay,
    ) -> None:
        """Prepare the run."""
        self._lease = lease
        self._job = lease.job
        self._registry = registry
        self._node_memory_bytes = node_memory_bytes
        self._heartbeats = heartbeats
        self._loop = asyncio.get_running_loop()
        self._stop: Stop | None = None
        self._stopped = asyncio.Event()
        self._graph = self._job.graph or Graph(nodes=[])
        self._context = ProcessingContext(
            base_url=base_url,
            token=lease.token,
            user_id=self._job.user_id,
            workflow_id=self._job.workflow_id or "",
            job_id=self._job.id,
            capabilities=capabilities,
            _network=Network(timeout_s=TIMEOUT_S, retries=RETRIES, lender=network),
        )
        self._context._state.borrow(self._graph)
        self._context._core.api.traceparent = span_of(lease.traceparent)
        if self._context.outbox is not None:
            self._context.outbox.relay = relay
        self.ended_as: Ending = "lost"

    @property
    def job_id(self) -> str:
        """Id of the job."""
        return self._job.id

    async def confirmed(self) -> None:
        """Wait until the service has stored the first event of the lease."""
        if (outbox := self._context.outbox) is not None:
            await outbox.first_stored()

    def stop(self, reason: Stop) -> None:
        """Stop the nodes; the first reason counts. Thread-safe."""
        self._loop.call_soon_threadsafe(self._stop_here, reason)

    async def run(self) -> None:
        """Run the job until it ends; `ended_as` is the result."""
        if (outbox := self._context.outbox) is not None:
            outbox.on_cancel = lambda: self._stop_here("cancel")
            outbox.on_lost = self._lose
        self._heartbeats.watch(self._watch())
        logger.info("job %s: attempt %d started", self.job_id, self._lease.attempt)
        try:
            async with self._context:
                await self._run()
        except ContextError as error:
            # The lease expires, and the service then retries or fails the job.
            logger.warning("job %s: could not report its end: %s", self.job_id, error)
        finally:
            self._heartbeats.unwatch(self._lease.token)

    async def _run(self) -> None:
        runner = GraphRunner(
            self._context, self._registry, node_memory_bytes=self._node_memory_bytes
        )
        end = await self._outcome(runner)
        if end is not None:
            self._context.post_message(end)
            await self._context.flush()
            self.ended_as = end.status
            logger.info("job %s: %s", self.job_id, end.status)
        elif self._stop == "release":
            path = f"/v1/jobs/{self.job_id}/release"
            await self._context._core.api.request("POST", path, patience_s=_RELEASE_S)
            self.ended_as = "released"
            logger.info("job %s: released", self.job_id)

    async def _outcome(self, runner: GraphRunner) -> JobUpdate | None:
        """Return the end of the job; None if it must not be reported."""
        flow = asyncio.create_task(runner.run(self._graph, self._job.params or {}))
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait(
                {flow, stopped}, timeout=self._job.timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopped.cancel()
        if not flow.done():
            self._stop = self._stop or "timeout"
            await self._end(flow, runner)
        return self._update_of(flow)

    async def _end(self, flow: asyncio.Task[dict[str, object]], runner: GraphRunner) -> None:
        if self._stop in ("lost", "release"):
            runner.mute()
        flow.cancel()
        await asyncio.wait({flow}, timeout=_STOP_S)
        if not flow.done():
            logger.error("job %s: a node does not stop and is abandoned", self.job_id)
            runner.mute()

    def _update_of(self, flow: asyncio.Task[dict[str, object]]) -> JobUpdate | None:
        if self._stop in ("lost", "release"):
            return None
        if not flow.done() or flow.cancelled():
            return self._stopped_update()
        error = flow.exception()
        if error is None:
            return JobUpdate(status="completed", progress=1.0, result=flow.result())
        if isinstance(error, RunFailedError):
            return JobUpdate(status="failed", message=error.error.message, error=error.error)
        logger.error("job %s: the runner failed", self.job_id, exc_info=error)
        failure = JobError(code="node_failed", message=f"the runner failed: {summary(error)}")
        return JobUpdate(status="failed", message=failure.message, error=failure)

    def _stopped_update(self) -> JobUpdate:
        if self._stop == "timeout":
            message = f"not finished within {self._job.timeout_s:g} s"
            error = JobError(code="timeout", message=message)
            return JobUpdate(status="failed", message=message, error=error)
        error = JobError(code="cancelled", message="cancelled on request")
        return JobUpdate(status="cancelled", message=error.message, error=error)

    def _stop_here(self, reason: Stop) -> None:
        self._stop = self._stop or reason
        self._stopped.set()

    def _lose(self, error: ContextError) -> None:
        logger.warning("job %s: the lease is lost: %s", self.job_id, error)
        self._stop_here("lost")

    def _watch(self) -> Watch:
        timeout_s = self._job.timeout_s
        return Watch(
            job_id=self.job_id,
            token=self._lease.token,
            on_cancel=lambda: self.stop("cancel"),
            on_lost=lambda error: self._loop.call_soon_threadsafe(self._lose, error),
            deadline=None if timeout_s is None else time.monotonic() + timeout_s + 2 * _STOP_S,
        )
