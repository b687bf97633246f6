"""The port, taken before anything else starts."""

from __future__ import annotations

import socket

from app.embedded.errors import StackError
from app.settings import Settings


def bind(settings: Settings) -> socket.socket:
    """Take the port before anything else starts; until it listens, callers are refused.

    Raises:
        StackError: It is taken, or the host is not ours.
    """
    where = f"{settings.host}:{settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise StackError(f"CONTEXT_HOST={settings.host} is no address: {error.strerror}") from error
    family, kind, protocol, _, address = found[0]
    taken = socket.socket(family, kind, protocol)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise StackError(
            f"cannot listen on {where} ({error.strerror}): stop what does, or set CONTEXT_PORT "
            "(and CONTEXT_DATA_DIR, for a second stack)"
        ) from error
    return taken


def local_url(taken: socket.socket) -> str:
    """Return the URL by which this machine reaches the socket."""
    host, port = taken.getsockname()[:2]
    if taken.family == socket.AF_INET6:
        return f"http://[{'::1' if host == '::' else host}]:{port}"
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104
