from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOOK = """
import sys
from processing_context.worker.token_scrubbing import blot_out
secret = sys.argv[2]
blot_out(secret)
shown = [open(f"/proc/self/{name}").read() for name in ("cmdline", "environ")]
print([secret in text for text in (*shown, *sys.argv, *sys.orig_argv)])
print("OTHER=kept" in shown[1], sys.argv)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_secret_leaves_what_the_system_shows_of_a_process() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", LOOK, "--token", "ctx_s3cret", "--also=ctx_s3cret"],
        env=os.environ | {"CONTEXT_TOKEN": "ctx_s3cret", "OTHER": "kept"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert "True" not in shown[0]
    assert shown[1] == "True ['-c', '--token', '***', '--also=***']"
