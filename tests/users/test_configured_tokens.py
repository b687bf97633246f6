"""Tests of the tokens that settings and files give: first user, workers, changes, refusals."""

from __future__ import annotations

import logging
import secrets
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.runtime.errors import CommandError
from app.settings import Settings
from app.users.bootstrap import StartTokens, first_token, set_up
from app.users.configured_tokens import WELL_KNOWN
from tests.support.processes import ROOT
from tests.support.services import Service, eventually

NewSettings = Callable[..., Settings]
StartService = Callable[..., Service]


def token() -> str:
    return secrets.token_urlsafe(32)


def with_values(settings: Settings, **values: str | None) -> Settings:
    return Settings.model_validate({**settings.model_dump(), **values})


async def works(service: Service, token: str) -> bool:
    async with service.client(token) as http:
        return (await http.get("/v1/me")).status_code == httpx.codes.OK


async def test_the_first_start_generates_both_tokens_in_private_files(
    new_settings: NewSettings,
) -> None:
    settings = new_settings()
    made = await set_up(settings)
    for found, name in ((made.first_user, "token"), (made.worker, "worker-token")):
        path = settings.data_dir / name
        assert found is not None
        assert found.source == str(path)
        assert path.read_text() == found.secret + "\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert found.secret not in repr(found)
    assert await set_up(settings) == made


async def test_scopes_of_the_configured_tokens(start_service: StartService) -> None:
    bootstrap, worker = token(), token()
    service = start_service(bootstrap_token=bootstrap, worker_token=worker)
    scopes = {bootstrap: ["admin", "fleet", "user", "worker"], worker: ["fleet", "worker"]}
    for value, expected in scopes.items():
        async with service.client(value) as http:
            assert (await http.get("/v1/me")).json()["scopes"] == expected
    assert not list(service.settings.data_dir.glob("*token"))


async def test_a_token_file_that_the_operator_wrote_is_used(new_settings: NewSettings) -> None:
    settings = new_settings()
    given = token()
    (settings.data_dir / "token").write_text(f" {given}\n")
    made = await set_up(settings)
    assert made.first_user is not None
    assert made.first_user.secret == given


async def test_a_setting_takes_precedence_over_the_file(new_settings: NewSettings) -> None:
    settings = new_settings(bootstrap_token=token())
    (settings.data_dir / "token").write_text(token())
    made = await set_up(settings)
    assert made.first_user is not None
    assert made.first_user.source == "CONTEXT_BOOTSTRAP_TOKEN"


@pytest.mark.parametrize("setting", ["bootstrap_token", "worker_token"])
async def test_a_changed_value_revokes_the_earlier_ones_for_ever(
    start_service: StartService, setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    generated = start_service()
    old, new = token(), token()
    file = generated.settings.data_dir / {"bootstrap_token": "token"}.get(setting, "worker-token")
    before = file.read_text().strip()
    for value in (old, new):
        await set_up(with_values(generated.settings, **{setting: value}))
    for value in (before, old):
        await eventually(partial(_fails, generated, value))
    assert await works(generated, new)
    with caplog.at_level(logging.ERROR):
        made = await set_up(with_values(generated.settings, **{setting: old}))
    assert _of(made, setting) is None
    assert "was revoked" in caplog.text
    assert old not in caplog.text
    assert not await works(generated, old)
    assert await works(generated, new)


async def _fails(service: Service, token: str) -> bool:
    return not await works(service, token)


def _of(made: StartTokens, setting: str) -> object:
    return made.first_user if setting == "bootstrap_token" else made.worker


async def test_a_revoked_bootstrap_token_is_not_restored_by_a_restart(
    start_service: StartService,
) -> None:
    value = token()
    service = start_service(bootstrap_token=value)
    async with service.client(value) as http:
        [listed] = [
            each
            for each in (await http.get("/v1/tokens")).json()["tokens"]
            if each["name"] == "first token"
        ]
        assert (await http.delete(f"/v1/tokens/{listed['id']}")).status_code == 204
    assert (await set_up(service.settings)).first_user is None
    assert not await works(service, value)


async def test_tokens_of_a_deleted_first_user_are_not_restored(start_service: StartService) -> None:
    value = token()
    service = start_service(bootstrap_token=value)
    async with service.client(value) as http:
        me = (await http.get("/v1/me")).json()["user"]["id"]
        assert (await http.delete(f"/v1/users/{me}")).status_code == 204
    made = await set_up(service.settings)
    assert made.first_user is None
    assert made.worker is not None  # generated anew, for the new first user
    assert await works(service, made.worker.secret)


async def test_replicas_with_their_own_data_dirs_have_a_worker_token_each(
    new_settings: NewSettings, tmp_path: Path
) -> None:
    settings = new_settings()
    first = await set_up(settings)
    second = await set_up(settings.model_copy(update={"data_dir": tmp_path}))
    assert second.first_user is None  # only the first start without a user generates it
    assert first.worker is not None
    assert second.worker not in (None, first.worker)
    assert (await set_up(settings)).worker == first.worker


@pytest.mark.parametrize("value", sorted(WELL_KNOWN))
async def test_published_values_are_refused(new_settings: NewSettings, value: str) -> None:
    for setting in ("bootstrap_token", "worker_token"):
        with pytest.raises(CommandError, match=f"CONTEXT_{setting.upper()} is a published"):
            await set_up(new_settings(**{setting: value}))
    settings = new_settings()
    (settings.data_dir / "token").write_text(value)
    with pytest.raises(CommandError, match="is a published development value"):
        await set_up(settings)


async def test_a_published_value_of_an_earlier_release_stops_working(
    service: Service,
) -> None:
    async with service.client() as http:
        made = (await http.post("/v1/tokens", json={"name": "t", "scopes": ["user"]})).json()
    set_hash = "update tokens set hash = sha256(convert_to($2, 'UTF8')) where id = $1"
    pool = service.db.pool
    await service.run(pool.execute(set_hash, made["id"], "development-only-token"))
    await set_up(service.settings)
    assert not await works(service, "development-only-token")


def test_compose_readme_and_scripts_contain_no_value_that_is_a_token() -> None:
    for name in ("README.md", "client/README.md", ".env.example", "Dockerfile"):
        text = (ROOT / name).read_text()
        assert not [value for value in WELL_KNOWN if value in text], name


@pytest.mark.parametrize("value", ["short", "with a space in the middle", "job_0123456789abcdef"])
async def test_a_value_that_is_no_token_is_refused_without_showing_it(
    new_settings: NewSettings, value: str
) -> None:
    with pytest.raises(CommandError, match="CONTEXT_WORKER_TOKEN is not a token") as caught:
        await set_up(new_settings(worker_token=value))
    assert value not in str(caught.value)


async def test_one_value_cannot_be_both_tokens(new_settings: NewSettings) -> None:
    value = token()
    with pytest.raises(CommandError, match="another purpose"):
        await set_up(new_settings(bootstrap_token=value, worker_token=value))


async def test_a_data_dir_that_cannot_be_written_is_named(
    new_settings: NewSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match=r"cannot (read|write).*CONTEXT_BOOTSTRAP_TOKEN"):
        await set_up(new_settings(data_dir=tmp_path / "file" / "below"))


async def test_first_token_is_found_until_it_is_revoked(new_settings: NewSettings) -> None:
    settings = new_settings(bootstrap_token=token())
    made = await set_up(settings)
    assert await first_token(settings) == made.first_user
    await set_up(with_values(settings, bootstrap_token=token()))
    with pytest.raises(CommandError, match="was revoked"):
        await first_token(settings)
    with pytest.raises(CommandError, match="not known here"):
        await first_token(with_values(settings, bootstrap_token=None))
