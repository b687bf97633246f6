"""A small domain as a package of its own, written to a temporary folder."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

FILES = {
    "__init__.py": '"""Notes."""',
    "models.py": '''
        from __future__ import annotations

        from sqlalchemy import ForeignKey, String, Text
        from sqlalchemy.orm import Mapped, mapped_column

        from app.database.tables import Base


        class NoteRow(Base):
            """A note."""

            __tablename__ = "notes"

            id: Mapped[str] = mapped_column(String(32), primary_key=True)
            user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
            text: Mapped[str] = mapped_column(Text)
        ''',
    "queries.py": """
        from __future__ import annotations

        from typing import NamedTuple

        from app.database.statement import Executor, Query, Statement


        class NoteRecord(NamedTuple):
            id: str
            text: str


        _INSERT = Statement("insert into notes (id, user_id, text) values (:id, :user_id, :text)")
        _UPDATE = Query(
            "update notes set text = :text where id = :id and user_id = :user_id "
            "returning id, text",
            NoteRecord,
        )
        _GET = Query("select id, text from notes where id = :id and user_id = :user_id", NoteRecord)
        _DELETE_OF_USER = Statement(
            "delete from notes where id in "
            "(select id from notes where user_id = :user_id limit :limit)"
        )


        async def insert(on: Executor, note_id: str, *, user_id: str, text: str) -> None:
            await _INSERT.execute(on, id=note_id, user_id=user_id, text=text)


        async def update(
            on: Executor, note_id: str, *, user_id: str, text: str
        ) -> NoteRecord | None:
            return await _UPDATE.one(on, id=note_id, user_id=user_id, text=text)


        async def get(on: Executor, note_id: str, *, user_id: str) -> NoteRecord | None:
            return await _GET.one(on, id=note_id, user_id=user_id)


        async def delete_of_user(on: Executor, user_id: str, *, limit: int) -> int:
            return await _DELETE_OF_USER.execute(on, user_id=user_id, limit=limit)
        """,
    "errors.py": """
        from __future__ import annotations

        from app.http.problems import NotFound


        class NoteNotFound(NotFound):
            code = "note_not_found"
        """,
    "service.py": """
        from __future__ import annotations

        from app.database.engine import Database
        from app.runtime.ids import new_id
        from notes import queries
        from notes.errors import NoteNotFound


        class NoteService:
            def __init__(self, db: Database) -> None:
                self._db = db

            async def create(self, user_id: str, text: str) -> queries.NoteRecord:
                note = queries.NoteRecord(new_id(), text)
                await queries.insert(self._db.pool, note.id, user_id=user_id, text=text)
                return note

            async def update(self, user_id: str, note_id: str, text: str) -> queries.NoteRecord:
                note = await queries.update(self._db.pool, note_id, user_id=user_id, text=text)
                if note is None:
                    raise NoteNotFound
                return note

            async def get(self, user_id: str, note_id: str) -> queries.NoteRecord:
                note = await queries.get(self._db.pool, note_id, user_id=user_id)
                if note is None:
                    raise NoteNotFound
                return note
        """,
    "routes.py": """
        from __future__ import annotations

        from typing import Annotated

        from fastapi import APIRouter
        from pydantic import BaseModel

        from app.http.auth import PrincipalDep
        from app.http.dependencies import Injected
        from app.http.routing import SecuredRoute
        from notes.service import NoteService

        router = APIRouter(prefix="/v1/notes", route_class=SecuredRoute, tags=["notes"])
        Notes = Annotated[NoteService, Injected(NoteService)]


        class NoteBody(BaseModel):
            text: str


        class Note(BaseModel):
            id: str
            text: str


        @router.post("", status_code=201)
        async def create_note(notes: Notes, principal: PrincipalDep, body: NoteBody) -> Note:
            note = await notes.create(principal.user_id, body.text)
            return Note(id=note.id, text=note.text)


        @router.put("/{note_id}")
        async def replace_note(
            note_id: str, notes: Notes, principal: PrincipalDep, body: NoteBody
        ) -> Note:
            note = await notes.update(principal.user_id, note_id, body.text)
            return Note(id=note.id, text=note.text)
        """,
    "domain.py": """
        from __future__ import annotations

        from app.database.engine import Database
        from app.domain import Domain, UserData
        from app.http.auth import USER, Principal
        from app.runtime.services import Services
        from notes import queries, routes
        from notes.models import NoteRow
        from notes.service import NoteService


        def _build(services: Services) -> list[object]:
            return [NoteService(services.get(Database))]


        async def _find(services: Services, principal: Principal, note_id: str) -> object:
            return await services.get(NoteService).get(principal.user_id, note_id)


        async def _delete(services: Services, user_id: str, *, limit: int) -> int:
            return await queries.delete_of_user(
                services.get(Database).pool, user_id, limit=limit
            )


        DOMAIN = Domain(
            name="notes",
            routers=(routes.router,),
            access={"POST /v1/notes": USER, "PUT /v1/notes/{note_id}": USER},
            tables=(NoteRow,),
            build=_build,
            path_lookups={"note_id": _find},
            user_data=(
                UserData(label="notes of deleted users", tables=(NoteRow,), delete=_delete),
            ),
        )
        """,
}


def write_package(folder: Path) -> None:
    """Write the package `notes` to a folder."""
    package = folder / "notes"
    package.mkdir()
    for name, text in FILES.items():
        (package / name).write_text(dedent(text).lstrip() + "\n")
