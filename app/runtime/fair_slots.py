"""Slots for concurrent work that users share fairly."""

from __future__ import annotations

import asyncio
from collections import Counter, deque


class SlotsBusyError(Exception):
    """No slot was granted: the queue is full, or the waiting time is over."""


class FairSlots:
    """Limit for concurrent work with a bounded queue, in which no user can block the others.

    A user holds at most `per_user` slots. A free slot goes to the waiting user who holds the
    fewest, and among equals to the one who has waited for their turn longest. When the queue is
    full, the last request of the user with the most waiting ones is refused.

    Args:
        slots: The number of slots.
        per_user: The maximum number of slots of one user.
        queue: The maximum number of waiting requests.
    """

    def __init__(self, slots: int, *, per_user: int, queue: int) -> None:
        self._free = slots
        self._per_user = per_user
        self._queue = queue
        self._held: Counter[str] = Counter()
        # In the order of the users' turns; without users that have nothing waiting.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @property
    def waiting(self) -> int:
        """The number of waiting requests."""
        return sum(map(len, self._waiting.values()))

    async def acquire(self, user_id: str, *, wait_s: float) -> None:
        """Wait for a slot, and take it.

        Raises:
            SlotsBusyError: The queue is full, or no slot was free within `wait_s` seconds.
        """
        if self._free and self._held[user_id] < self._per_user:
            self._take(user_id)
            return
        if self.waiting >= self._queue:
            self._make_room(user_id)
        granted = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user_id, deque()).append(granted)
        try:
            async with asyncio.timeout(wait_s):
                await granted
        except BaseException as exc:
            self._give_up(user_id, granted)
            if isinstance(exc, TimeoutError):
                raise SlotsBusyError from None
            raise

    def release(self, user_id: str) -> None:
        """Release a slot."""
        self._free += 1
        self._held[user_id] -= 1
        if not self._held[user_id]:
            del self._held[user_id]
        self._grant()

    def _take(self, user_id: str) -> None:
        self._free -= 1
        self._held[user_id] += 1

    def _make_room(self, user_id: str) -> None:
        """Refuse the last request of the user with the most waiting ones.

        Raises:
            SlotsBusyError: That is the given user.
        """
        greediest = max(self._waiting, key=lambda each: len(self._waiting[each]))
        if len(self._waiting[greediest]) <= len(self._waiting.get(user_id, ())) + 1:
            raise SlotsBusyError
        refused = self._waiting[greediest].pop()
        refused.set_exception(SlotsBusyError())

    def _give_up(self, user_id: str, granted: asyncio.Future[None]) -> None:
        """Leave the queue, or release the slot if it was granted meanwhile."""
        if granted.done() and not granted.cancelled():
            if granted.exception() is None:
                self.release(user_id)
            return
        queue = self._waiting.get(user_id)
        if queue is not None and granted in queue:
            queue.remove(granted)
            if not queue:
                del self._waiting[user_id]

    def _grant(self) -> None:
        while self._free:
            may = [each for each in self._waiting if self._held[each] < self._per_user]
            if not may:
                return
            user_id = min(may, key=lambda each: self._held[each])
            queue = self._waiting.pop(user_id)
            granted = queue.popleft()
            if queue:
                self._waiting[user_id] = queue
            if not granted.done():
                self._take(user_id)
                granted.set_result(None)
