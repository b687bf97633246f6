from __future__ import annotations

import json
import os

import pytest

from processing_context.cli.main import main
from processing_context.nodes import NodeCatalogue
from tests.support import samples


def test_catalogue_of_installed_and_given_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes", "--nodes", samples.__name__]) == 0
    catalogue = NodeCatalogue.model_validate(json.loads(capsys.readouterr().out))
    assert {"image.Blur", "sample.Split"} <= {node.node_type for node in catalogue.nodes}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["worker"], "set CONTEXT_URL and CONTEXT_TOKEN"),
        (["nodes", "--nodes", "not.there"], "No module named 'not'"),
        (["run", "/nowhere/workflow.json"], "/nowhere/workflow.json"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        *(["--slots", "0"], ["--slots", "x"], ["--grace", "-1"]),
        *(["--node-memory", "1"], ["--metrics-port", "0"], ["--metrics-port", "65536"]),
    ],
)
def test_options_out_of_range_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["worker", *options])
    assert caught.value.code == 2


def test_workers_token_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT_TOKEN", "ctx_secret")
    assert main(["worker"]) == 2
    assert "CONTEXT_TOKEN" not in os.environ
