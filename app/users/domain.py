"""Registration of users and tokens."""

from __future__ import annotations

from datetime import timedelta

from app.database.engine import Database
from app.domain import Domain
from app.http.auth import ADMIN, ANY_TOKEN, USER_OR_ADMIN, Revocations
from app.runtime.cleanup import CleanupPhase, CleanupStep
from app.runtime.services import Services
from app.settings import Settings
from app.users import routes
from app.users.cleanup import UserDeletion
from app.users.models import TokenRow, UserRow
from app.users.service import TokenService, UserService, UserTokens


def _build(services: Services) -> list[object]:
    settings = services.get(Settings)
    db, revocations = services.get(Database), services.get(Revocations)
    users = UserService(db, revocations)
    return [
        UserTokens(db, default_quota=settings.user_quota_bytes),
        users,
        TokenService(db, users, revocations, max_tokens=settings.max_tokens_per_user),
    ]


def _cleanup(services: Services) -> list[CleanupStep]:
    grace = timedelta(seconds=services.get(Settings).sweep_grace_s)
    return [CleanupStep(CleanupPhase.RECORDS, UserDeletion(services, grace=grace).clean_up)]


DOMAIN = Domain(
    name="users",
    routers=(routes.router,),
    access={
        "POST /v1/users": ADMIN,
        "GET /v1/users": ADMIN,
        "DELETE /v1/users/{user_id}": ADMIN,
        "GET /v1/me": ANY_TOKEN,
        "POST /v1/tokens": USER_OR_ADMIN,
        "GET /v1/tokens": USER_OR_ADMIN,
        "DELETE /v1/tokens/{token_id}": USER_OR_ADMIN,
    },
    tables=(UserRow, TokenRow),
    build=_build,
    cleanup=_cleanup,
)
