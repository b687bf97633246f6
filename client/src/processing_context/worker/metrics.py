"""Counters of a worker, and their export to Prometheus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from processing_context._extras import require

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_PREFIX = "processing_context_worker"


class Timed:
    """Number and total duration of an operation."""

    def __init__(self) -> None:
        """Start at zero."""
        self.count = 0
        self.seconds = 0.0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count and time the body, even if it raises."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.count += 1
            self.seconds += time.monotonic() - began


class Counters:
    """Counters since the start of the worker."""

    def __init__(self) -> None:
        """Start at zero."""
        self.ended: Counter[str] = Counter()
        self.claims = Timed()
        self.posts = Timed()
        self.stalls = Timed()


class Metrics:
    """Prometheus collector of the counters of a worker."""

    def __init__(self, counters: Counters, *, slots: int, busy: Callable[[], int]) -> None:
        """Create a collector.

        Args:
            counters: The counters.
            slots: Largest number of concurrent jobs.
            busy: Returns the number of running jobs.
        """
        self._counters = counters
        self._slots = slots
        self._busy = busy

    def collect(self) -> Iterator[Metric]:
        """Yield the current values."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        ended = CounterMetricFamily(
            f"{_PREFIX}_jobs_ended", "Ended jobs, by status.", labels=["status"]
        )
        for status, count in sorted(self._counters.ended.items()):
            ended.add_metric([status], count)
        yield ended
        yield GaugeMetricFamily(
            f"{_PREFIX}_slots", "Largest number of concurrent jobs.", value=self._slots
        )
        yield GaugeMetricFamily(f"{_PREFIX}_slots_busy", "Running jobs.", value=self._busy())
        for name, what, timed in (
            ("claims", "Claims, including their wait for a job.", self._counters.claims),
            ("event_posts", "Requests that sent events.", self._counters.posts),
            ("loop_stalls", "Stalls of the event loop by nodes that block.", self._counters.stalls),
        ):
            yield CounterMetricFamily(f"{_PREFIX}_{name}", what, value=timed.count)
            yield CounterMetricFamily(
                f"{_PREFIX}_{name}_seconds", f"Total seconds: {what}", value=timed.seconds
            )


def serve_metrics(metrics: Metrics, host: str, port: int) -> Callable[[], None]:
    """Serve the metrics at `http://host:port/metrics`; return a function that stops the server.

    Raises:
        MissingDependencyError: prometheus_client is not installed.
        OSError: The port is in use.
    """
    prometheus: Any = require("prometheus_client", extra="worker")
    registry = prometheus.CollectorRegistry()
    registry.register(metrics)
    server, thread = prometheus.start_http_server(port, addr=host, registry=registry)

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end
