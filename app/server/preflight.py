"""Checks of the servers that the settings name, before any part of the service starts."""

from __future__ import annotations

import asyncio
import socket
import ssl

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.database.engine import connect_args
from app.runtime.errors import CommandError
from app.settings import Settings
from app.storage import Storage, StorageUnavailable

CONNECT_S = 10.0
_OLDEST_POSTGRES = 14
_REFUSED_KEYS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthFailure", "AccessDenied"}
)
_REGION = frozenset({"AuthorizationHeaderMalformed", "AuthorizationQueryParametersError"})


def check_servers(settings: Settings) -> None:
    """Check that the servers that the settings name can be used; embedded ones are not checked.

    Raises:
        CommandError: A server cannot be used; the text names the setting.
    """
    check_database(settings)
    if settings.s3_endpoint is not None:
        asyncio.run(_check_storage(settings))


def check_database(settings: Settings) -> None:
    """Check that the database that the settings name can be used.

    Raises:
        CommandError: It cannot.
    """
    if settings.database_url is not None:
        asyncio.run(_check_database(settings.database_url))


def shown_address(database_url: str) -> str:
    """Return the address of a database without its password."""
    url = make_url(database_url).difference_update_query(["password"])
    return URL.create(
        "postgresql", url.username, None, url.host, url.port, url.database, url.query
    ).render_as_string()


async def _check_database(database_url: str) -> None:
    try:
        arguments = {"timeout": CONNECT_S, **connect_args(database_url)}
    except (ArgumentError, ValueError) as error:
        raise CommandError(
            "CONTEXT_DATABASE_URL is not a valid URL: percent-encode special characters of the "
            "password (@ is %40, / is %2F, # is %23)"
        ) from error
    try:
        connection = await asyncpg.connect(**arguments)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise CommandError(
            f"CONTEXT_DATABASE_URL ({shown_address(database_url)}): {_reason(error)}"
        ) from error
    try:
        version = connection.get_server_version()
    finally:
        await connection.close()
    if version.major < _OLDEST_POSTGRES:
        raise CommandError(
            f"CONTEXT_DATABASE_URL ({shown_address(database_url)}): PostgreSQL {version.major} is "
            f"too old, use {_OLDEST_POSTGRES} or later"
        )


def _reason(error: Exception) -> str:
    """Return what is wrong with a database, and what would be right."""
    text = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, socket.gaierror):
        return "the host is unknown: correct its name"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_S:g} s: check host, port and firewall"
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"{text}: create it, or correct its name"
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return f"{text}: correct the user name and the password"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({text}): correct sslmode and the certificates"
    if isinstance(error, OSError) and not isinstance(error, asyncpg.PostgresError):
        return f"it cannot be reached ({text}): start PostgreSQL there, or correct host and port"
    return text


async def _check_storage(settings: Settings) -> None:
    try:
        code = await Storage(settings).access_error()
    except StorageUnavailable as error:
        reason = (str(error.__cause__).splitlines() or ["no answer"])[0]
        raise CommandError(
            f"CONTEXT_S3_ENDPOINT={settings.s3_endpoint} cannot be reached ({reason}): start the "
            "S3 server, or correct the URL"
        ) from error
    if code:
        raise CommandError(_refusal(settings, code))


def _refusal(settings: Settings, code: str) -> str:
    endpoint = f"CONTEXT_S3_ENDPOINT={settings.s3_endpoint}"
    if code in _REFUSED_KEYS:
        return (
            f"{endpoint} refuses the credentials ({code}): correct CONTEXT_S3_ACCESS_KEY and "
            "CONTEXT_S3_SECRET_KEY"
        )
    if code in _REGION:
        return f"{endpoint} has another region ({code}): correct CONTEXT_S3_REGION"
    if code.isdigit():
        return f"{endpoint} answers like no S3 server (status {code}): correct the URL"
    return f"{endpoint} refuses requests ({code}): see the log of the S3 server"
