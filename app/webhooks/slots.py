"""How many attempts a replica makes at once, so that one receiver never takes them all."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

K = TypeVar("K")


class Slots:
    """Places for attempts: some at most in all, for one user, and for one receiver of a user."""

    def __init__(self, *, total: int, per_receiver: int) -> None:
        self._total = total
        self._per_user = max(total // 4, per_receiver)
        self.per_receiver = per_receiver
        self._users: Counter[str] = Counter()
        self._receivers: Counter[tuple[str, str]] = Counter()

    @property
    def are_taken(self) -> bool:
        """Whether none is left for anybody."""
        return self._users.total() >= self._total

    def take(self, user_id: str, receiver: str) -> bool:
        """Take a place; false where there is none."""
        if (
            self.are_taken
            or self._users[user_id] >= self._per_user
            or self._receivers[user_id, receiver] >= self.per_receiver
        ):
            return False
        self._users[user_id] += 1
        self._receivers[user_id, receiver] += 1
        return True

    def release(self, user_id: str, receiver: str) -> None:
        """Give a place back."""
        _one_less(self._users, user_id)
        _one_less(self._receivers, (user_id, receiver))


def _one_less(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
