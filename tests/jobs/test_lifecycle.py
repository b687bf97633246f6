"""Tests of the lifecycle of a job, with a worker that the test drives."""

from __future__ import annotations

import asyncio

import pytest

from processing_context.wire.jobs import Job
from tests.support.jobs import events_of, get, graph, owner, seqs, start, worker_of
from tests.support.services import Service, User


async def test_a_job_is_queued_claimed_and_ended_with_a_log_of_it_all(service: Service) -> None:
    async with owner(service) as user:
        job = await start(user, params={"a": "\x00☃"})
        assert (job["status"], job["attempt"], job["params"]) == ("queued", 1, {"a": "\x00☃"})
        worker = await worker_of(user)
        held = await worker.take()
        assert held.job["graph"]["nodes"][0]["type"] == "test.Node"
        assert (await get(user, job["id"]))["status"] == "running"
        await held.post(
            {"type": "node_update", "node_id": "n0", "node_name": "N", "status": "running"},
            {"type": "node_progress", "node_id": "n0", "progress": 1, "total": 4},
            {"type": "job_update", "status": "running", "progress": 0.5},
        )
        assert (await get(user, job["id"]))["progress"] == 0.5
        await held.post({"type": "log", "level": "info", "message": "nul \x00 and ☃"})
        accepted = await held.complete(n=1)
        ended = await get(user, job["id"])
        assert (ended["status"], ended["result"], ended["progress"]) == ("completed", {"n": 1}, 1)
        assert Job.model_validate(ended).finished_at is not None
        events = await events_of(user, job["id"])
        assert seqs(events) == list(range(1, 8)) == list(range(1, accepted["last_seq"] + 1))
        assert [e.get("status") for e in events if e["type"] == "job_update"] == [
            "queued",
            "running",
            "running",
            "completed",
        ]
        assert events[5]["message"] == "nul \x00 and ☃"
        assert all(e["job_id"] == job["id"] and e["attempt"] == 1 for e in events)


async def test_the_nodes_of_a_job_have_their_latest_state(service: Service) -> None:
    async with owner(service) as user:
        job = await start(user, graph=graph("a.A", "b.B"))
        held = await (await worker_of(user)).take()
        update = {"type": "node_update", "node_name": "A", "node_id": "n0"}
        await held.post(
            {**update, "status": "running"},
            {"type": "node_progress", "node_id": "n0", "progress": 1, "total": 4},
            {"type": "node_progress", "node_id": "n1", "progress": 3, "total": 3},
        )
        await held.post({**update, "status": "completed", "result": {"output": [1]}})
        nodes = (await user.http.get(f"/v1/jobs/{job['id']}/nodes")).json()["nodes"]
        first, second = sorted(nodes, key=lambda node: node["node_id"])
        assert (first["status"], first["progress"], first["total"]) == ("completed", 1, 4)
        assert first["result"] == {"output": [1]}
        assert (second["status"], second["progress"]) == ("running", 3)


async def test_prefer_wait_answers_with_the_ended_job(service: Service) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        waiting = asyncio.create_task(
            user.http.post("/v1/jobs", json={"graph": graph()}, headers={"Prefer": "wait=60"})
        )
        held = await worker.take(wait_s=60)
        await held.complete(n=1)
        reply = await waiting
        assert (reply.status_code, reply.json()["result"]) == (200, {"n": 1})


async def test_prefer_wait_answers_202_when_the_job_takes_longer(service: Service) -> None:
    async with owner(service) as user:
        reply = await user.http.post(
            "/v1/jobs", json={"graph": graph()}, headers={"Prefer": "wait=0.2"}
        )
        assert (reply.status_code, reply.json()["status"]) == (202, "queued")


@pytest.mark.parametrize("media_type", ["text/event-stream", "application/x-ndjson"])
async def test_a_job_can_be_started_with_its_events_as_the_reply(
    service: Service, media_type: str
) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        streaming = user.http.stream(
            "POST", "/v1/jobs", json={"graph": graph()}, headers={"Accept": media_type}
        )
        async with streaming as reply:
            assert reply.status_code == 200
            assert reply.headers["content-type"].startswith(media_type)
            job_id = reply.headers["location"].rpartition("/")[2]
            held = await worker.take()
            await held.complete()
            text = "".join([part async for part in reply.aiter_text()])
        stored = [e["seq"] for e in await events_of(user, job_id)]
        if media_type == "text/event-stream":
            ids = [line[4:] for line in text.splitlines() if line.startswith("id: ")]
            assert ids == [str(seq) for seq in stored]
        else:
            assert len(text.splitlines()) == len(stored) == 3


async def test_a_stream_resumes_after_the_last_event_id(service: Service) -> None:
    async with owner(service) as user:
        job = await start(user)
        held = await (await worker_of(user)).take()
        await held.complete()
        reply = await user.http.get(
            f"/v1/jobs/{job['id']}/events",
            headers={"Accept": "text/event-stream", "Last-Event-ID": "2"},
        )
        assert [line for line in reply.text.splitlines() if line.startswith("id:")] == ["id: 3"]
        seen = await user.http.get(
            f"/v1/jobs/{job['id']}/events",
            headers={"Accept": "text/event-stream", "Last-Event-ID": "3"},
        )
        assert seen.text == ""
        for wrong in ("x", "-1", "9" * 5000):
            refused = await user.http.get(
                f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": wrong}
            )
            assert refused.json()["code"] == "invalid_last_event_id"


async def test_a_page_of_events_waits_for_news_and_says_when_it_was_the_last(
    service: Service,
) -> None:
    async with owner(service) as user:
        job = await start(user)
        path = f"/v1/jobs/{job['id']}/events"
        first = (await user.http.get(path, params={"wait": 5})).json()
        assert (first["last_seq"], first["terminal"]) == (1, False)
        waiting = asyncio.create_task(user.http.get(path, params={"after": 1, "wait": 20}))
        held = await (await worker_of(user)).take()
        assert (await waiting).json()["last_seq"] == 2
        await held.complete()
        page = (await user.http.get(path, params={"after": 0, "limit": 2})).json()
        assert (page["last_seq"], page["terminal"]) == (2, False)
        page = (await user.http.get(path, params={"after": 2, "wait": 20})).json()
        assert (page["last_seq"], page["terminal"]) == (3, True)
        page = (await user.http.get(path, params={"after": 3, "wait": 20})).json()
        assert (page["events"], page["terminal"]) == ([], True)


async def test_a_job_runs_a_version_of_a_workflow(service: Service) -> None:
    async with owner(service) as user:
        workflow = (
            await user.http.post("/v1/workflows", json={"name": "w", "graph": graph("x.X")})
        ).json()
        reply = await user.http.post(f"/v1/workflows/{workflow['id']}/run", json={"params": {}})
        assert reply.status_code == 202, reply.text
        job = reply.json()
        assert (job["workflow_id"], job["workflow_version"]) == (workflow["id"], 1)
        assert job["graph"]["nodes"][0]["type"] == "x.X"
        listed = (await user.http.get("/v1/jobs", params={"workflow_id": workflow["id"]})).json()
        assert [item["id"] for item in listed["jobs"]] == [job["id"]]
        assert "graph" not in listed["jobs"][0]


async def test_the_same_key_starts_one_job(service: Service) -> None:
    async with owner(service) as user:
        headers = {"Idempotency-Key": "k"}
        body = {"graph": graph()}
        replies = [await user.http.post("/v1/jobs", json=body, headers=headers) for _ in range(2)]
        assert replies[0].json()["id"] == replies[1].json()["id"]
        assert replies[1].headers["idempotent-replay"] == "true"
        other = await user.http.post("/v1/jobs", json={"graph": graph("x.Y")}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_somebody_elses_job_does_not_exist(service: Service, other: User) -> None:
    async with owner(service) as user:
        job_id = (await start(user))["id"]
        unknown = "0" * 32
        missing = (await other.http.get(f"/v1/jobs/{unknown}")).json()["detail"]
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/cancel"),
            ("POST", "/retry"),
            ("GET", "/events"),
            ("GET", "/nodes"),
        ):
            reply = await other.http.request(method, f"/v1/jobs/{job_id}{path}")
            assert reply.status_code == 404, path
            assert reply.json()["detail"] == missing.replace(unknown, job_id)
        assert (await other.http.get("/v1/jobs")).json()["jobs"] == []
        assert (await get(user, job_id))["status"] == "queued"


async def test_jobs_are_listed_by_status_newest_first_in_pages(service: Service) -> None:
    async with owner(service) as user:
        ids = [(await start(user))["id"] for _ in range(5)]
        held = await (await worker_of(user)).take()
        first = (await user.http.get("/v1/jobs", params={"page_size": 2})).json()
        rest = (await user.http.get("/v1/jobs", params={"cursor": first["next"]})).json()
        listed = [job["id"] for job in first["jobs"] + rest["jobs"]]
        assert listed == ids[::-1]
        running = (await user.http.get("/v1/jobs", params={"status": "running"})).json()
        assert [job["id"] for job in running["jobs"]] == [held.id]
        assert not {"graph", "params", "result"} & set(running["jobs"][0])


async def test_the_trace_of_a_request_travels_with_its_job_to_worker_and_events(
    service: Service,
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with owner(service) as user:
        worker = await worker_of(user)
        headers = {"traceparent": trace}
        job = await user.http.post("/v1/jobs", json={"graph": graph()}, headers=headers)
        claim = await user.http.post(f"/v1/workers/{worker.id}/claim")
        assert claim.json()["leases"][0]["traceparent"] == trace
        held = await worker.take()
        await held.post({"type": "log", "level": "info", "message": "x", "traceparent": "mine"})
        await held.complete()
        events = await events_of(user, job.json()["id"])
        assert [event["traceparent"] for event in events] == [trace] * 4
        plain = await start(user)
        assert "traceparent" not in (await events_of(user, plain["id"]))[0]


async def test_only_an_ended_job_is_deleted_and_its_events_with_it(service: Service) -> None:
    async with owner(service) as user:
        job_id = (await start(user))["id"]
        reply = await user.http.delete(f"/v1/jobs/{job_id}")
        assert (reply.status_code, reply.json()["code"]) == (409, "job_not_ended")
        held = await (await worker_of(user)).take()
        await held.complete()
        assert (await user.http.delete(f"/v1/jobs/{job_id}")).status_code == 204
        assert (await user.http.get(f"/v1/jobs/{job_id}/events")).status_code == 404


async def test_a_failed_job_runs_again_as_a_new_one(service: Service) -> None:
    async with owner(service) as user:
        job = await start(user, params={"a": 1}, priority=7)
        refused = await user.http.post(f"/v1/jobs/{job['id']}/retry")
        assert (refused.status_code, refused.json()["code"]) == (409, "job_not_retryable")
        held = await (await worker_of(user)).take()
        await held.post(
            {
                "type": "job_update",
                "status": "failed",
                "error": {"code": "node_failed", "message": "no", "node_id": "n0"},
            }
        )
        assert (await get(user, job["id"]))["error"]["node_id"] == "n0"
        again = (await user.http.post(f"/v1/jobs/{job['id']}/retry")).json()
        assert again["id"] != job["id"]
        assert (again["status"], again["params"], again["priority"]) == ("queued", {"a": 1}, 7)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "validation_error"),
        ({"graph": graph(), "workflow_id": "0" * 32}, "validation_error"),
        ({"graph": graph(), "unknown": 1}, "validation_error"),
        ({"graph": graph(), "priority": 101}, "validation_error"),
        ({"graph": graph(), "run_at": "0001-01-01T00:00:00Z"}, "validation_error"),
        ({"graph": graph(), "run_at": "0001-01-01T00:00:00+10:00"}, "validation_error"),
        ({"graph": graph(), "run_at": "9999-12-31T23:59:59-10:00"}, "validation_error"),
        ({"graph": graph(), "run_at": "9999-12-31T23:59:59.999999Z"}, "validation_error"),
        ({"graph": {"nodes": [{"id": "a", "type": "x\x00y"}]}}, "validation_error"),
        (
            {"graph": {"nodes": [{"id": "a", "type": "x"}, {"id": "a", "type": "x"}]}},
            "invalid_graph",
        ),
    ],
)
async def test_what_cannot_be_run_is_refused(
    user: User, body: dict[str, object], code: str
) -> None:
    reply = await user.http.post("/v1/jobs", json=body)
    assert (reply.status_code, reply.json()["code"]) == (422, code)


async def test_a_workflow_that_is_not_there_is_not_run(user: User) -> None:
    reply = await user.http.post("/v1/jobs", json={"workflow_id": "0" * 32})
    assert (reply.status_code, reply.json()["code"]) == (404, "workflow_not_found")
