from __future__ import annotations

import io

from processing_context.cli.display import PlainDisplay, RichDisplay
from processing_context.wire.events import JobUpdate, Log, NodeProgress, NodeUpdate
from processing_context.wire.jobs import JobStatus


def node(status: str, **more: str) -> NodeUpdate:
    given = {"node_id": "b", "node_name": "Blur", "status": status, **more}
    return NodeUpdate.model_validate(given)


def update(status: JobStatus) -> JobUpdate:
    return JobUpdate(status=status)


def test_plain_lines_tell_ends_and_some_progress() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream, clock=lambda: 100.0)
    display.show(node("running"))
    for step in range(50):
        display.show(NodeProgress(node_id="b", progress=step, total=100))
    display.show(Log(level="warning", message="a line"))
    display.show(node("failed", logs="Traceback\n  …\n"))
    display.show(update("running"))
    display.show(update("failed"))
    assert stream.getvalue().splitlines() == [
        "Blur [b]: 0%",
        "warning: a line",
        "Blur [b]: failed (0.0 s)",
        "Traceback",
        "  …",
        "job: failed",
    ]


def test_live_display_draws_a_bar_for_each_node() -> None:
    stream = io.StringIO()
    with RichDisplay(stream) as display:
        display.show(node("running"))
        display.show(NodeProgress(node_id="b", progress=1, total=4))
        display.show(Log(level="info", message="[b] is no markup"))
        display.show(node("completed"))
    assert "Blur [b]" in stream.getvalue()
    assert "completed" in stream.getvalue()
    assert "[b] is no markup" in stream.getvalue()
