"""The SHA-256 of a file that is on its way, worked out behind what has been moved of it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from processing_context._transport.connections import BLOCK


class FollowingHash:
    """Hashes from the start on, in whichever thread has just moved something.

    Args:
        read: Returns so many bytes from an offset.
        moved_from: Says, for an offset, up to where at least there is no gap behind it.
    """

    def __init__(self, read: Callable[[int, int], bytes], moved_from: Callable[[int], int]) -> None:
        self.done = 0
        self._read = read
        self._moved_from = moved_from
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()

    def go_on(self, offset: int = -1, fresh: memoryview | None = None) -> None:
        """Hash what has been moved, unless another thread is at it.

        Args:
            offset: Where `fresh` belongs.
            fresh: What has just been moved, to spare reading it again.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            if fresh is not None and offset == self.done:
                self._add(fresh)
            while (count := min(BLOCK, self._moved_from(self.done) - self.done)) > 0:
                self._add(self._read(self.done, count))
        finally:
            self._lock.release()

    def hexdigest(self) -> str:
        """Return the hash of what was hashed."""
        return self._digest.hexdigest()

    def _add(self, block: bytes | memoryview) -> None:
        self._digest.update(block)
        self.done += len(block)
