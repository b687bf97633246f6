"""Registration of users and tokens."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from app.database.engine import Database
from app.domain import Domain, Domains
from app.http.auth import ADMIN, ANY_TOKEN, USER_OR_ADMIN, Revocations
from app.runtime.cleanup import CleanupPhase, CleanupStep
from app.runtime.services import Services
from app.settings import Settings
from app.users import routes
from app.users.cleanup import UserDeletion
from app.users.models import RevokedTokenRow, TokenRow, UserRow
from app.users.service import TokenService, UserService, UserTokens


def _build(services: Services) -> list[object]:
    settings = services.get(Settings)
    db, revocations = services.get(Database), services.get(Revocations)
    end_dependents = partial(services.get(Domains).end_tokens, services)
    users = UserService(db, revocations, end_dependents)
    return [
        UserTokens(db, default_quota=settings.user_quota_bytes),
        users,
        TokenService(
            db, users, revocations, end_dependents, max_tokens=settings.max_tokens_per_user
        ),
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
    tables=(UserRow, TokenRow, RevokedTokenRow),
    build=_build,
    cleanup=_cleanup,
)
