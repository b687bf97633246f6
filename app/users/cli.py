"""`python -m app token|users|tokens …`: users and tokens in the database; no token is needed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from app.database.engine import Database
from app.database.notifications import Notifications
from app.database.statement import Connection
from app.http.auth import Principal, Revocations
from app.http.pagination import MAX_PAGE_SIZE, Page
from app.settings import Settings
from app.users.bootstrap import first_token, has_user, open_database, set_up
from app.users.configured_tokens import ALL_SCOPES
from app.users.service import TokenService, UserService
from processing_context.wire.terminal import printable
from processing_context.wire.users import UserCreate

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


@dataclass(frozen=True, slots=True)
class Accounts:
    """The services that the commands use."""

    users: UserService
    tokens: TokenService

    @classmethod
    def of(cls, db: Database, settings: Settings) -> Self:
        """Return the services of a database.

        Their notifications are not sent: replicas accept a revoked token until their caches expire,
        a few seconds later, and then end its workers.
        """
        revocations = Revocations(Notifications(db))
        users = UserService(db, revocations, _leave_to_replicas)
        tokens = TokenService(
            db, users, revocations, _leave_to_replicas, max_tokens=settings.max_tokens_per_user
        )
        return cls(users, tokens)


async def _leave_to_replicas(
    _on: Connection, _token_ids: Collection[str]
) -> Sequence[Callable[[], None]]:
    return ()


Command = Callable[[Accounts, argparse.Namespace], Awaitable[None]]

_OPERATOR = Principal(user_id="", scopes=frozenset(ALL_SCOPES), token_id="")


def add_commands(subparsers: Subparsers) -> None:
    """Add the commands; `command` of the result is a coroutine function, None for `token`."""
    text = "print the token of the first user, who has all rights"
    subparsers.add_parser("token", help=text, description=text).set_defaults(command=None)
    users = subparsers.add_parser("users", help="list, create and delete users")
    actions = users.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="list users, newest first").set_defaults(command=_list_users)
    create = actions.add_parser("create", help="create a user; prints the id")
    create.add_argument("name")
    create.set_defaults(command=_create_user)
    delete = actions.add_parser("delete", help="delete a user, with tokens and data")
    delete.add_argument("user_id")
    delete.set_defaults(command=_delete_user)
    quota = actions.add_parser("quota", help="set the storage quota of a user")
    quota.add_argument("user_id")
    quota.add_argument(
        "bytes", type=_bytes, help="a number of bytes, or none: CONTEXT_USER_QUOTA_BYTES"
    )
    quota.set_defaults(command=_set_quota)

    tokens = subparsers.add_parser("tokens", help="list, create and revoke tokens")
    actions = tokens.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="list a user's tokens")
    listed.add_argument("user_id")
    listed.set_defaults(command=_list_tokens)
    create = actions.add_parser("create", help="create a token; prints it, it is not shown again")
    create.add_argument("user_id")
    create.add_argument("--name", default="created on the command line")
    create.add_argument(
        "--scope", action="append", choices=ALL_SCOPES, help="may be repeated; default: user"
    )
    create.add_argument("--days", type=float, help="days until it expires; default: never")
    create.set_defaults(command=_create_token)
    revoke = actions.add_parser("revoke", help="revoke a token")
    revoke.add_argument("token_id")
    revoke.set_defaults(command=_revoke_token)


async def run(settings: Settings, args: argparse.Namespace) -> None:
    """Run a command that `add_commands` parsed; create the first user if no user exists.

    Raises:
        CommandError: The command cannot be carried out.
    """
    if not await has_user(settings):
        await set_up(settings)
    command: Command | None = args.command
    if command is None:
        _print((await first_token(settings)).secret)
        return
    async with open_database(settings) as db:
        await command(Accounts.of(db, settings), args)


def _bytes(value: str) -> int | None:
    if value == "none":
        return None
    if not (value.isascii() and value.isdigit() and int(value) < 2**63):
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of bytes, and not `none`")
    return int(value)


def _print(*columns: object) -> None:
    sys.stdout.write("\t".join(printable(str(column)) for column in columns) + "\n")


async def _list_users(accounts: Accounts, _args: argparse.Namespace) -> None:
    rows, _ = await accounts.users.page(Page(MAX_PAGE_SIZE, None))
    for row in rows:
        _print(row.id, row.created_at.isoformat(), row.name)


async def _create_user(accounts: Accounts, args: argparse.Namespace) -> None:
    _print((await accounts.users.create(UserCreate(name=args.name)))[0].id)


async def _delete_user(accounts: Accounts, args: argparse.Namespace) -> None:
    await accounts.users.delete(args.user_id)


async def _set_quota(accounts: Accounts, args: argparse.Namespace) -> None:
    await accounts.users.set_quota(args.user_id, args.bytes)


async def _list_tokens(accounts: Accounts, args: argparse.Namespace) -> None:
    rows, _ = await accounts.tokens.page(args.user_id, Page(MAX_PAGE_SIZE, None))
    for row in rows:
        until = row.expires_at.isoformat() if row.expires_at else "never expires"
        _print(row.id, ",".join(row.scopes), until, row.name)


async def _create_token(accounts: Accounts, args: argparse.Namespace) -> None:
    owner = await accounts.users.get(args.user_id)
    expires_at = datetime.now(UTC) + timedelta(days=args.days) if args.days else None
    scopes = args.scope or ["user"]
    _, secret = await accounts.tokens.create(owner.id, args.name, scopes, expires_at=expires_at)
    _print(secret)


async def _revoke_token(accounts: Accounts, args: argparse.Namespace) -> None:
    await accounts.tokens.revoke(args.token_id, by=_OPERATOR)
