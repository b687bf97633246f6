from __future__ import annotations

import threading

from processing_context._transport.api import Api
from processing_context._transport.network import Network
from processing_context.worker.heartbeats import Heartbeats, Watch
from processing_context.worker.outage import Outage
from tests.support.loopback import Answer, Asked, Loopback, reply

WITHIN_S = 60.0


def test_an_answer_that_nobody_understands_does_not_end_the_heartbeats() -> None:
    beats: list[Asked] = []
    is_cancelled = threading.Event()

    def answer(asked: Asked) -> Answer:
        if asked.path != "/v1/jobs/j/heartbeat":
            return reply({})
        beats.append(asked)
        if len(beats) == 1:
            return Answer(200, b"<html>Welcome to this network</html>")
        return reply({"cancel_requested": True, "lease_expires_at": "2026-01-01T00:00:00Z"})

    with Loopback(answer) as service:
        network = Network(timeout_s=WITHIN_S, retries=0)
        api = Api(service.url, "ctx_token", network)
        heartbeats = Heartbeats(api, network.bulk, lambda _: None, outage=Outage())
        heartbeats.start("w", 0.05)
        heartbeats.watch(Watch("j", "job_token", is_cancelled.set, lambda _: None))
        try:
            assert is_cancelled.wait(WITHIN_S)
        finally:
            heartbeats.close()
            network.bulk.close()
