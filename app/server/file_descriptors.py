"""Limit on open files of the process, from which the limit on connections is derived."""

from __future__ import annotations

import contextlib
import logging
import resource

logger = logging.getLogger(__name__)

WANTED = 65_536
"""Soft limit on open files that `raise_limit` asks for."""

RESERVED = 256
"""File descriptors kept for PostgreSQL, storage, decoders, logs and refused connections."""

MAX_DEFAULT = 10_000
"""Connections at once if the settings have no limit; each takes some 20 KiB of memory."""

_LEAST = 16


def raise_limit() -> None:
    """Raise the soft limit on open files as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS refuses more than its own maximum.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connection_limit(configured: int | None) -> int:
    """Return the number of connections at once: the configured one if open files allow it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return configured or MAX_DEFAULT
    possible = max(soft - RESERVED, _LEAST)
    if configured is not None and configured > possible:
        logger.warning(
            "CONTEXT_MAX_CONNECTIONS=%d is more than the limit on open files (%d) allows: at most "
            "%d connections are accepted; raise the limit (ulimit -n)",
            *(configured, soft, possible),
        )
    return min(configured or MAX_DEFAULT, possible)
