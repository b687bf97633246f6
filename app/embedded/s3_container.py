"""Entry point of the SeaweedFS container: the S3 server on port 9000 of all interfaces.

Its internal ports need the certificate, or a token, like those of the embedded server: other
containers of the network can reach them too, and a worker runs code of nodes.
"""

from __future__ import annotations

import os
import sys

from app.embedded.binaries import weed_program
from app.embedded.credentials import load_credentials
from app.embedded.identity import Identity
from app.embedded.private_dirs import make_private_dir
from app.embedded.process import plain_environment
from app.embedded.s3_security import write_security
from app.embedded.weed import PARTS, Weed, weed_environment
from app.runtime.errors import CommandError
from app.settings import read_settings

S3_PORT = 9000


def main() -> None:
    """Write new certificates, and replace this process with the server.

    Raises:
        CommandError: The keys of the S3 API are not set.
    """
    settings = read_settings()
    if not (settings.s3_access_key and settings.s3_secret_key):
        raise CommandError("set CONTEXT_S3_ACCESS_KEY and CONTEXT_S3_SECRET_KEY")
    os.umask(0o077)
    data_dir = settings.data_dir.absolute()
    keys = {
        "s3_access_key": settings.s3_access_key.get_secret_value(),
        "s3_secret_key": settings.s3_secret_key.get_secret_value(),
    }
    credentials = load_credentials(data_dir).model_copy(update=keys)
    server = Weed(
        weed_program(),
        data=data_dir / "s3",
        security=data_dir / "s3-security",
        sockets=data_dir / "s3-run",
        base=S3_PORT - PARTS["s3"],
        bind="0.0.0.0",  # noqa: S104  # the container's own interfaces
    )
    for folder in (server.data, server.security, server.sockets):
        make_private_dir(folder, Identity())
    write_security(server.security, credentials)
    environment = plain_environment() | weed_environment(settings, credentials)
    argv = server.argv()
    os.execve(argv[0], argv, environment)  # noqa: S606


if __name__ == "__main__":
    try:
        main()
    except CommandError as error:
        sys.exit(f"seaweedfs: {error}")
