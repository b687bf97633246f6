"""Progress of transfers: bars on the terminal, and totals of many files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from processing_context._extras import require
from processing_context._transport.transfer import Progress
from processing_context.wire.terminal import printable


@contextmanager
def shown(progress: bool | Progress | None, name: str) -> Iterator[Progress | None]:
    """Return a progress callable for the `progress=` argument of a method; True: a bar."""
    if progress is None or progress is False:
        yield None
    elif callable(progress):
        yield progress
    else:
        tqdm = require("tqdm", extra="cli").tqdm
        with tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc=printable(name)) as bar:

            def move(done: int, total: int) -> None:
                bar.total = total or None
                bar.update(done - bar.n)

            yield move


class TotalProgress:
    """Total progress of many files.

    Args:
        report: Called with the totals, if set.
        total: Total number of bytes.
    """

    def __init__(self, report: Progress | None, total: int) -> None:
        self._report = report
        self._total = total
        self._done: list[int] = []

    def part(self) -> Progress:
        """Return the progress callable of one more file."""
        number = len(self._done)
        self._done.append(0)

        def move(done: int, _total: int) -> None:
            self._done[number] = done
            if self._report is not None:
                self._report(sum(self._done), self._total)

        return move
