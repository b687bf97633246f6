"""Limits of concurrent delivery attempts, so that one receiver cannot block the others."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

K = TypeVar("K")


class AttemptSlots:
    """Slots for attempts, with limits in total, per user, and per receiver of a user."""

    def __init__(self, *, total: int, per_receiver: int) -> None:
        self._total = total
        self._per_user = max(total // 4, per_receiver)
        self.per_receiver = per_receiver
        self._users: Counter[str] = Counter()
        self._receivers: Counter[tuple[str, str]] = Counter()

    @property
    def are_full(self) -> bool:
        """True while no slot is free."""
        return self._users.total() >= self._total

    def acquire(self, user_id: str, receiver: str) -> bool:
        """Acquire a slot; return False if none is free for this user and receiver."""
        if (
            self.are_full
            or self._users[user_id] >= self._per_user
            or self._receivers[user_id, receiver] >= self.per_receiver
        ):
            return False
        self._users[user_id] += 1
        self._receivers[user_id, receiver] += 1
        return True

    def release(self, user_id: str, receiver: str) -> None:
        """Release a slot."""
        _decrement(self._users, user_id)
        _decrement(self._receivers, (user_id, receiver))


def _decrement(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
