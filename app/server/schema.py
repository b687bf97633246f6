"""Upgrade of the schema by a command, with errors for the operator."""

from __future__ import annotations

from alembic.util import CommandError as AlembicError
from sqlalchemy.exc import DBAPIError

from app.database import migrate
from app.runtime.errors import CommandError


def upgrade_schema(database_url: str) -> None:
    """Upgrade the schema to that of the code.

    Raises:
        CommandError: The schema is newer than the code, or cannot be changed.
    """
    try:
        migrate.upgrade(database_url)
    except AlembicError as error:
        raise CommandError(
            f"the schema of the database is not known to this version of the code ({error}): "
            "update it"
        ) from error
    except DBAPIError as error:
        raise CommandError(
            f"the schema of the database cannot be changed: {_text(error)}"
        ) from error


def create_schema(database_url: str) -> None:
    """Create the schema in a database that has none.

    Raises:
        CommandError: The database has a schema that this code cannot use.
    """
    if (problem := migrate.create_missing(database_url)) is not None:
        raise CommandError(problem)


def _text(error: DBAPIError) -> str:
    lines = str(error.orig or error).splitlines()
    return lines[0].rpartition(">: ")[2] if lines else type(error).__name__
