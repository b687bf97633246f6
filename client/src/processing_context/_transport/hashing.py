"""SHA-256 of a file during its transfer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from processing_context._transport.connections import BLOCK


class FollowingHash:
    """SHA-256 that follows a transfer from the start of the file, in the threads that transfer it.

    Args:
        read: Returns `count` bytes from an offset.
        moved_from: Returns the end of the gapless transferred range that starts at an offset.
    """

    def __init__(self, read: Callable[[int, int], bytes], moved_from: Callable[[int], int]) -> None:
        self.done = 0
        self._read = read
        self._moved_from = moved_from
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()

    def go_on(self, offset: int = -1, fresh: memoryview | None = None) -> None:
        """Hash the bytes that have been transferred, unless another thread does.

        Args:
            offset: Position of `fresh`.
            fresh: The bytes transferred last, which then need not be read again.
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
        """Return the hash of the bytes hashed so far."""
        return self._digest.hexdigest()

    def _add(self, block: bytes | memoryview) -> None:
        self._digest.update(block)
        self.done += len(block)
