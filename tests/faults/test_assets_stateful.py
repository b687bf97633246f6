"""Assets against a model: anything in any order, with storage going away and coming back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.settings import Settings
from tests.support.assets import form
from tests.support.gates import Gate
from tests.support.services import WAIT_S, Service
from tests.support.sweeps import assert_nothing_lost_or_stray, execute, let_time_pass, report_of

QUOTA = 40_000

WHICH = st.integers(0, 1000)
"""Picks one of what is there."""
CONTENT = st.integers(0, 12_000).map(lambda size: size.to_bytes(2, "big") * (size // 2))


@dataclass
class Node:
    """Expected state of an asset; `content` None: a folder."""

    id: str
    parent_id: str | None
    content: bytes | None
    is_pending: bool = False
    is_put: bool = False
    upload: dict[str, Any] | None = None

    @property
    def is_folder(self) -> bool:
        """True for a folder."""
        return self.content is None


class Assets(RuleBasedStateMachine):
    """One user's assets."""

    def __init__(self, service: Service, gate: Gate) -> None:
        super().__init__()
        self.service = service
        self.gate = gate
        self.is_away = False
        self.nodes: dict[str, Node] = {}
        self.http = httpx.Client(base_url=service.url, timeout=WAIT_S)

    @initialize()
    def make_user(self) -> None:
        admin = {"Authorization": f"Bearer {self.service.token}"}
        user = self.http.post("/v1/users", json={"name": "u"}, headers=admin).json()
        body = {"name": "t", "scopes": ["user"], "user_id": user["id"]}
        token = self.http.post("/v1/tokens", json=body, headers=admin).json()["token"]
        self.http.headers["Authorization"] = f"Bearer {token}"

    # What the model says.

    def files(self) -> list[Node]:
        return [n for n in self.nodes.values() if not n.is_folder and not n.is_pending]

    def pending(self) -> list[Node]:
        return [n for n in self.nodes.values() if n.is_pending]

    def used(self) -> int:
        return sum(len(n.content or b"") for n in self.nodes.values())

    def folder(self, which: int) -> str | None:
        folders = [None, *(n.id for n in self.nodes.values() if n.is_folder)]
        return folders[which % len(folders)]

    def below(self, node_id: str) -> set[str]:
        children = [n.id for n in self.nodes.values() if n.parent_id == node_id]
        return {node_id}.union(*(self.below(child) for child in children))

    def expect(self, reply: httpx.Response, size: int = 0, freed: int = 0) -> bool:
        """Check the answer to an upload; whether it was stored."""
        if self.used() - freed + size > QUOTA and size > 0:
            assert (reply.status_code, reply.json()["code"]) == (403, "quota_exceeded")
            return False
        if self.is_away:
            assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
            return False
        assert reply.is_success, reply.text
        return True

    # What can happen.

    @rule(content=CONTENT, into=WHICH)
    def create(self, content: bytes, into: int) -> None:
        parent_id = self.folder(into)
        reply = self.http.post("/v1/assets", **form(content, parent_id=parent_id))
        if self.expect(reply, len(content)):
            made = reply.json()["id"]
            self.nodes[made] = Node(made, parent_id, content)

    @rule(into=WHICH)
    def create_folder(self, into: int) -> None:
        parent_id = self.folder(into)
        draft = {"name": "f", "content_type": "folder", "parent_id": parent_id}
        made = self.http.post("/v1/assets", **form(None, **draft)).json()["id"]
        self.nodes[made] = Node(made, parent_id, None)

    @precondition(lambda self: self.files())
    @rule(which=WHICH, content=CONTENT)
    def replace(self, which: int, content: bytes) -> None:
        node = self.files()[which % len(self.files())]
        reply = self.http.put(f"/v1/assets/{node.id}/content", content=content)
        before = len(node.content or b"")
        if self.expect(reply, len(content), freed=before):
            node.content = content

    @precondition(lambda self: self.nodes)
    @rule(which=WHICH, into=WHICH)
    def move(self, which: int, into: int) -> None:
        node = list(self.nodes.values())[which % len(self.nodes)]
        parent_id = self.folder(into)
        reply = self.http.patch(f"/v1/assets/{node.id}", json={"parent_id": parent_id})
        if parent_id in self.below(node.id):
            assert (reply.status_code, reply.json()["code"]) == (409, "move_below_itself")
        else:
            assert reply.status_code == 200, reply.text
            node.parent_id = parent_id

    @precondition(lambda self: self.nodes)
    @rule(which=WHICH, recursive=st.booleans())
    def delete(self, which: int, recursive: bool) -> None:
        node = list(self.nodes.values())[which % len(self.nodes)]
        tree = self.below(node.id)
        reply = self.http.delete(f"/v1/assets/{node.id}", params={"recursive": recursive})
        if len(tree) > 1 and not recursive:
            assert (reply.status_code, reply.json()["code"]) == (409, "folder_not_empty")
        else:
            assert reply.status_code == 204, reply.text
            for gone in tree:
                del self.nodes[gone]

    @rule(content=CONTENT, into=WHICH)
    def reserve(self, content: bytes, into: int) -> None:
        parent_id = self.folder(into)
        body = {"name": "p", "content_type": "a/b", "size": len(content), "parent_id": parent_id}
        reply = self.http.post("/v1/assets/uploads", json=body)
        if self.used() + len(content) > QUOTA and content:
            assert (reply.status_code, reply.json()["code"]) == (403, "quota_exceeded")
            return
        made = reply.json()
        node = Node(made["asset"]["id"], parent_id, content, is_pending=True)
        node.upload = made["upload"]
        self.nodes[node.id] = node

    @precondition(lambda self: self.pending())
    @rule(which=WHICH)
    def put(self, which: int) -> None:
        node = self.pending()[which % len(self.pending())]
        assert node.upload
        try:
            reply = httpx.put(
                node.upload["url"],
                content=node.content,
                headers=node.upload["headers"],
                timeout=WAIT_S,
            )
        except httpx.TransportError:
            assert self.is_away
            return
        assert reply.status_code == (412 if node.is_put else 200)
        node.is_put = True

    @precondition(lambda self: self.pending())
    @rule(which=WHICH)
    def complete(self, which: int) -> None:
        node = self.pending()[which % len(self.pending())]
        reply = self.http.post(f"/v1/assets/{node.id}/complete")
        if self.is_away:
            assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
        elif not node.is_put:
            assert (reply.status_code, reply.json()["code"]) == (409, "upload_incomplete")
        else:
            assert reply.json()["status"] == "ready"
            node.is_pending = False

    @precondition(lambda self: self.pending())
    @rule(which=WHICH)
    def abort(self, which: int) -> None:
        node = self.pending()[which % len(self.pending())]
        assert self.http.delete(f"/v1/assets/{node.id}/upload").status_code == 204
        del self.nodes[node.id]

    @precondition(lambda self: self.files())
    @rule(which=WHICH)
    def read(self, which: int) -> None:
        node = self.files()[which % len(self.files())]
        reply = self.http.get(f"/v1/assets/{node.id}/content")
        if self.is_away and node.content:
            assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
        else:
            assert (reply.status_code, reply.content) == (200, node.content)

    @precondition(lambda self: not self.is_away)
    @rule()
    def storage_goes_away(self) -> None:
        self.gate.shut()
        self.is_away = True

    @precondition(lambda self: self.is_away)
    @rule()
    def storage_comes_back(self) -> None:
        self.gate.open()
        self.is_away = False

    @rule()
    def sweep(self) -> None:
        report = asyncio.run(report_of(self.service.settings))
        assert bool(report.problems) == self.is_away
        assert not report.counts.get("lost objects of assets")
        assert not report.counts.get("objects of assets without a row")
        self.compare()

    @rule()
    def a_day_passes(self) -> None:
        self.let_a_day_pass()
        asyncio.run(report_of(self.service.settings))
        for node in self.pending():
            del self.nodes[node.id]
        self.compare()

    def let_a_day_pass(self) -> None:
        later = "created_at - interval '2 days', put_until = now() - interval '1 s'"
        statement = f"update assets set created_at = {later} where status = 'pending'"
        asyncio.run(execute(self.service.settings, statement))
        asyncio.run(let_time_pass(self.service.settings))

    def compare(self) -> None:
        """Hold what the API lists against the model."""
        page = self.http.get("/v1/assets", params={"recursive": True, "page_size": 1000}).json()
        listed = {a["id"]: (a["parent_id"], a["size"], a["status"]) for a in page["assets"]}
        assert listed == {
            node.id: (node.parent_id, len(node.content or b""), "ready")
            for node in self.nodes.values()
            if not node.is_pending
        }

    def teardown(self) -> None:
        """Bring storage back; then one sweep has to put everything right."""
        if self.is_away:
            self.gate.open()
            self.is_away = False
        self.compare()
        self.a_day_passes()
        asyncio.run(assert_nothing_lost_or_stray(self.service.settings))
        for node in self.files():
            got = self.http.get(f"/v1/assets/{node.id}/content")
            assert got.content == node.content
        self.http.close()


@pytest.fixture
def gate(stack: Settings) -> Iterator[Gate]:
    """The way to storage."""
    assert stack.s3_endpoint
    with Gate(stack.s3_endpoint) as made:
        yield made


def test_assets_are_what_the_model_says(start_service: Callable[..., Service], gate: Gate) -> None:
    service = start_service(
        s3_endpoint=f"http://127.0.0.1:{gate.port}", user_quota_bytes=QUOTA, log_level="CRITICAL"
    )

    class Machine(Assets):
        def __init__(self) -> None:
            super().__init__(service, gate)

    run_state_machine_as_test(
        Machine,
        settings=examples(
            max_examples=8,
            stateful_step_count=20,
            suppress_health_check=list(HealthCheck),
        ),
    )
