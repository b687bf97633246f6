"""Prometheus metrics of a replica, served at `/metrics`."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

_REQUESTS = Histogram(
    "context_http_request_seconds",
    "Time from the first byte of a request to the end of its response.",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)

JOBS_ENDED = Counter("context_jobs_ended", "Jobs that ended, by status.", ["status"])
EVENTS_STORED = Counter("context_events_stored", "Job events stored by this replica.")
CONNECTIONS = Gauge("context_connections", "Open connections of this replica.")
CONNECTIONS_REFUSED = Counter(
    "context_connections_refused",
    "Connections and requests refused because a limit on connections was reached.",
)
REQUESTS_LIMITED = Counter(
    "context_requests_rate_limited", "Requests refused because a token exceeded its rate."
)
SOCKETS = Gauge("context_sockets", "Open WebSockets of this replica.")
WEBHOOK_ATTEMPTS = Counter(
    "context_webhook_attempts",
    "Attempts to deliver webhooks, by the status of the delivery: delivered, pending or failed.",
    ["status"],
)
WEBHOOKS_IN_FLIGHT = Gauge(
    "context_webhooks_in_flight", "Attempts to deliver webhooks that this replica is making."
)
LEASES_LOST = Counter("context_leases_lost", "Leases that expired.")
QUEUE_FLOOR_MISSES = Counter(
    "queue_floor_misses", "Lanes of the queue that the sweep found missing and inserted."
)
QUEUED_JOBS = Gauge(
    "context_queued_jobs",
    "Queued jobs of all users: due, or delayed by run_at or a back-off. The same on every replica.",
    ["state"],
)
OLDEST_QUEUED_JOB = Gauge(
    "context_oldest_queued_job_seconds",
    "Time since the oldest due job could be claimed, 0 without one. The same on every replica.",
)
OLDEST_TRANSACTION = Gauge(
    "context_oldest_transaction_seconds",
    "Age of the oldest open transaction of the database, of those that the role may see.",
)
EVENT_LAG = Histogram(
    "context_event_lag_seconds",
    "Time from the storing of events to their delivery to the subscribers of this replica; for "
    "events of other replicas, from the notification.",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60),
)
DECODER_QUEUE = Gauge(
    "context_decoder_queue", "Files that wait for a decoder process of this replica."
)
POOL_WAITS = Histogram(
    "context_database_pool_wait_seconds",
    "Times of more than 1 ms that statements waited for a connection to PostgreSQL.",
    buckets=(0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30),
)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Record one request."""
    _requests(method, route, status).observe(seconds)


@lru_cache(maxsize=4096)
def _requests(method: str, route: str, status: int) -> Histogram:
    return _REQUESTS.labels(method, route, str(status))
