"""Packing of snapshots into frames of limited size."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from app.events.snapshot import SnapshotPacker


@given(
    jobs=st.lists(st.lists(st.integers(2, 400), max_size=30), max_size=12),
    max_bytes=st.integers(300, 1500),
)
def test_every_node_comes_once_in_order_and_no_frame_exceeds_the_limit(
    jobs: list[list[int]], max_bytes: int
) -> None:
    packer = SnapshotPacker(max_bytes)
    frames = []
    for number, sizes in enumerate(jobs):
        nodes = [json.dumps("x" * (size - 2)).encode() for size in sizes]
        frames += packer.add(str(number).encode(), nodes, b',"last_seq":7')
    frames.append(packer.take())
    items = [json.loads(f"[{frame}]") for frame in frames]
    found: dict[int, list[int]] = {}
    for item in (item for frame in items for item in frame):
        assert item["last_seq"] == 7
        found.setdefault(item["job"], []).extend(len(node) + 2 for node in item["nodes"])
    assert found == dict(enumerate(jobs))
    assert list(found) == sorted(found)
    for frame, parsed in zip(frames, items, strict=True):
        is_one_node = len(parsed) == 1 and len(parsed[0]["nodes"]) == 1
        assert len(frame) <= max_bytes or is_one_node
