"""The listening socket of the API."""

from __future__ import annotations

import errno
import socket

from app.runtime.errors import CommandError
from app.settings import Settings


def bind(settings: Settings) -> socket.socket:
    """Return a socket bound to the configured port; it refuses connections until it listens.

    It is bound before anything else starts, so that a second service fails at once.

    Raises:
        CommandError: The port is in use, or the host cannot be resolved to a local address.
    """
    where = f"{settings.host}:{settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise CommandError(
            f"CONTEXT_HOST={settings.host} is not an address of this machine: {error.strerror}"
        ) from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        advice = (
            "stop the program that uses the port, or set CONTEXT_PORT (and CONTEXT_DATA_DIR, for a "
            "second stack)"
            if error.errno == errno.EADDRINUSE
            else "set CONTEXT_HOST and CONTEXT_PORT to an address that this machine may listen on"
        )
        raise CommandError(f"cannot listen on {where} ({error.strerror}): {advice}") from error
    return listener


def local_url(listener: socket.socket) -> str:
    """Return the URL of a listening socket, for clients on this machine."""
    host, port = listener.getsockname()[:2]
    if listener.family == socket.AF_INET6:
        return f"http://[{'::1' if host == '::' else host}]:{port}"
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104
