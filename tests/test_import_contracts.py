"""Import contracts: what they forbid in the domains that exist, and in a new one."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from grimp import ImportGraph

from scripts.import_contracts import ROOT, DomainOrder, ModuleKinds, domain_packages

CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


def options_of(type_name: str) -> dict[str, Any]:
    [options] = [each for each in CONFIGURATION["contracts"] if each["type"] == type_name]
    return {**options, "ignore_imports": []}


def is_kept(contract: type[DomainOrder | ModuleKinds], importer: str, imported: str) -> bool:
    graph = ImportGraph()
    graph.add_import(importer=importer, imported=imported)
    checked = contract("under test", {}, options_of(contract.type_name)).check(graph, verbose=False)
    return bool(checked.kept)


@pytest.mark.parametrize(
    ("importer", "imported", "is_allowed"),
    [
        ("app.jobs.service", "app.workflows.service", True),
        ("app.jobs.service", "app.http.auth", True),
        ("app.workflows.service", "app.jobs.service", False),
        ("app.users.service", "app.webhooks.service", False),
        ("app.http.auth", "app.users.service", False),
        ("app.http.idempotency.domain", "app.domain", True),
        ("app.http.idempotency.keys", "app.domain", False),
        ("app.database.engine", "app.http.auth", False),
        ("app.outbound.download", "app.http.problems", True),
        ("app.outbound.download", "app.storage.objects", False),
        ("app.cleanup.sweeper", "app.domain", True),
        ("app.cleanup.sweeper", "app.storage", True),
        ("app.cleanup.sweeper", "app.assets.service", False),
        ("app.users.service", "app.application", False),
        ("app.server.supervisor", "app.users.bootstrap", True),
        ("app.unregistered.service", "app.http.auth", False),
        ("app.users.service", "app.unregistered.service", False),
    ],
)
def test_imports_go_down_in_the_order_of_the_domains(
    importer: str, imported: str, is_allowed: bool
) -> None:
    assert is_kept(DomainOrder, importer, imported) is is_allowed


@pytest.mark.parametrize(
    ("importer", "imported", "is_allowed"),
    [
        ("app.users.routes", "app.users.service", True),
        ("app.users.routes", "app.users.schemas", True),
        ("app.users.routes", "app.users.queries", False),
        ("app.users.more_routes", "app.users.models", False),
        ("app.users.routes", "app.database.engine", False),
        ("app.users.routes", "asyncpg", False),
        ("app.users.schemas", "app.users.queries", True),
        ("app.users.schemas", "app.users.service", False),
        ("app.users.schemas", "fastapi", False),
        ("app.users.queries", "app.users.models", True),
        ("app.users.queries", "app.users.service", False),
        ("app.users.queries", "app.http.auth", False),
        ("app.queue.claim_queries", "app.events.models", True),
        ("app.users.queries", "app.events.models", False),
        ("app.users.models", "app.database.tables", True),
        ("app.users.models", "app.runtime.ids", False),
        ("app.users.errors", "app.http.problems", True),
        ("app.users.errors", "app.http.auth", False),
        ("app.workflows.service", "app.users.service", True),
        ("app.workflows.service", "app.users.errors", True),
        ("app.workflows.service", "app.users.queries", False),
        ("app.workflows.graphs", "app.users.bootstrap", False),
        ("app.workflows.domain", "app.workflows.models", True),
        ("app.workflows.domain", "app.users.models", False),
        ("app.users.service", "processing_context.wire.users", True),
        ("app.users.service", "processing_context.context", False),
        ("processing_context.wire.users", "pydantic", True),
        ("processing_context.wire.users", "json", True),
        ("processing_context.wire.users", "httpx2", False),
        ("processing_context.wire.users", "processing_context.errors", False),
    ],
)
def test_a_kind_of_module_imports_only_what_it_is_meant_to(
    importer: str, imported: str, is_allowed: bool
) -> None:
    assert is_kept(ModuleKinds, importer, imported) is is_allowed


def test_a_new_domain_is_covered_by_its_line_in_the_list() -> None:
    source = (ROOT / "app/domains.py").read_text()
    source = source.replace(
        "from app.domain import Domain",
        "from app.domain import Domain\nfrom app.notes.domain import DOMAIN as NOTES",
    ).replace("    USERS,", "    USERS,\n    NOTES,")
    packages = domain_packages(source)
    assert packages[packages.index("app.users") + 1] == "app.notes"
    assert "app.http.idempotency" in packages
