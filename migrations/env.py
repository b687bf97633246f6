"""Alembic environment; `app.database.migrate` passes the connection."""

from __future__ import annotations

from alembic import context

from app.database.migrate import is_described
from app.domains import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata(),
    transaction_per_migration=True,
    include_object=is_described,
)
with context.begin_transaction():
    context.run_migrations()
