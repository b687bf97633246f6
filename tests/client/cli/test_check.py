"""`processing-context check`, by the catalogue of the service and by the installed nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from processing_context.cli.main import main
from tests.support.catalogue import graph_of, node, publish
from tests.support.jobs import owner
from tests.support.services import Service, User


@pytest_asyncio.fixture
async def author(service: Service) -> AsyncIterator[User]:
    """A user whose workers have registered a node type."""
    async with owner(service) as user:
        await publish(user, node("a.One", width="int"))
        yield user


def saved(path: Path, graph: dict[str, Any]) -> str:
    """Save a workflow file; return its path."""
    file = path / "workflow.json"
    file.write_text(json.dumps({"name": "w", "graph": graph}))
    return str(file)


async def check(*arguments: str) -> int:
    """Run the command in a thread, since it has an event loop of its own."""
    return await asyncio.to_thread(main, ["check", *arguments])


async def test_errors_by_the_catalogue_end_with_status_1(
    service: Service, author: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = graph_of("a.One", widht=5, **{"\x1b[31m": 1})
    graph["nodes"].append({"id": "b", "type": "b.Two"})
    file = saved(tmp_path, graph)
    assert await check(file, "--url", service.url, "--token", author.token) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "error: a.One (a): unknown property widht: did you mean width?"
    assert lines[2] == "warning: no worker has registered the node type b.Two"
    assert lines[-1] == f"{file}: 2 errors, 1 warning"
    assert "\x1b" not in "".join(lines)


async def test_warnings_alone_end_with_status_0(
    service: Service, author: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, graph_of("b.Two"))
    assert await check(file, "--url", service.url, "--token", author.token) == 0
    assert "0 errors, 1 warning" in capsys.readouterr().out


CIRCLE = {
    **graph_of("text.Concat"),
    "edges": [{"source": "a", "sourceHandle": "output", "target": "a", "targetHandle": "a"}],
}


@pytest.mark.parametrize("offline", [False, True])
async def test_an_invalid_structure_is_an_error(
    service: Service,
    author: User,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    offline: bool,
) -> None:
    where = ["--offline"] if offline else ["--url", service.url, "--token", author.token]
    assert await check(saved(tmp_path, CIRCLE), *where) == 1
    assert "error: the graph has a cycle: 'a' -> 'a'" in capsys.readouterr().out


async def test_a_service_that_is_away_ends_with_status_2(
    author: User, tmp_path: Path, capsys: pytest.CaptureFixture[str], service: Service
) -> None:
    file = saved(tmp_path, graph_of("a.One"))
    assert await check(file, "--url", service.url, "--token", "ctx_wrong") == 2
    assert "401" in capsys.readouterr().err
    assert await check(file, "--url", service.url, "--token", author.token, "--nodes", "x") == 2
    assert "--offline" in capsys.readouterr().err


def test_installed_nodes_check_without_a_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = graph_of("image.Resize", widht=5, height=0)
    graph["nodes"].append({"id": "b", "type": "faulty.NeverEnd"})
    file = saved(tmp_path, graph)
    nodes = ("--nodes", "tests.support.worker_nodes")
    assert main(["check", file, "--offline", *nodes]) == 1
    out = capsys.readouterr().out
    assert "error: image.Resize (a): unknown property widht: did you mean width?" in out
    assert "error: image.Resize (a): height: Input should be greater than or equal to 1" in out
    assert "warning: no installed package has the node type faulty.NeverEnd" in out
    graph["nodes"] = [{"id": "b", "type": "faulty.NeverEnds"}]
    assert main(["check", saved(tmp_path, graph), "--offline", *nodes]) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out


async def test_a_graph_is_checked_over_http_without_being_saved(author: User) -> None:
    reply = await author.http.post(
        "/v1/workflows/check", json={"graph": graph_of("a.One", width="x")}
    )
    assert reply.status_code == 200, reply.text
    found = reply.json()
    assert [each["type"] for each in found["errors"]] == ["invalid_value"]
    assert (found["warnings"], found["error_count"], found["warning_count"]) == ([], 1, 0)
    assert (await author.http.get("/v1/workflows")).json()["workflows"] == []
    assert (await author.http.get("/v1/jobs")).json()["jobs"] == []
