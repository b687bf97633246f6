from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processing_context.nodes.runner import RunFailedError
from processing_context.wire.refs import ImageRef
from tests.support import samples
from tests.support.graphs import Run, graph
from tests.support.services import WAIT_S

ON_LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux kills children with their parent, and has /proc"
)
FOREVER = graph({"p": ("sample.ProcessForever", {})})


def runs(pid: int) -> bool:
    """Return True if a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def gone(*pids: int) -> bool:
    """Return True if all processes end in time."""
    deadline = time.monotonic() + WAIT_S
    while any(map(runs, pids)):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


async def started(run: Run) -> list[int]:
    message = await asyncio.wait_for(_chunk(run), WAIT_S)
    return [int(pid) for pid in message.split()]


async def _chunk(run: Run) -> str:
    while True:
        message = await run.context.pop_message_async()
        if message.type == "node_progress":
            return message.chunk


async def test_cpu_bound_node_runs_in_another_process_with_the_same_context() -> None:
    run = Run()
    samples.Gives.values["it"] = ImageRef(data=b"x" * 3_000_000)
    result = await run.of(
        graph(
            {
                "g": ("sample.Gives", {"key": "it"}),
                "p": ("sample.InProcess", {}),
                "out": ("output.AnyOutput", {"name": "seen"}),
            },
            "g.output > p.image",
            "p.output > out.value",
        )
    )
    seen = result["seen"]
    assert seen.pop("pid") != os.getpid()
    assert seen == {"user": "somebody", "node": "p", "size": 3_000_000}
    assert [m["node_id"] for m in run.messages("node_progress")] == ["p"]


async def test_stream_of_a_process() -> None:
    run = Run()
    await run.of(graph({"p": ("sample.ProcessStream", {})}))
    assert [m["value"] for m in run.messages("output_update")] == [0, 1, 2]


FROM_THE_NODE_ON = f'Traceback (most recent call last):\n  File "{samples.__file__}", line '


@pytest.mark.parametrize(
    ("how", "said", "logs"),
    [
        ("raise", "KeyError: 'nothing there'", FROM_THE_NODE_ON),
        ("exit", "sys.exit(3)", ""),
        ("crash", "was killed by SIGABRT", ""),
        ("lock", "cannot be passed between processes: cannot pickle '_thread.lock'", ""),
    ],
)
async def test_failure_in_a_process_is_told_with_its_traceback(
    how: str, said: str, logs: str
) -> None:
    run = Run()
    with pytest.raises(RunFailedError) as caught:
        await run.of(graph({"p": ("sample.ProcessFails", {"how": how})}))
    assert said in caught.value.error.message
    assert logs in run.messages("node_update")[-1].get("logs", "")


@ON_LINUX
async def test_cancel_kills_the_process_and_what_it_started() -> None:
    run = Run()
    task = asyncio.create_task(run.of(FOREVER))
    pids = await started(run)
    task.cancel()
    await asyncio.wait({task})
    assert await gone(*pids)


@ON_LINUX
async def test_process_dies_with_its_worker(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio\n"
        "from tests.client.nodes.test_process_executor import FOREVER, Run, started\n"
        "async def main():\n"
        "    run = Run()\n"
        "    task = asyncio.create_task(run.of(FOREVER))\n"
        "    print(*await started(run), flush=True)\n"
        "    await task\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[3]
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script)),
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child, grandchild = (int(pid) for pid in (await parent.stdout.readline()).split())
    parent.kill()
    await parent.wait()
    try:
        assert await gone(child)
    finally:
        os.kill(grandchild, signal.SIGKILL)
