"""The plan of the parts of an upload."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.assets.errors import UploadIncomplete
from app.assets.part_plan import MIB, ONE_PUT_BYTES, PartPlan, part_size_for
from app.storage import MAX_OBJECT_BYTES, MAX_PARTS, Part


@given(size=st.integers(ONE_PUT_BYTES + 1, MAX_OBJECT_BYTES))
def test_parts_are_within_the_limits_of_s3(size: int) -> None:
    plan = PartPlan(size, part_size_for(size))
    assert plan.part_size % (8 * MIB) == 0
    assert plan.part_size < 2**31
    assert 1 < plan.count <= MAX_PARTS
    assert (plan.count - 1) * plan.size_of(1) + plan.size_of(plan.count) == size
    assert 0 < plan.size_of(plan.count) <= plan.part_size


@pytest.mark.parametrize(
    ("size", "part_mib", "count"),
    [
        (64 * MIB + 1, 8, 9),
        (9_999 * 8 * MIB, 8, 9_999),
        (9_999 * 8 * MIB + 1, 16, 5_000),
        (MAX_OBJECT_BYTES, 528, 9_930),
    ],
)
def test_parts_grow_when_they_would_be_too_many(size: int, part_mib: int, count: int) -> None:
    plan = PartPlan(size, part_size_for(size))
    assert (plan.part_size, plan.count) == (part_mib * MIB, count)


def test_missing_parts_are_listed_as_ranges() -> None:
    plan = PartPlan(100 * 8 * MIB, 8 * MIB)
    stored = [Part(number, 8 * MIB, "") for number in (1, 2, 5, 9, 100)]
    with pytest.raises(UploadIncomplete, match=r"have parts 3-4, 6-8, 10-99 of 100\.$"):
        plan.check(stored, None)
    with pytest.raises(UploadIncomplete, match=r", 39 and 30 more runs of 100\.$"):
        plan.check([Part(number, 8 * MIB, "") for number in range(2, 101, 2)], None)
