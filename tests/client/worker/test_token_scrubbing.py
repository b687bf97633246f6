from __future__ import annotations

import os
import subprocess
import sys

import pytest

from processing_context.worker.token_scrubbing import take_secrets

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


def test_secrets_of_the_service_leave_the_environment_of_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secrets = {
        "CONTEXT_TOKEN": "ctx_s3cret1",
        "CONTEXT_TOKEN_FILE": "/data/worker-token",
        "CONTEXT_WORKER_TOKEN": "ctx_s3cret2",
        "CONTEXT_BOOTSTRAP_TOKEN": "ctx_s3cret3",
        "CONTEXT_SECRET_KEY": "s3cret-key",
        "CONTEXT_S3_SECRET_KEY": "short",
        "CONTEXT_OPENAI_API_KEY": "sk-s3cret",
        "CONTEXT_DATABASE_URL": "postgresql://u:s3cret@db.example/c",
    }
    kept = {"CONTEXT_URL": "http://127.0.0.1:8000", "CONTEXT_STORAGE_NETWORK": "internal"}
    for name, value in (secrets | kept).items():
        monkeypatch.setenv(name, value)
    taken = take_secrets()
    assert not secrets.keys() & os.environ.keys()
    assert kept.items() <= os.environ.items()
    assert {"ctx_s3cret1", "ctx_s3cret2", "s3cret-key"} <= set(taken)
    assert "short" not in taken  # its letters stand everywhere
