"""Attempts of another user of the machine to use ports and Unix sockets.

`attempts_of_nobody` runs this module as a program, which becomes the user `nobody` first.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.processes import ROOT

HTTP = b"GET /dir/assign HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""Begin of a connection with gRPC: the preface, and an empty SETTINGS frame."""
REFUSED = "refused"

_PATIENCE_S = 20.0


def plain(port: int, request: bytes) -> str:
    """Return the begin of the answer to a request without TLS."""
    with _connected(port) as connection:
        return _answer(connection, request)


def with_tls(port: int, request: bytes, *, security: Path | None = None) -> str:
    """Return the begin of the answer over TLS, with the certificate in a folder or without one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2" if request == HTTP_2 else "http/1.1"])
    if security is not None:
        context.load_verify_locations(security / "authority.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(security / "certificate.pem", security / "certificate.key")
    with _connected(port) as connection:
        try:
            with context.wrap_socket(connection) as encrypted:
                return _answer(encrypted, request)
        except OSError as error:  # an SSLError, or a reset connection
            return f"{REFUSED}: {error}"


def to_socket(path: str) -> str:
    """Return the begin of the answer of a Unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE_S)
        try:
            connection.connect(path)
            return _answer(connection, HTTP)
        except OSError as error:
            return f"{REFUSED}: {error}"


def attempts(ports: Sequence[int], sockets: Sequence[str]) -> dict[str, str]:
    """Return the answer to each attempt without credentials."""
    ways: dict[str, Callable[[int], str]] = {
        "HTTP": lambda port: plain(port, HTTP),
        "gRPC": lambda port: plain(port, HTTP_2),
        "HTTPS": lambda port: with_tls(port, HTTP),
        "gRPC over TLS": lambda port: with_tls(port, HTTP_2),
    }
    found = {f"{name} {port}": ask(port) for port in ports for name, ask in ways.items()}
    return found | {path: to_socket(path) for path in sockets}


def attempts_of_nobody(ports: Sequence[int], sockets: Sequence[str]) -> dict[str, str]:
    """Return the result of `attempts` by the user `nobody`."""
    said = subprocess.check_output(
        [sys.executable, "-m", __name__, json.dumps([ports, sockets])], cwd=ROOT, text=True
    )
    found: dict[str, str] = json.loads(said)
    return found


def _connected(port: int) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(_PATIENCE_S)
    connection.connect(("127.0.0.1", port))
    return connection


def _answer(connection: socket.socket, request: bytes) -> str:
    connection.sendall(request)
    try:
        return connection.recv(1024).decode("latin-1")
    except ConnectionResetError:
        return ""


def _become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


if __name__ == "__main__":
    _become_nobody()
    sys.stdout.write(json.dumps(attempts(*json.loads(sys.argv[1]))))
