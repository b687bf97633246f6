"""What a worker counts, and how Prometheus reads it."""

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
    """How often something was done, and the seconds that it took in all."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.count = 0
        self.seconds = 0.0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count what happens inside, also where it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.count += 1
            self.seconds += time.monotonic() - began


class Tally:
    """What has happened since the worker started."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.ended: Counter[str] = Counter()
        self.claims = Timed()
        self.posts = Timed()
        self.stalls = Timed()


class Metrics:
    """A tally in Prometheus' terms: a collector for its registry."""

    def __init__(self, tally: Tally, *, slots: int, busy: Callable[[], int]) -> None:
        """Show a tally.

        Args:
            tally: What is counted.
            slots: How many jobs the worker runs at a time.
            busy: How many it runs now.
        """
        self._tally = tally
        self._slots = slots
        self._busy = busy

    def collect(self) -> Iterator[Metric]:
        """Yield what there is to see now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        ended = CounterMetricFamily(
            f"{_PREFIX}_jobs_ended", "Jobs that ended here, by how.", labels=["status"]
        )
        for status, count in sorted(self._tally.ended.items()):
            ended.add_metric([status], count)
        yield ended
        yield GaugeMetricFamily(f"{_PREFIX}_slots", "Jobs at a time.", value=self._slots)
        yield GaugeMetricFamily(f"{_PREFIX}_slots_busy", "Jobs that run.", value=self._busy())
        for name, what, timed in (
            ("claims", "Claims, with the time that they waited for a job.", self._tally.claims),
            ("event_posts", "Requests that carried events.", self._tally.posts),
            ("loop_stalls", "Times that a node held up all others.", self._tally.stalls),
        ):
            yield CounterMetricFamily(f"{_PREFIX}_{name}", what, value=timed.count)
            yield CounterMetricFamily(
                f"{_PREFIX}_{name}_seconds", f"Seconds of these: {what}", value=timed.seconds
            )


def serve_metrics(metrics: Metrics, host: str, port: int) -> Callable[[], None]:
    """Answer Prometheus at `http://host:port/metrics`; return what ends it.

    Raises:
        MissingDependencyError: prometheus_client is not installed.
        OSError: The port is taken.
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
