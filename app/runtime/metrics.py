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


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Record one request."""
    _requests(method, route, status).observe(seconds)


@lru_cache(maxsize=4096)
def _requests(method: str, route: str, status: int) -> Histogram:
    return _REQUESTS.labels(method, route, str(status))
