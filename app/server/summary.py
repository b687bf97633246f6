"""Lines that `serve` prints once the service is running."""

from __future__ import annotations

import shlex

from app.embedded.stack import Stack
from app.server.preflight import shown_address
from app.users.bootstrap import StartTokens


def summary(stack: Stack, tokens: StartTokens, url: str, *, has_worker: bool) -> dict[str, str]:
    """Return the values of the summary by their names; no value is a secret."""
    settings = stack.settings
    servers = " and ".join(server.child.command.name for server in stack.servers)
    rows = {
        "API": f"{url}  (documentation: /docs)",
        "Token": f"{tokens.first_user.source}  (with these settings, python -m app token prints it)"
        if tokens.first_user
        else "not known here  (python -m app tokens create makes one)",
        "Settings": f"{settings.file}  (variables of the environment win)"
        if settings.file
        else None,
        "Data": f"{settings.data_dir}  ({servers})" if servers else None,
        "PostgreSQL": stack.psql or f"psql {shlex.quote(shown_address(stack.database_url))}",
        "S3": settings.s3_endpoint,
        "Worker": f"local, {settings.local_worker_slots} slots" if has_worker else None,
    }
    return {name: value for name, value in rows.items() if value}
