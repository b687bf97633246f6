"""Tests of the internal ports and sockets of the S3 server, as another user of the machine.

Each attempt has a control: with the credentials it succeeds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import socket
import stat
import time
from pathlib import Path

import httpx
import obstore
import pytest
from cryptography import x509

from app.embedded.credentials import load_credentials
from app.embedded.s3_ports import choose_base
from app.embedded.s3_security import check_security
from app.embedded.stack import Stack, running_stack
from app.embedded.weed import GRPC, grpc_sockets
from app.runtime.errors import CommandError
from tests.embedded.conftest import needs_root, only_storage
from tests.support import stranger
from tests.support.loopback import Answer, Loopback
from tests.support.probes import open_ports, open_sockets, read, store, wait_until
from tests.support.weed_tool import WeedTool

CONTENT = os.urandom(300_000)


@pytest.fixture
def tool(open_dir: Path, running: Stack) -> WeedTool:
    """The tool of an attacker, for a server with the object `secret`."""
    obstore.put(store(running.settings), "secret", CONTENT)
    return WeedTool(open_dir, running)


@needs_root
def test_another_user_cannot_list_or_delete_objects(tool: WeedTool, running: Stack) -> None:
    bucket = f"/buckets/{running.settings.s3_asset_bucket}"
    assert "secret" not in tool.shell(f"fs.ls {bucket}", as_owner=False)
    tool.shell(f"fs.rm {bucket}/secret", as_owner=False)
    assert read(store(running.settings), "secret") == CONTENT

    assert "secret" in tool.shell(f"fs.ls {bucket}", as_owner=True)
    tool.shell(f"fs.rm {bucket}/secret", as_owner=True)
    with pytest.raises(FileNotFoundError):
        read(store(running.settings), "secret")


@needs_root
def test_another_user_cannot_copy_a_volume(tool: WeedTool, running: Stack) -> None:
    bucket = running.settings.s3_asset_bucket
    tool.folder.chmod(0o777)
    volume = _volume(tool, bucket)
    backup = ["backup", f"-master=127.0.0.1:{tool.ports['master']}", "-dir=."]
    backup += [f"-volumeId={volume}", f"-collection={bucket}"]
    tool.run(*backup, as_owner=False)
    copy = tool.folder / f"{bucket}_{volume}.dat"
    assert not copy.exists() or CONTENT not in copy.read_bytes()
    copy.unlink(missing_ok=True)
    tool.run(*backup, as_owner=True)
    assert CONTENT in copy.read_bytes()


def _volume(tool: WeedTool, bucket: str) -> str:
    """Return the volume of a bucket, once the master knows it from a heartbeat."""
    found: list[str] = []

    def is_known() -> bool:
        found[:] = re.findall(
            rf"Id:(\d+),.*Collection:{bucket},", tool.shell("volume.list", as_owner=True)
        )
        return bool(found)

    wait_until(is_known)
    return found[0]


@needs_root
def test_the_internal_ports_refuse_whoever_has_no_certificate(tool: WeedTool) -> None:
    refusal = "400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server."
    tokens = {tool.ports["volume"], tool.ports["s3"]}  # these are tested below
    closed = [port for port in _ports(tool) if port not in tokens]
    assert len(closed) == 8
    for attempt, answer in stranger.attempts_of_nobody(closed, []).items():
        alert = "\x15\x03"  # of TLS
        is_refused = refusal in answer or answer.startswith((alert, stranger.REFUSED))
        assert is_refused or answer == "", (attempt, answer)
    for port in closed:
        request = stranger.HTTP_2 if port > min(closed) + GRPC - 1 else stranger.HTTP
        answer = stranger.with_tls(port, request, security=tool.security)
        assert not answer.startswith(stranger.REFUSED), port
        assert answer.startswith("HTTP/1.1" if request == stranger.HTTP else "\x00\x00"), port


@needs_root
def test_other_users_cannot_connect_to_the_unix_sockets(tool: WeedTool) -> None:
    sockets = open_sockets(tool.pid)
    assert len(sockets) == 7
    for path, answer in stranger.attempts_of_nobody([], sockets).items():
        assert answer == f"{stranger.REFUSED}: [Errno 13] Permission denied", path
        assert not stranger.to_socket(path).startswith(stranger.REFUSED), path


@needs_root
def test_the_ports_for_bytes_refuse_whoever_has_no_token(tool: WeedTool, running: Stack) -> None:
    bucket = running.settings.s3_asset_bucket
    listed = tool.shell(f"fs.meta.cat /buckets/{bucket}/secret", as_owner=True)
    file_id = re.findall(r'"fileId": *"([^"]+)"', listed)[0]
    volume = f"http://127.0.0.1:{tool.ports['volume']}"
    s3 = f"http://127.0.0.1:{tool.ports['s3']}"
    for url in (f"{volume}/{file_id}", f"{s3}/{bucket}/secret"):
        assert httpx.get(url).status_code in (401, 403)
        assert httpx.delete(url).status_code in (401, 403)
        assert httpx.put(url, content=b"other").status_code in (401, 403)
    assert httpx.get(f"{s3}/{bucket}").status_code == 403
    assert read(store(running.settings), "secret") == CONTENT

    key = load_credentials(running.settings.data_dir).s3_volume_read_key
    control = {"Authorization": f"Bearer {_token(file_id, key)}"}
    assert httpx.get(f"{volume}/{file_id}", headers=control).content == CONTENT


def _token(file_id: str, key: str) -> str:
    """Return a JSON web token as SeaweedFS makes it for one file."""
    claims = {"exp": int(time.time()) + 60, "fid": file_id}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    text = b".".join(map(_base64, parts))
    return (text + b"." + _base64(hmac.digest(key.encode(), text, hashlib.sha256))).decode()


def _base64(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def _ports(tool: WeedTool) -> list[int]:
    return sorted(int(address.rpartition(":")[2], 16) for address in open_ports(tool.pid))


def test_the_certificates_are_private_and_do_not_expire(running: Stack) -> None:
    folder = running.settings.data_dir / "s3-security"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    for name in ("authority.pem", "certificate.pem"):
        certificate = x509.load_pem_x509_certificate((folder / name).read_bytes())
        assert certificate.not_valid_after_utc.year == 9999
        assert certificate.not_valid_before_utc.year == 2000


def test_a_server_that_does_not_read_its_configuration_is_not_used(running: Stack) -> None:
    folder = running.settings.data_dir / "s3-security"
    [server] = [s for s in running.servers if s.child.command.name == "the S3 server"]
    assert server.is_ready()
    with Loopback(lambda _: Answer()) as plain:
        port = int(plain.url.rpartition(":")[2])
        with pytest.raises(CommandError, match=f"port {port} of the S3 server does not use"):
            check_security(folder, [port])


def test_each_start_makes_new_certificates_and_leaves_no_socket(tmp_path: Path) -> None:
    settings = only_storage(tmp_path / ("deep" * 20) / "data")
    folder = settings.data_dir / "s3-security"
    made, sockets = [], []
    for _ in range(2):
        with running_stack(settings) as stack:
            made.append((folder / "certificate.pem").read_bytes())
            pid = stack.servers[0].child.pid
            wait_until(lambda pid=pid: len(open_sockets(pid)) == 7)  # type: ignore[misc]
            sockets.append(open_sockets(pid))
    assert made[0] != made[1]
    assert sockets[0] == sockets[1]
    assert not [path for path in sockets[0] if Path(path).exists()]


def test_ports_whose_socket_another_user_has_made_are_not_chosen(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first, reservation = choose_base(memory)
    reservation.close()
    taken = grpc_sockets(first)[0]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(taken))
        try:
            if os.geteuid() == 0:
                os.chown(taken, 65534, 65534)
                second, reservation = choose_base(memory)
                reservation.close()
                assert second != first
                os.chown(taken, 0, 0)
                memory.write_text(json.dumps({"s3": first}))
            again, reservation = choose_base(memory)
            reservation.close()
            assert again == first
        finally:
            taken.unlink()
