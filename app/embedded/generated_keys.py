"""Entry point of the container that writes the keys of the S3 server into a volume.

Keys that are not given are generated once. The S3 server and the API read them as files, see
`CONTEXT_SECRETS_DIR`.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from app.runtime.private_files import write_private

_BYTES = {"context_s3_access_key": 10, "context_s3_secret_key": 20}


def write_keys(folder: Path) -> None:
    """Write the keys that the environment gives, and generate those that do not exist yet."""
    for name, size in _BYTES.items():
        file = folder / name
        given = os.environ.get(name.upper())
        if given or not file.exists():
            write_private(file, given or secrets.token_hex(size))


if __name__ == "__main__":
    write_keys(Path(sys.argv[1]))
