"""Statements on the lock of the sweeper."""

from __future__ import annotations

from app.database.statement import Connection, Scalar, Statement

LOCK_ID = 7103452673

_TRY_LOCK = Scalar(f"select pg_try_advisory_lock({LOCK_ID})", bool)
_UNLOCK = Statement(f"select pg_advisory_unlock({LOCK_ID})")


async def try_lock(on: Connection) -> bool:
    """Acquire the lock of the sweeper; return False if another cleanup holds it."""
    return bool(await _TRY_LOCK.value(on))


async def unlock(on: Connection) -> None:
    """Release the lock."""
    await _UNLOCK.execute(on)
