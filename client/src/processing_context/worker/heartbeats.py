"""Heartbeats of a worker and its leases, sent from a thread of their own."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from processing_context._events.outbox import is_lost
from processing_context._transport.api import Api, dumps
from processing_context._transport.bulk import Bulk
from processing_context._transport.exchange import DROPPED
from processing_context._transport.retry import LEASE_CAP_S, Retry
from processing_context.errors import APIError, NotFoundError, from_body
from processing_context.wire.workers import HeartbeatReply, WorkerHeartbeat
from processing_context.worker.outage import Outage

logger = logging.getLogger(__name__)

_ANSWER_S = 10.0
"""Limit to connect, and between two bytes of a response."""


@dataclass(slots=True)
class Watch:
    """A lease that is renewed. The callables are called in the thread of the heartbeats.

    After `deadline` (in `time.monotonic`) the lease is no longer renewed: its job does not stop
    and may block the loop, so another worker may take it.
    """

    job_id: str
    token: str
    on_cancel: Callable[[], object]
    on_lost: Callable[[APIError], object]
    deadline: float | None = None
    since: float = field(default_factory=time.monotonic)


class Heartbeats:
    """Thread that sends the heartbeats of a worker and its leases until it is closed.

    Args:
        api: API client with the token of the worker.
        bulk: The connections.
        on_forgotten: Called in the thread with a worker id that the service does not know.
        outage: Log of failed requests.
    """

    def __init__(
        self, api: Api, bulk: Bulk, on_forgotten: Callable[[str], object], *, outage: Outage
    ) -> None:
        self._outage = outage
        self._api = api
        self._bulk = bulk
        self._on_forgotten = on_forgotten
        self._worker_id: str | None = None
        self._interval_s = 10.0
        self._watches: dict[str, Watch] = {}
        self._is_draining = False
        self._is_urgent = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._retry = Retry(patience_s=math.inf, cap_s=LEASE_CAP_S)
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def start(self, worker_id: str, interval_s: float) -> None:
        """Send heartbeats for a worker at an interval; called again after a new registration."""
        with self._changed:
            self._worker_id, self._interval_s = worker_id, interval_s
        if not self._thread.is_alive():
            self._thread.start()

    def watch(self, watch: Watch) -> None:
        """Renew a lease from now on."""
        with self._changed:
            self._watches[watch.token] = watch

    def unwatch(self, token: str) -> None:
        """Stop renewing a lease."""
        with self._changed:
            self._watches.pop(token, None)

    def drain(self) -> None:
        """Report at once that the worker claims no more jobs."""
        with self._changed:
            self._is_draining = self._is_urgent = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._is_closed:
            try:
                is_answered = self._beat()
            except Exception:  # without this thread every lease would expire unnoticed
                logger.exception("heartbeats failed")
                is_answered = False
            wait_s = self._next_s(is_answered)
            with self._changed:
                if not self._is_closed and not self._is_urgent:
                    self._changed.wait(wait_s)
                self._is_urgent = False

    def _next_s(self, is_answered: bool) -> float:
        wait_s = self._interval_s * random.uniform(0.8, 1.0)  # noqa: S311
        if is_answered:
            self._retry.succeeded()
            return wait_s
        return min(wait_s, self._retry.next_delay_s() or 0.0)

    def _beat(self) -> bool:
        """Send heartbeats for the worker and its leases; return True if all had a response."""
        with self._changed:
            # A new lease needs no heartbeat yet, and most jobs end before they do.
            due_before = time.monotonic() - self._interval_s / 2
            watches = [watch for watch in self._watches.values() if watch.since < due_before]
        answers = [self._beat_worker()]
        answers += [self._beat_lease(watch) for watch in watches]
        return all(answers)

    def _beat_worker(self) -> bool:
        body = WorkerHeartbeat(draining=True if self._is_draining else None)
        worker_id = self._worker_id
        path = f"/v1/workers/{worker_id}/heartbeat"
        try:
            self._post(path, dumps(body.model_dump(exclude_none=True)))
            self._outage.ended()
        except NotFoundError:
            self._on_forgotten(str(worker_id))
        except APIError as error:
            self._outage.failed("worker heartbeat", error)
        except DROPPED as error:
            self._outage.failed("worker heartbeat", error)
            return False
        return True

    def _beat_lease(self, watch: Watch) -> bool:
        if watch.deadline is not None and time.monotonic() > watch.deadline:
            logger.error("job %s does not stop: its lease is no longer renewed", watch.job_id)
            self.unwatch(watch.token)
            return True
        if watch.token not in self._watches:
            return True  # it ended while the other heartbeats were sent
        path = f"/v1/jobs/{watch.job_id}/heartbeat"
        try:
            reply = HeartbeatReply.model_validate_json(self._post(path, b"{}", watch.token))
        except APIError as error:
            if not is_lost(error):
                self._outage.failed(f"heartbeat of job {watch.job_id}", error)
                return False
            if watch.token in self._watches:
                self.unwatch(watch.token)
                watch.on_lost(error)
        except DROPPED as error:
            self._outage.failed(f"heartbeat of job {watch.job_id}", error)
            return False
        else:
            if reply.cancel_requested:
                watch.on_cancel()
        return True

    def _post(self, path: str, body: bytes, token: str | None = None) -> bytes:
        headers = self._api.auth_headers() | {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        answered = self._bulk.request_here(
            "POST", self._api.base_url + path, headers=headers, content=body, timeout=_ANSWER_S
        )
        if answered.status >= 400:
            request_id = answered.headers.get("X-Request-Id")
            raise from_body(answered.status, answered.body, request_id=request_id)
        return answered.body
