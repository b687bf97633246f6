"""The nodes that a worker offers, and their descriptions in the catalogue of the service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytest_asyncio

from processing_context.context import ProcessingContext
from processing_context.nodes import BaseNode, NodeRegistry
from processing_context.nodes.builtin.image import Load, Resize
from processing_context.worker.catalogue import catalogue_json, offered
from tests.support.catalogue import graph_of, run, types_of
from tests.support.jobs import owner, refusal
from tests.support.services import Service, User, eventually
from tests.support.worker_processes import ended_job, worker_process

# As an import hook of a child process: modules of the extra `image` are not installed there.
WITHOUT_PILLOW = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "PIL":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


class Undescribed(BaseNode):
    """A node whose properties cannot be described."""

    namespace: ClassVar[str] = "test"

    async def process(self, context: ProcessingContext) -> None: ...

    @classmethod
    def properties(cls) -> list[Any]:
        raise RuntimeError("no properties")


@pytest_asyncio.fixture
async def author(service: Service) -> AsyncIterator[User]:
    """A user whose token may register workers."""
    async with owner(service) as user:
        yield user


async def test_a_worker_registers_the_descriptions_of_its_nodes(
    service: Service, author: User
) -> None:
    async with worker_process(service, author):

        async def is_listed() -> bool:
            return "image.Resize" in await types_of(author, page_size=1000)

        await eventually(is_listed)
        assert "faulty.NeverEnds" in await types_of(author, page_size=1000)
        reply = await run(author, graph_of("image.Resize", widht=5))
        assert refusal(reply) == (422, "invalid_graph")
        assert "widht: did you mean width?" in reply.json()["detail"]
        job = (await run(author, graph_of("text.Concat", a="x"))).json()
        assert job["warnings"] == []
        assert (await ended_job(author, job["id"]))["status"] == "completed"
    async with worker_process(service, author):
        count = "select count(*) from node_catalogues where user_id = $1"
        assert await service.run(service.db.pool.fetchval(count, author.id)) == 1


async def test_nodes_whose_modules_are_missing_are_not_offered(
    service: Service, author: User, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_PILLOW)
    async with worker_process(service, author, python_path=[tmp_path]) as worker:
        lines = [json.loads(line)["message"] for line in worker.log().splitlines()]
        [line] = [line for line in lines if "installed: PIL" in line]
        assert "not offered: image.Blend, image.Blur, " in line
        assert 'run: pip install "processing-context[image]"' in line
        assert "image.Load" not in line
        [registered] = (await author.http.get("/v1/workers")).json()["workers"]
        assert "image.Load" in registered["node_types"]
        assert "image.Resize" not in registered["node_types"]
        assert await types_of(author, namespace="image") == ["image.Load", "image.Save"]
        job = (await run(author, graph_of("image.Resize"))).json()
        assert job["waiting_reason"] == "No worker runs the node type image.Resize."
        assert [each["type"] for each in job["warnings"]] == ["unknown_node_type"]


def test_nodes_are_offered_with_their_modules_and_capabilities(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class OnGpu(Resize):
        required_capabilities = ("cuda",)
        required_modules = ("no_such_module.below",)

        async def process(self, context: ProcessingContext) -> Any: ...

    registry = NodeRegistry([OnGpu, Load])
    assert offered(registry, ()).types() == ["image.Load"]
    assert not caplog.records
    assert offered(registry, ("cuda",)).types() == ["image.Load"]
    assert "not installed: no_such_module.below; run: pip install no_such_module" in caplog.text


def test_a_distribution_that_cannot_be_imported_costs_only_its_own_nodes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "half_installed_nodes.py").write_text("import no_such_module\n")
    info = tmp_path / "half_installed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: half-installed\nVersion: 1.0\n")
    entry = "[processing_context.nodes]\nhalf = half_installed_nodes\n"
    (info / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(tmp_path)
    registry = NodeRegistry.installed()
    assert "text.Concat" in registry.types()
    offered(registry, ())
    assert "half_installed_nodes" in caplog.text
    assert "no_such_module" in caplog.text
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        NodeRegistry.installed(["half_installed_nodes"])


def test_a_node_that_cannot_be_described_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    text = catalogue_json(NodeRegistry([Undescribed, Load])).decode()
    assert "image.Load" in text
    assert "Undescribed" not in text
    assert "test.Undescribed is offered without a description: no properties" in caplog.text


async def test_a_worker_runs_without_its_descriptions(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_catalogue_bytes=100)
    async with owner(service) as author, worker_process(service, author) as worker:
        assert "refuses the descriptions" in worker.log()
        job = (await run(author, graph_of("text.Concat", a="x"))).json()
        assert (await ended_job(author, job["id"]))["status"] == "completed"
