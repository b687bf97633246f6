"""Registration of domains: a new one is one package and one line, and nothing can be left out."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi import APIRouter
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from app.application import create_app
from app.cleanup.sweeper import Sweeper
from app.database.tables import Base
from app.domain import Domain
from app.domains import DOMAINS, metadata
from app.http.auth import USER
from app.registration import IncompleteDomain
from app.settings import Settings
from tests.support.notes import write_package
from tests.support.services import Service


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    """The domain of a package that exists during these tests only."""
    folder = tmp_path_factory.mktemp("packages")
    write_package(folder)
    sys.path.insert(0, str(folder))
    try:
        domain: Domain = importlib.import_module("notes.domain").DOMAIN
        yield domain
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "notes"]:
            del sys.modules[name]
        Base.metadata.remove(Base.metadata.tables["notes"])


@pytest.fixture
async def service(start_service: Callable[..., Service], notes: Domain) -> Service:
    """A service with this domain, and its table in the database."""
    service = start_service(domains=(*DOMAINS, notes), sweep_grace_s=0)
    table = CreateTable(metadata().tables["notes"]).compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    await service.run(service.db.pool.execute(str(table)))
    return service


async def test_a_new_domain_is_guarded_and_served(service: Service) -> None:
    async with await service.new_user() as user, await service.new_user() as other:
        worker = await service.new_token(user.id, ("worker",))
        for token, status in (("ctx_wrong", 401), (worker, 403), (user.token, 201)):
            async with service.client(token) as http:
                made = await http.post("/v1/notes", json={"text": "a"})
                assert made.status_code == status
        path = f"/v1/notes/{made.json()['id']}"
        changed = await user.http.put(path, json={"text": "b"})
        assert changed.json() == {"id": made.json()["id"], "text": "b"}
        # What the path names is looked up before the body is judged.
        assert (await user.http.put(path, json={})).status_code == 422
        assert (await other.http.put(path, json={})).json()["code"] == "note_not_found"


async def test_a_new_domain_is_documented(service: Service) -> None:
    async with service.client() as http:
        document = (await http.get("/openapi.json")).json()
    operation = document["paths"]["/v1/notes/{note_id}"]["put"]
    assert operation["operationId"] == "replace_note"
    assert operation["security"] == [{"bearer": []}]
    assert operation["x-access"] == "scope `user`"
    assert operation["responses"]["default"]["description"] == "Problem details (RFC 9457)."


async def test_rows_of_a_new_domain_are_deleted_with_their_user(service: Service) -> None:
    async with await service.new_user() as user, await service.new_user() as other:
        for owner in (user, user, other):
            assert (await owner.http.post("/v1/notes", json={"text": "a"})).status_code == 201
        async with service.client() as admin:
            assert (await admin.delete(f"/v1/users/{user.id}")).status_code == 204
        report = await service.run(service.get(Sweeper).sweep())
        assert report is not None
        assert report.counts["notes of deleted users"] == 2
        assert report.counts["deleted users"] == 1
        left = await service.run(service.db.pool.fetch("select user_id from notes"))
        assert [row["user_id"] for row in left] == [other.id]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"access": {"POST /v1/notes": USER}}, r"PUT /v1/notes/\{note_id\}"),
        ({"access": {}}, "POST /v1/notes"),
        ({"routers": ()}, r"rules without a route.*PUT /v1/notes/\{note_id\}"),
        ({"tables": ()}, r"no domain has the tables \['notes'\]"),
        ({"user_data": ()}, r"rows of deleted users would stay in \['notes'\]"),
        ({"path_lookups": {}}, r"parameter 'note_id' of \['PUT /v1/notes/\{note_id\}'\]"),
    ],
)
def test_a_part_that_is_left_out_is_named(
    notes: Domain, new_settings: Callable[..., Settings], changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(IncompleteDomain, match=named):
        create_app(new_settings(), domains=(*DOMAINS, replace(notes, **changes)))


def test_a_route_that_checks_no_token_is_named(
    notes: Domain, new_settings: Callable[..., Settings]
) -> None:
    router = APIRouter()
    router.add_api_route("/v1/open", lambda: None)
    open_door = replace(notes, routers=(*notes.routers, router))
    with pytest.raises(IncompleteDomain, match="/v1/open of domain 'notes' is not a SecuredRoute"):
        create_app(new_settings(), domains=(*DOMAINS, open_door))


def test_a_service_that_no_domain_builds_is_named(
    notes: Domain, new_settings: Callable[..., Settings]
) -> None:
    with pytest.raises(LookupError, match="NoteService"):
        create_app(new_settings(), domains=(*DOMAINS, replace(notes, build=lambda _: ())))
