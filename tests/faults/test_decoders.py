"""Decoders of a service that runs as it does in production, and that ends, one way or another."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.support.assets import form
from tests.support.media import encoded, photo
from tests.support.processes import TOKEN, running_service
from tests.support.services import WAIT_S, eventually, free_port


def decoders_of(service_id: int) -> list[int]:
    """Return the decoders of a service, also when it is gone: their arguments name it."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (directory / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"app.media.decoders.child" in arguments and str(service_id).encode() in arguments:
            found.append(int(directory.name))
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_decoders_start_when_needed_and_end_with_the_service(
    new_settings: Callable[..., Settings], how: signal.Signals
) -> None:
    settings = new_settings(port=free_port())
    with running_service(settings) as service:
        assert decoders_of(service.pid) == []
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"http://127.0.0.1:{settings.port}"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=WAIT_S) as http:
            made = await http.post("/v1/assets", **form(encoded(photo()), file_name="x.png"))
            small = await http.get(f"/v1/assets/{made.json()['id']}/thumbnail")
        assert small.status_code == 200, small.text
        assert len(decoders_of(service.pid)) in (1, 2)
        service.send_signal(how)
        service.wait(WAIT_S)

        async def are_gone() -> bool:
            return decoders_of(service.pid) == []

        await eventually(are_gone)
