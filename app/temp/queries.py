"""Statements on temporary files."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg
from sqlalchemy import ARRAY, Interval, Text, bindparam, delete, func, insert, select, update

from app.database.engine import Hot
from app.database.statement import Connection
from app.temp.models import TempRow

Row = asyncpg.Record
On: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"

_TABLE = TempRow.__table__
_IS_EXPIRED = (TempRow.expires_at <= func.now()).label("is_expired")
_OWN = (
    TempRow.id == bindparam("temp_id", type_=Text),
    TempRow.user_id == bindparam("user_id", type_=Text),
)

ONE = Hot(select(*_TABLE.c, _IS_EXPIRED).where(*_OWN))
MANY = Hot(
    select(*_TABLE.c).where(
        TempRow.id == func.any(bindparam("ids", type_=ARRAY(Text))),
        TempRow.user_id == bindparam("user_id", type_=Text),
        TempRow.expires_at > func.now(),
        TempRow.is_stored,
    )
)
INSERT = Hot(
    insert(TempRow)
    .values(
        {
            column.name: bindparam(column.name, type_=column.type)
            for column in _TABLE.c
            if column.name not in {"created_at", "put_until", "expires_at"}
        }
        | {
            "put_until": func.now() + bindparam("put_ttl", type_=Interval),
            "expires_at": func.now() + bindparam("ttl", type_=Interval),
        }
    )
    .returning(*_TABLE.c, _IS_EXPIRED)
)
MARK_STORED = Hot(
    update(TempRow)
    .where(TempRow.id == bindparam("temp_id", type_=Text))
    .values(
        {TempRow.size: bindparam("seen_size", type_=_TABLE.c.size.type), TempRow.is_stored: True}
    )
    .returning(*_TABLE.c, _IS_EXPIRED)
)
DELETE = Hot(delete(TempRow).where(*_OWN).returning(TempRow.id, TempRow.put_until))
