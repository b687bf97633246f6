from __future__ import annotations

import json
from pathlib import Path

import pytest

from processing_context.cli.params import read_graph, read_params
from processing_context.context import ProcessingContext
from tests.support.graphs import graph

INPUTS = graph(
    {
        "t": ("input.TextInput", {"name": "title"}),
        "n": ("input.IntegerInput", {"name": "count"}),
        "a": ("input.AnyInput", {"name": "any"}),
    }
)


async def params(*given: str) -> dict[str, object]:
    return await read_params(ProcessingContext(user_id="somebody"), INPUTS, given)


async def test_values_are_json_or_text() -> None:
    assert await params("count=3", 'any={"a": [1]}') == {"count": 3, "any": {"a": [1]}}
    assert await params("any=two words") == {"any": "two words"}
    assert await params("any==") == {"any": "="}


async def test_a_param_without_an_input_node_is_refused_before_files_are_read() -> None:
    with pytest.raises(ValueError, match="no input node is named cuont; the inputs are: title"):
        await params("any=@missing.png", "cuont=3")


async def test_param_of_a_text_input_stays_text() -> None:
    assert await params("title=007") == {"title": "007"}


async def test_file_of_a_text_input_is_read(tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("Tyger, tyger ☃")
    assert await params(f"title=@{tmp_path / 'poem.txt'}") == {"title": "Tyger, tyger ☃"}


async def test_two_at_signs_are_one() -> None:
    assert await params("title=@@home") == {"title": "@home"}


@pytest.mark.parametrize("text", ["title", "=x"])
async def test_param_without_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=VALUE"):
        await params(text)


def test_workflow_file_is_a_graph_or_holds_one(tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    for document in (INPUTS.model_dump(), {"name": "w", "graph": INPUTS.model_dump()}):
        file.write_text(json.dumps(document))
        assert read_graph(file) == INPUTS


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is not JSON"), ("[]", "is not a workflow"), ('{"nodes": [{}]}', r"nodes\.0\.id")],
)
def test_other_files_are_refused_with_the_reason(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "w.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=said):
        read_graph(file)
