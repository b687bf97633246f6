"""Showing how far a transfer is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from processing_context._extras import require
from processing_context._transfer import Progress


@contextmanager
def shown(progress: bool | Progress | None, name: str) -> Iterator[Progress | None]:
    """Return a callable for what a caller gave as `progress`: True is a bar on the terminal."""
    if progress is None or progress is False:
        yield None
    elif callable(progress):
        yield progress
    else:
        tqdm = require("tqdm", extra="cli").tqdm
        with tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc=name) as bar:

            def move(done: int, total: int) -> None:
                bar.total = total or None
                bar.update(done - bar.n)

            yield move
