"""Tests of docker-compose.yml and the Dockerfile: facts that can be checked without an engine."""

from __future__ import annotations

import asyncio
import re
import struct
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.database.engine import connect_args
from app.embedded import s3_container
from app.embedded.generated_keys import write_keys
from app.settings import Settings, read_settings
from tests.support.compose import environment, project, volumes_of
from tests.support.processes import ROOT

BOTH = ("minio", "seaweedfs")
_SSL_REQUEST = 80877103
# The address and the folder inside of the container.
FIXED = {
    "CONTEXT_HOST": "0.0.0.0",  # noqa: S104
    "CONTEXT_PORT": "8000",
    "CONTEXT_DATA_DIR": "/data",
    "CONTEXT_SECRETS_DIR": "/keys",
}


def api_environment(**variables: str) -> dict[str, str]:
    return environment(project(variables)["services"]["api"], variables)


@pytest.mark.parametrize("profile", BOTH)
def test_a_profile_starts_one_s3_server_under_the_name_of_the_endpoint(profile: str) -> None:
    services = project({}, profile)["services"]
    assert set(services) == {"api", "worker", "keys", "postgres", profile}
    endpoint = urlsplit(services["api"]["environment"]["CONTEXT_S3_ENDPOINT"])
    assert endpoint.hostname in services[profile]["networks"]["default"]["aliases"]
    assert services[profile]["ports"][0].endswith(f":{endpoint.port}")
    public = urlsplit(services["api"]["environment"]["CONTEXT_S3_PUBLIC_ENDPOINT"])
    assert f"127.0.0.1:{public.port}:" in services[profile]["ports"][0]
    required = services["api"]["depends_on"][profile]
    assert required == {"condition": "service_healthy", "required": False}


def test_every_variable_of_the_env_file_counts() -> None:
    names = [f"CONTEXT_{name.upper()}" for name in Settings.model_fields]
    given = {name: f"value of {name}" for name in names}
    found = api_environment(**given)
    assert {name: found[name] for name in names} == given | FIXED
    here = {"CONTEXT_HOST": "192.0.2.1", "CONTEXT_PORT": "8443"}
    assert project(here)["services"]["api"]["ports"] == ["192.0.2.1:8443:8000"]


def test_without_an_env_file_keys_and_tokens_are_generated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = api_environment()
    assert found["CONTEXT_SECRETS_DIR"] in dict(_mounts("api")).values()
    write_keys(tmp_path)
    for name, value in {**found, "CONTEXT_SECRETS_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    settings = read_settings(tmp_path / "none")
    assert settings.database_url
    assert settings.s3_endpoint
    assert (settings.secret_key, settings.bootstrap_token, settings.worker_token) == (None,) * 3
    keys = (settings.s3_access_key, settings.s3_secret_key)
    assert [len(key.get_secret_value()) for key in keys if key] == [20, 40]


def test_generated_keys_stay_and_given_keys_replace_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "context_s3_secret_key"
    write_keys(tmp_path)
    generated = file.read_text()
    write_keys(tmp_path)
    assert file.read_text() == generated
    assert file.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("CONTEXT_S3_SECRET_KEY", "g@ven/key#1")
    write_keys(tmp_path)
    assert file.read_text() == "g@ven/key#1"
    given = project({"CONTEXT_S3_SECRET_KEY": "g@ven/key#1"})["services"]["keys"]["environment"]
    assert given["CONTEXT_S3_SECRET_KEY"] == "g@ven/key#1"


@pytest.mark.parametrize("profile", BOTH)
def test_an_s3_server_starts_after_its_keys_and_reads_them(profile: str) -> None:
    server = project({}, profile)["services"][profile]
    assert server["depends_on"]["keys"] == {"condition": "service_completed_successfully"}
    target = dict(_mounts(profile))["keys"]
    read = {value for value in server["environment"].values() if value.startswith(target)}
    files = {f"{target}/context_s3_access_key", f"{target}/context_s3_secret_key"}
    assert read in ({target}, files)


def _mounts(name: str) -> list[tuple[str, str]]:
    """Return the source and the target of each volume, without its mode."""
    service = project({}, *BOTH)["services"][name]
    return [(source, target.partition(":")[0]) for source, target in volumes_of(service)]


async def test_a_password_may_have_any_character(monkeypatch: pytest.MonkeyPatch) -> None:
    password = "p@ss/w#rd%20:?&$x"
    found = api_environment(POSTGRES_PASSWORD=password)
    server = project({"POSTGRES_PASSWORD": password})["services"]["postgres"]
    assert server["environment"]["POSTGRES_PASSWORD"] == password
    monkeypatch.setenv("PGPASSWORD", found["PGPASSWORD"])
    assert await _sent_password(found["CONTEXT_DATABASE_URL"]) == password


async def _sent_password(database_url: str) -> str:
    """Return the password that the driver sends to a server that asks for it in clear text."""
    sent: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack(">i", await reader.readexactly(4))
        (code,) = struct.unpack(">i", (await reader.readexactly(length - 4))[:4])
        if code == _SSL_REQUEST:
            writer.write(b"N")
            (length,) = struct.unpack(">i", await reader.readexactly(4))
            await reader.readexactly(length - 4)
        writer.write(b"R" + struct.pack(">ii", 8, 3))
        (length,) = struct.unpack(">i", (await reader.readexactly(5))[1:])
        sent.append((await reader.readexactly(length - 4)).rstrip(b"\0").decode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        arguments = {**connect_args(database_url), "host": "127.0.0.1", "port": port}
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await asyncpg.connect(**arguments)
    return sent[0]


def test_the_worker_sees_its_own_token_only() -> None:
    worker = project()["services"]["worker"]
    assert "env_file" not in worker
    [mount] = worker["volumes"]
    assert (mount["source"], mount["volume"]["subpath"]) == ("api", "worker-token")
    assert mount["read_only"]
    assert worker["environment"]["CONTEXT_TOKEN_FILE"] == mount["target"]
    assert "database" not in worker.get("networks", ["default"])
    assert project()["services"]["postgres"]["networks"] == ["database"]


def test_a_given_worker_token_is_written_where_the_worker_reads_it(tmp_path: Path) -> None:
    api = project()["services"]["api"]
    shell, option, script, name = api["entrypoint"]
    for token in ("", "a-worker-token-0123456789"):
        here = script.replace("/data/", f"{tmp_path}/").replace("exec python -P -m app", "echo")
        said = subprocess.check_output(
            [shell, option, here, name, *api["command"]], env={"CONTEXT_WORKER_TOKEN": token}
        )
        assert said == b"serve\n"
        file = tmp_path / "worker-token"
        assert (file.read_text().strip() if file.exists() else "") == token
    assert file.stat().st_mode & 0o777 == 0o600


def test_no_container_gets_an_anonymous_volume() -> None:
    found = project({}, *BOTH)
    for service in found["services"].values():
        for source, _ in volumes_of(service):
            assert source in found["volumes"]
    # Those of the images that are not built here.
    images = {"postgres": "/var/lib/postgresql/data", "minio": "/data"}
    for name, target in images.items():
        assert target in dict(_mounts(name)).values()
    assert not re.search(r"^VOLUME", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_images_that_no_registry_has_are_built() -> None:
    targets = re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    built = [s for s in project({}, *BOTH)["services"].values() if "build" in s]
    assert len(built) == 4
    for service in built:
        assert service["pull_policy"] == "build"
        assert service["build"]["target"] in targets
    assert targets[-1] == "service"  # the default of `docker build`


def test_health_is_checked_more_often_during_the_start() -> None:
    for name, service in project({}, *BOTH)["services"].items():
        if not service["healthcheck"].get("disable"):
            assert service["healthcheck"]["start_interval"] == "1s", name


def test_the_seaweedfs_container_listens_on_the_published_port() -> None:
    server = project({}, "seaweedfs")["services"]["seaweedfs"]
    assert server["ports"][0].endswith(f":{s3_container.S3_PORT}")
    buckets = [name for name in server["environment"] if name.endswith("_BUCKET")]
    assert buckets == ["CONTEXT_S3_ASSET_BUCKET", "CONTEXT_S3_TEMP_BUCKET"]
