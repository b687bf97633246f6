from __future__ import annotations

import pytest

from processing_context.worker.tracing import span_of

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_span_stays_in_its_trace() -> None:
    made = span_of(f"00-{TRACE}-b7ad6b7169203331-01")
    assert made is not None
    version, trace, span, flags = made.split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert len(span) == 16
    assert span != "b7ad6b7169203331"


@pytest.mark.parametrize("absent", [None, "", "00-abc-def-01"])
def test_no_trace_makes_none(absent: str | None) -> None:
    assert span_of(absent) is None
