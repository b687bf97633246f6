"""Tests of nodes that fork: the copy of the worker does not use shared connections."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.support.services import WAIT_S

_SCRIPT = """
    import asyncio, os
    from processing_context.worker.forks import end_forks

    class Peer(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            self.heard = b""
            self.enough = asyncio.get_running_loop().create_future()

        def data_received(self, data):
            self.heard += data
            if self.heard.endswith(b"END") and not self.enough.done():
                self.enough.set_result(None)

    async def main():
        loop = asyncio.get_running_loop()
        end_forks(loop)
        there = Peer()
        server = await loop.create_server(lambda: there, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport, here = await loop.create_connection(Peer, "127.0.0.1", port)
        await asyncio.sleep(0.05)
        original = os.getpid()
        transport.write(b"before, ")  # written by a loop that gathers in a moment, in both copies
        child = os.fork()
        transport.write(b"after, ")
        if os.getpid() != original:
            await asyncio.sleep(60)  # back to the loop: here it ends
            os._exit(2)
        _, status = os.waitpid(child, 0)
        transport.write(b"END")
        await asyncio.wait_for(there.enough, 30)
        there.transport.write(b"heard END")  # the original still listens
        await asyncio.wait_for(here.enough, 30)
        print(there.heard.decode(), os.waitstatus_to_exitcode(status), here.heard.decode())

    {run}
"""


@pytest.mark.parametrize(
    "run", ["asyncio.run(main())", "import uvloop; uvloop.run(main())"], ids=["asyncio", "uvloop"]
)
def test_a_copy_neither_writes_nor_reads_what_is_the_originals(run: str) -> None:
    script = textwrap.dedent(_SCRIPT).format(run=run)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "before, after, END 1 heard END"
