"""Heartbeats from a thread of their own: a node that blocks the loop does not cost the lease."""

from __future__ import annotations

import http.client
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from processing_context._events.outbox import is_lost
from processing_context._transport.api import dumps
from processing_context._transport.connections import ConnectionPool, Target
from processing_context._transport.network import ssl_context
from processing_context.errors import APIError, NotFoundError, from_body
from processing_context.wire.workers import HeartbeatReply, WorkerHeartbeat

logger = logging.getLogger(__name__)

_AWAY_S = 1.0
"""How soon to try again while the service is away: leases run out meanwhile."""


@dataclass(slots=True)
class Watch:
    """A lease that is kept alive. The callables are called in the heartbeats' thread.

    `deadline` is in `time.monotonic`: past it the lease is let go, since a job that should have
    been stopped and was not holds the worker's loop, and another worker may take it.
    """

    job_id: str
    token: str
    on_cancel: Callable[[], object]
    on_lost: Callable[[APIError], object]
    deadline: float | None = None
    since: float = field(default_factory=time.monotonic)


class Heartbeats:
    """Speaks for a worker and its leases until closed."""

    def __init__(self, url: str, token: str, on_forgotten: Callable[[str], object]) -> None:
        """Speak with the worker's token.

        Args:
            url: Where the service is.
            token: The worker's.
            on_forgotten: Called, in the thread, with the worker id that the service does not know.
        """
        self._url = url.rstrip("/")
        self._token = token
        self._on_forgotten = on_forgotten
        self._worker_id: str | None = None
        self._interval_s = 10.0
        self._watches: dict[str, Watch] = {}
        self._is_draining = False
        self._is_urgent = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)
        self._pool = ConnectionPool(timeout_s=10.0, make_ssl_context=ssl_context)

    def start(self, worker_id: str, interval_s: float) -> None:
        """Speak for a worker, at this interval; again after it registered anew."""
        with self._changed:
            self._worker_id, self._interval_s = worker_id, interval_s
        if not self._thread.is_alive():
            self._thread.start()

    def watch(self, watch: Watch) -> None:
        """Keep a lease alive."""
        with self._changed:
            self._watches[watch.token] = watch

    def unwatch(self, token: str) -> None:
        """Let a lease be."""
        with self._changed:
            self._watches.pop(token, None)

    def drain(self) -> None:
        """Tell the service at once that no new job is wanted."""
        with self._changed:
            self._is_draining = self._is_urgent = True
            self._changed.notify_all()

    def close(self) -> None:
        """Say nothing more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._is_closed:
            try:
                is_answered = self._beat()
            except Exception:  # without this thread every lease would be lost, in silence
                logger.exception("heartbeats failed")
                is_answered = False
            wait_s = self._interval_s * random.uniform(0.8, 1.0)  # noqa: S311
            with self._changed:
                if not self._is_closed and not self._is_urgent:
                    self._changed.wait(wait_s if is_answered else min(wait_s, _AWAY_S))
                self._is_urgent = False
        self._pool.close()

    def _beat(self) -> bool:
        """Speak for the worker and each lease; returns whether all were answered."""
        with self._changed:
            # Those that are new were just given, and most jobs end before they need this.
            given_before = time.monotonic() - self._interval_s / 2
            watches = [watch for watch in self._watches.values() if watch.since < given_before]
        answers = [self._beat_worker()]
        answers += [self._beat_lease(watch) for watch in watches]
        return all(answers)

    def _beat_worker(self) -> bool:
        body = WorkerHeartbeat(draining=True if self._is_draining else None)
        worker_id = self._worker_id
        path = f"/v1/workers/{worker_id}/heartbeat"
        try:
            self._post(path, self._token, dumps(body.model_dump(exclude_none=True)))
        except NotFoundError:
            self._on_forgotten(str(worker_id))
        except APIError as error:
            logger.warning("worker heartbeat refused: %s", error)
        except (OSError, http.client.HTTPException) as error:
            logger.warning("worker heartbeat not answered: %s", error)
            return False
        return True

    def _beat_lease(self, watch: Watch) -> bool:
        if watch.deadline is not None and time.monotonic() > watch.deadline:
            logger.error("job %s does not stop: its lease is no longer renewed", watch.job_id)
            self.unwatch(watch.token)
            return True
        if watch.token not in self._watches:
            return True  # it ended while others were spoken for
        path = f"/v1/jobs/{watch.job_id}/heartbeat"
        try:
            reply = HeartbeatReply.model_validate_json(self._post(path, watch.token, b"{}"))
        except APIError as error:
            if not is_lost(error):
                logger.warning("heartbeat of job %s refused: %s", watch.job_id, error)
                return False
            if watch.token in self._watches:
                self.unwatch(watch.token)
                watch.on_lost(error)
        except (OSError, http.client.HTTPException) as error:
            logger.warning("heartbeat of job %s not answered: %s", watch.job_id, error)
            return False
        else:
            if reply.cancel_requested:
                watch.on_cancel()
        return True

    def _post(self, path: str, token: str, body: bytes) -> bytes:
        target = Target(self._url + path)
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        connection = self._pool.take(target.origin)
        while True:
            try:
                connection.begin("POST", target, headers)
                connection.raw.send(body)
                response = connection.raw.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                if not connection.is_reused:
                    raise
                connection = self._pool.make(target.origin)  # the kept one had gone stale
            else:
                break
        self._pool.give_back(connection)
        if response.status >= 400:
            request_id = response.getheader("X-Request-Id")
            raise from_body(response.status, content, request_id=request_id)
        return content
