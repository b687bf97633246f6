"""Cleanup that a domain registers: its steps, its objects in a bucket, the ends of its jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from app.cleanup.sweeper import Sweeper
from app.domain import Domain, Domains
from app.domains import DOMAINS
from app.runtime.cleanup import CleanupPhase, CleanupReport, CleanupStep, deletion
from app.runtime.ids import new_id
from app.runtime.services import Services
from app.storage import BucketName, KeyListing, Storage
from app.users.bootstrap import open_database
from tests.support.assets import keys
from tests.support.services import Service
from tests.support.sweeps import execute


class NoteObjects:
    """Objects of a domain that shares the bucket of temporary files."""

    label = "notes"
    bucket: BucketName = "temp"
    key_pattern = re.compile(r"notes/\d")

    def __init__(self) -> None:
        self.losses: list[str] = []

    async def known(self, keys: Collection[str]) -> set[str]:
        return {"notes/1"} & set(keys)

    async def uploading(self, keys: Collection[str]) -> set[str]:
        return {"notes/4"} & set(keys)

    def listings(self) -> Sequence[KeyListing]:
        return [self._stored]

    async def _stored(
        self, *, after: str, last: str | None, older_than: timedelta, limit: int
    ) -> list[str]:
        assert older_than == timedelta(0)
        rows = [key for key in ("notes/1", "notes/2") if key > after and (not last or key <= last)]
        return rows[:limit]

    async def handle_losses(self, keys: Sequence[str]) -> int:
        self.losses += keys
        return len(keys)


async def cleaned(service: Service, *domains: Domain, dry: bool = False) -> CleanupReport:
    """Clean up with further domains; return the report."""
    settings = service.settings.model_copy(update={"sweep_grace_s": 0})
    async with open_database(settings) as db:
        known = Domains([*DOMAINS, *domains])
        report = await Sweeper(Services(settings, db, Storage(settings), known)).sweep(dry=dry)
    assert report is not None
    assert report.problems == []
    return report


async def write(service: Service, *names: str) -> None:
    """Put objects into the bucket of temporary files."""
    bucket = Storage(service.settings).temp
    for name in names:
        async with bucket.upload(name, "user") as upload:
            await upload.write(b"x")
    for name in ("notes/4", "notes/5"):
        await bucket.uploads.begin(name)


async def test_objects_of_a_domain_are_compared_with_its_rows(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    await write(service, "notes/1", "notes/3", "other/1")
    notes = NoteObjects()
    domain = Domain(name="notes", stored_objects=lambda _services: [notes])
    expected = {
        "abandoned multipart uploads": 1,
        "objects of notes without a row": 1,
        "lost objects of notes": 1,
    }
    dry = await cleaned(service, domain, dry=True)
    assert {label: count for label, count in dry.counts.items() if count} == expected
    assert notes.losses == []
    report = await cleaned(service, domain)
    assert {label: count for label, count in report.counts.items() if count} == expected
    assert notes.losses == ["notes/2"]
    assert await keys(service, "temp") == {"notes/1", "other/1", "unfinished notes/4"}


async def test_steps_of_a_domain_run_in_their_phase(service: Service) -> None:
    rows = {"notes that have expired": 7}

    async def count() -> int:
        return sum(rows.values())

    async def delete(limit: int) -> int:
        deleted = min(limit, 3, await count())
        rows["notes that have expired"] -= deleted
        return deleted

    async def add_up(report: CleanupReport) -> None:
        report.count("totals", 1)

    def steps(_services: Services) -> list[CleanupStep]:
        return [
            CleanupStep(CleanupPhase.TOTALS, add_up),
            deletion(CleanupPhase.RECORDS, *rows, count=count, delete=delete),
        ]

    domain = Domain(name="notes", cleanup=steps)
    dry = await cleaned(service, domain, dry=True)
    assert (dry.counts["notes that have expired"], await count()) == (7, 7)
    report = await cleaned(service, domain)
    assert (report.counts["notes that have expired"], await count()) == (7, 0)
    labels = list(report.counts)
    assert labels.index("notes that have expired") < labels.index("expired temporary files")
    assert labels[-1] == "totals"


async def test_files_of_a_job_are_kept_while_a_domain_has_the_unfinished_job(
    service: Service,
) -> None:
    job_id = new_id()

    async def ends(_services: Services, job_ids: Collection[str]) -> Mapping[str, datetime | None]:
        return {job_id: None} if job_id in job_ids else {}

    async with await service.new_user() as user:
        temp_id = (await user.http.post("/v1/temp", content=b"x")).json()["id"]
        statement = "update temp_files set job_id = $1, expires_at = now() where id = $2"
        await execute(service.settings, statement, job_id, temp_id)
        report = await cleaned(service, Domain(name="notes", job_ends=ends))
        assert report.counts["temporary files kept for their jobs"] == 1
        assert (await user.http.get(f"/v1/temp/{temp_id}")).status_code == 200
        await execute(service.settings, statement, job_id, temp_id)
        report = await cleaned(service)
        assert report.counts["expired temporary files"] == 1
        assert (await user.http.get(f"/v1/temp/{temp_id}")).status_code == 404
