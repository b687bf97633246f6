"""Tests of the retry schedule and of the attempt slots."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.settings import Settings
from app.webhooks.attempt_slots import AttemptSlots
from app.webhooks.retry_schedule import back_off_s, retry_after_s

NOW = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)


def test_attempts_are_spread_over_a_day_by_default() -> None:
    retry_s = Settings().webhook_retry_s
    for _ in range(100):
        pauses = [back_off_s(retry_s, n, retry_after_s=0) for n in range(1, len(retry_s) + 1)]
        for pause, planned in zip(pauses, retry_s, strict=True):
            assert pause is not None
            assert 0.9 * planned <= pause <= 1.1 * planned
    assert 23 * 3600 < sum(retry_s) < 24 * 3600
    assert back_off_s(retry_s, len(retry_s) + 1, retry_after_s=10) is None
    assert len({back_off_s(retry_s, 1, retry_after_s=0) for _ in range(100)}) > 1


def test_the_receiver_may_ask_for_more_up_to_the_longest_pause() -> None:
    assert back_off_s((1, 100), 1, retry_after_s=50) == 50
    assert back_off_s((1, 100), 1, retry_after_s=5000) == 100
    assert (back_off_s((50, 100), 1, retry_after_s=2) or 0) >= 45


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("120", 120),
        (" 7 ", 7),
        ("-1", 0),
        ("1.5", 0),
        ("soon", 0),
        ("٣", 0),
        ("Wed, 01 Jul 2026 12:01:30 GMT", 90),
        ("Wed, 01 Jul 2026 12:01:30 -0000", 90),
        ("Wed, 01 Jul 2026 14:01:30 +0200", 90),
        ("Wed, 01 Jul 2026 11:00:00 GMT", 0),
        ("Wed, 99 Jul 2026 11:00:00 GMT", 0),
        ("9" * 400, float("inf")),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float) -> None:
    assert retry_after_s(header, NOW) == seconds


def test_the_pauses_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT_WEBHOOK_RETRY_S", "1, 2.5")
    assert Settings().webhook_retry_s == (1, 2.5)
    monkeypatch.setenv("CONTEXT_WEBHOOK_RETRY_S", "1,-2")
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Settings()


def test_neither_a_receiver_nor_a_user_takes_all_places() -> None:
    slots = AttemptSlots(total=16, per_receiver=2)
    assert [slots.acquire("a", "one") for _ in range(3)] == [True, True, False]
    assert [slots.acquire("a", "two") for _ in range(3)] == [True, True, False]
    assert not slots.acquire("a", "three")
    for user in "bcd":
        assert [slots.acquire(user, f"{n}") for n in range(5)] == [True] * 4 + [False]
    assert slots.are_full
    assert not slots.acquire("e", "one")
    slots.release("a", "one")
    assert not slots.are_full
    assert slots.acquire("e", "one")
