from __future__ import annotations

import time
from typing import Any

import pytest

from processing_context.nodes.runner import RunFailedError
from tests.support.graphs import Run, graph


async def value_of(node: tuple[str, dict[str, Any]], *, run: Run | None = None) -> Any:
    made = await (run or Run()).of(
        graph({"n": node, "out": ("output.AnyOutput", {"name": "v"})}, "n.output > out.value")
    )
    return made["v"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"template": "{a} and {b}", "values": {"a": 1, "b": "two"}}, "1 and two"),
        ({"template": '{{"a": {a}}}', "values": {"a": 1}}, '{"a": 1}'),
        ({"template": "{a.__class__} { a }"}, "{a.__class__} { a }"),
    ],
)
async def test_template(data: dict[str, Any], text: str) -> None:
    assert await value_of(("text.Template", data)) == text


async def test_template_says_what_it_lacks() -> None:
    with pytest.raises(RunFailedError, match=r"no value for {b} of the template; known values: a"):
        await value_of(("text.Template", {"template": "{b}", "values": {"a": 1}}))


async def test_concat() -> None:
    assert await value_of(("text.Concat", {"a": "x", "b": "y", "separator": ", "})) == "x, y"


async def test_calculate_takes_numbers_that_the_graph_made_up() -> None:
    made = await Run().of(
        graph(
            {
                "w": ("input.IntegerInput", {"name": "width", "value": 640}),
                "n": ("math.Calculate", {"expression": "width * 3 // 4"}),
                "out": ("output.NumberOutput", {"name": "height"}),
            },
            "w.output > n.width",
            "n.output > out.value",
        )
    )
    assert made == {"height": 480}


async def test_number_of_more_than_64_bits_is_refused_not_rounded() -> None:
    with pytest.raises(RunFailedError, match="more than 64 bits"):
        await value_of(("math.Calculate", {"expression": "2 ** 70"}))


async def test_sleep_passes_its_value_on_and_tells_how_far_it_is() -> None:
    run = Run()
    start = time.monotonic()
    assert await value_of(("control.Sleep", {"seconds": 0.5, "value": [1]}), run=run) == [1]
    assert time.monotonic() - start >= 0.5
    told = [(m["progress"], m["total"]) for m in run.messages("node_progress")]
    assert told == sorted(told)
    assert told[-1] == (0.5, 0.5)
    assert len(told) == 5
