"""Command line of the service: `python -m app serve|migrate|sweep|token|users|tokens|openapi`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Callable, Sequence

from pydantic import ValidationError

from app.runtime import logging as logs
from app.runtime.environment import unknown_variables
from app.runtime.errors import CommandError
from app.settings import Settings, read_settings
from processing_context.wire.terminal import printable_lines

logger = logging.getLogger(__name__)

Handler = Callable[[Settings, argparse.Namespace], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv).parse_args(argv)
    try:
        settings = read_settings()
    except ValidationError as error:
        return _refuse("\n".join(_readable(error)), code=2)
    except (OSError, UnicodeError) as error:
        return _refuse(f"cannot read the settings in .env: {error}", code=2)
    logs.configure(settings.log_level)
    for sentence in unknown_variables(settings.file):
        logger.warning(sentence)
    try:
        handler: Handler = getattr(args, "handler", _users)
        handler(settings, args)
    except CommandError as error:
        return _refuse(str(error), code=1)
    except KeyboardInterrupt:
        return 130
    return 0


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="The Processing Context service; its settings are CONTEXT_* variables.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, handler, text in (
        ("serve", _serve, "start the embedded servers, migrate, start the API and a local worker"),
        ("migrate", _migrate, "upgrade the schema of the database"),
        ("openapi", _openapi, "print the OpenAPI document"),
    ):
        commands.add_parser(name, help=text, description=text).set_defaults(handler=handler)
    sweep = commands.add_parser("sweep", help="remove data that crashes and deletions left behind")
    sweep.add_argument("--dry-run", action="store_true", help="only report what would be removed")
    sweep.add_argument(
        "--force",
        action="store_true",
        help="proceed although most objects have no row, or most rows no object",
    )
    sweep.set_defaults(handler=_sweep)
    if argv[:1] != ["serve"]:  # `serve` imports these modules while its servers are starting
        from app.users.cli import add_commands

        add_commands(commands)
    return parser


def _serve(settings: Settings, _args: argparse.Namespace) -> None:
    from app.server.serve import serve

    serve(settings)


def _migrate(settings: Settings, _args: argparse.Namespace) -> None:
    from app.embedded.stack import embedded_database
    from app.server.preflight import check_database
    from app.server.schema import upgrade_schema

    check_database(settings)
    with embedded_database(settings) as database_url:
        upgrade_schema(database_url)


def _sweep(settings: Settings, args: argparse.Namespace) -> None:
    from app.cleanup.cli import run
    from app.domains import DOMAINS
    from app.embedded.stack import reachable_stack
    from app.server.preflight import check_database
    from app.server.schema import create_schema

    check_database(settings)
    with reachable_stack(settings) as found:
        create_schema(str(found.database_url))
        asyncio.run(run(found, DOMAINS, dry=args.dry_run, force=args.force))


def _openapi(_settings: Settings, _args: argparse.Namespace) -> None:
    from app.application import create_app

    # Nothing connects to these, and the document does not depend on the environment.
    placeholders = {
        "database_url": "postgresql+asyncpg://localhost/none",
        "s3_endpoint": "http://localhost",
        "s3_access_key": "none",
        "s3_secret_key": "none",
        "secret_key": "none" * 8,
    }
    document = create_app(Settings.model_validate(placeholders)).openapi()
    json.dump(document, sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


def _users(settings: Settings, args: argparse.Namespace) -> None:
    from app.embedded.stack import embedded_database
    from app.http.problems import ProblemError
    from app.server.preflight import check_database
    from app.server.schema import create_schema
    from app.users.cli import run

    check_database(settings)
    with embedded_database(settings) as database_url:
        create_schema(database_url)
        found = settings.model_copy(update={"database_url": database_url})
        try:
            asyncio.run(run(found, args))
        except ProblemError as error:
            raise CommandError(str(error)) from error


def _refuse(message: str, *, code: int) -> int:
    sys.stderr.write(printable_lines(f"processing-context: {message}") + "\n")
    return code


def _readable(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = "".join(f"CONTEXT_{str(part).upper()}: " for part in problem["loc"][:1] if part)
        lines.append(name + problem["msg"].removeprefix("Value error, "))
    return lines


if __name__ == "__main__":
    sys.exit(main())
