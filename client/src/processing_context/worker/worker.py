"""Worker process: registers, claims as many jobs as it has free slots, and drains."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import os
import platform
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from processing_context._transport.api import Api
from processing_context._transport.network import Network
from processing_context._transport.retry import RETRIES, Retry, Retryable
from processing_context.context import TIMEOUT_S
from processing_context.errors import (
    APIError,
    AuthenticationError,
    ConnectionFailedError,
    ContextError,
    NotFoundError,
    PermissionDeniedError,
    TooLargeError,
    ValidationError,
)
from processing_context.nodes.registry import NodeRegistry
from processing_context.nodes.runner.capture import captured_output
from processing_context.wire.workers import (
    ClaimRequest,
    Lease,
    LeaseList,
    WorkerCreate,
    WorkerRegistered,
)
from processing_context.worker.catalogue import catalogue_json, offered
from processing_context.worker.heartbeats import Heartbeats
from processing_context.worker.lease import LeaseRun
from processing_context.worker.loop_monitor import LoopMonitor
from processing_context.worker.metrics import Counters, Metrics, serve_metrics
from processing_context.worker.outage import Outage
from processing_context.worker.relay import Relay

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CLAIM_WAIT_S = 30.0
_ANSWER_S = 15.0
"""Seconds that a response may take beyond the requested wait."""

_EARLY_S = 1.0
"""A claim that is answered sooner has not waited."""

_UNREGISTER_S = 3.0
_FINAL = (AuthenticationError, PermissionDeniedError, TooLargeError, ValidationError)
"""Errors that another attempt would raise again."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker."""

    url: str
    token: str = field(repr=False)
    name: str = field(default_factory=socket.gethostname)
    slots: int = 1
    capabilities: tuple[str, ...] = ()
    grace_s: float = 30.0
    node_memory_bytes: int | None = None
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"


class Worker:
    """Worker that claims and runs jobs until it drains."""

    def __init__(self, options: WorkerOptions, registry: NodeRegistry) -> None:
        """Create a worker with the nodes that its capabilities and its installation can run."""
        self._options = options
        self._registry = offered(registry, options.capabilities)
        self._catalogue = catalogue_json(self._registry)
        self._network = Network(timeout_s=TIMEOUT_S, retries=RETRIES)
        self._api = Api(options.url, options.token, self._network, retries=0)
        self._counters = Counters()
        self._relay = Relay(self._api, self._counters.posts)
        self._loop_monitor = LoopMonitor(self._counters.stalls)
        self._loop = asyncio.get_running_loop()
        self._outage = Outage()
        self._early_returns = Retry(patience_s=math.inf)
        self._heartbeats = Heartbeats(
            self._api, self._network.bulk, self._forgotten, outage=self._outage
        )
        self._worker_id: str | None = None
        self._runs: dict[asyncio.Task[None], LeaseRun] = {}
        self._slot_freed = asyncio.Event()
        self._draining = asyncio.Event()
        self._release_now = asyncio.Event()

    async def run(self) -> None:
        """Claim and run jobs until `drain` is called.

        Raises:
            ContextError: The service refuses the worker permanently.
        """
        end_metrics = self._serve_metrics()
        self._loop_monitor.start()
        try:
            with captured_output():
                while not self._draining.is_set():
                    await self._until_draining(self._work)
                await self._finish()
        finally:
            self._loop_monitor.close()
            end_metrics()
            self._heartbeats.close()
            await self._relay.aclose()
            await self._network.aclose()

    def _serve_metrics(self) -> Callable[[], None]:
        port = self._options.metrics_port
        if port is None:
            return lambda: None
        metrics = Metrics(self._counters, slots=self._options.slots, busy=lambda: len(self._runs))
        end = serve_metrics(metrics, self._options.metrics_host, port)
        logger.info("metrics: http://%s:%d/metrics", self._options.metrics_host, port)
        return end

    def drain(self) -> None:
        """Claim no more jobs, and end with the running ones; called again: release them now."""
        if self._draining.is_set():
            self._release_now.set()
            return
        logger.info("draining: %d jobs running", len(self._runs))
        self._draining.set()
        self._heartbeats.drain()

    async def _work(self) -> None:
        if self._worker_id is None:
            await self._register()  # at the start, or after the service has removed this worker
        free = self._options.slots - len(self._runs)
        if free <= 0:
            self._slot_freed.clear()
            await self._slot_freed.wait()
            return
        begun = time.monotonic()
        try:
            leases = await self._persistently("claim", lambda: self._claim(free))
        except NotFoundError:
            self._named(None)
            return
        await self._pace(time.monotonic() - begun, has_leases=bool(leases))
        # A lease without a stored event counts as lost with its response, and the next claim would
        # return it again.
        await asyncio.gather(*(self._start(lease) for lease in leases))

    async def _pace(self, took_s: float, *, has_leases: bool) -> None:
        """Wait before the next claim if this one was answered early and empty.

        A service that stops answers waiting claims at once.
        """
        if has_leases or took_s >= _EARLY_S:
            self._early_returns.succeeded()
        else:
            await asyncio.sleep(self._early_returns.next_delay_s() or 0.0)

    async def _register(self) -> None:
        options = self._options
        body = WorkerCreate(
            name=options.name,
            capabilities=list(options.capabilities),
            node_types=self._registry.types(),
            slots=options.slots,
            metadata={"python": platform.python_version(), "pid": os.getpid()},
            catalogue=hashlib.sha256(self._catalogue).hexdigest(),
        )
        made = await self._persistently(
            "registration",
            lambda: self._api.post("/v1/workers", WorkerRegistered, body=body, creates=True),
        )
        self._named(made.id)
        self._heartbeats.start(made.id, made.heartbeat_interval_s)
        if made.wants_catalogue:
            await self._send_catalogue(made.id)
        logger.info(
            "registered as %s (%s): %d slots, %d node types",
            *(options.name, made.id, options.slots, len(self._registry)),
        )

    async def _send_catalogue(self, worker_id: str) -> None:
        """Send the node descriptions; without them the worker runs jobs all the same."""
        path = f"/v1/workers/{worker_id}/catalogue"
        try:
            await self._persistently(
                "node descriptions",
                lambda: self._api.request("PUT", path, content=self._catalogue, is_json=True),
            )
        except APIError as error:
            logger.warning("the service refuses the descriptions of the nodes: %s", error)

    async def _claim(self, free: int) -> list[Lease]:
        path = f"/v1/workers/{self._worker_id}/claim"
        body = ClaimRequest(wait_s=_CLAIM_WAIT_S, max_jobs=min(free, 100))
        with self._counters.claims.one():
            answered = await self._api.post(
                path, LeaseList, body=body, is_hot=True, timeout_s=_CLAIM_WAIT_S + _ANSWER_S
            )
        return answered.leases

    async def _start(self, lease: Lease) -> None:
        """Run a job; return when the service has stored its first event, or it has ended."""
        run = LeaseRun(
            lease,
            base_url=self._options.url,
            registry=self._registry,
            capabilities=self._options.capabilities,
            node_memory_bytes=self._options.node_memory_bytes,
            heartbeats=self._heartbeats,
            network=self._network,
            relay=self._relay,
        )
        task = asyncio.create_task(run.run(), name=f"job {run.job_id}")
        self._runs[task] = run
        task.add_done_callback(self._ended)
        confirmed = asyncio.create_task(run.confirmed())
        try:
            await asyncio.wait({confirmed, task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            confirmed.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        run = self._runs.pop(task)
        self._counters.ended[run.ended_as] += 1
        if not task.cancelled() and task.exception() is not None:
            logger.error("job %s: the worker failed", run.job_id, exc_info=task.exception())
        self._slot_freed.set()

    async def _until_draining(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do some work, and cancel it when the worker drains.

        A lease in an unread response to a claim is assigned again once the worker has unregistered.
        """
        working = asyncio.create_task(work())
        draining = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait({working, draining}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            draining.cancel()
            working.cancel()
            await asyncio.wait({working})
        if not working.cancelled():
            working.result()

    async def _persistently(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call until the service responds, without a limit."""

        async def attempt() -> T:
            try:
                answer = await call()
            except (NotFoundError, *_FINAL):
                raise
            except (APIError, ConnectionFailedError) as error:
                raise Retryable(error) from error
            self._outage.ended()
            return answer

        def note(error: Exception, _delay_s: float) -> None:
            self._outage.failed(what, error)

        return await Retry(patience_s=math.inf).call(attempt, note)

    async def _finish(self) -> None:
        """Wait for the jobs, release those that exceed the grace period, and unregister."""
        if self._runs:
            ended = asyncio.create_task(asyncio.wait(set(self._runs)))
            hurried = asyncio.create_task(self._release_now.wait())
            await asyncio.wait(
                {ended, hurried},
                timeout=self._options.grace_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for waiting in (ended, hurried):
                waiting.cancel()
        if self._runs:
            logger.warning("releasing %d jobs", len(self._runs))
            for run in self._runs.values():
                run.stop("release")
            await asyncio.wait(set(self._runs))
        if self._worker_id is not None:
            await self._unregister(self._worker_id)

    async def _unregister(self, worker_id: str) -> None:
        try:
            async with asyncio.timeout(_UNREGISTER_S):
                await self._api.request("DELETE", f"/v1/workers/{worker_id}")
        except (ContextError, TimeoutError) as error:
            logger.warning("could not unregister the worker: %s", error)
        else:
            logger.info("ended")

    def _forgotten(self, worker_id: str) -> None:
        """Register again; called in the thread of the heartbeats."""
        self._loop.call_soon_threadsafe(self._forget, worker_id)

    def _forget(self, worker_id: str) -> None:
        if self._worker_id == worker_id:
            self._named(None)
            self._slot_freed.set()

    def _named(self, worker_id: str | None) -> None:
        self._worker_id = worker_id
        self._relay.serve(worker_id)
