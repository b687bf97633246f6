"""The application: what it is made of, and how it starts and ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

from app import access
from app.assets import batch_routes, import_export_routes, thumbnail_routes, upload_routes
from app.assets import routes as assets
from app.assets.checksums import check_due
from app.assets.media_metadata import Facts
from app.cleanup.sweeper import Sweeper
from app.database.engine import Database
from app.database.notifications import Wakeups
from app.events import partitions
from app.events.broadcaster import Hub
from app.http import idempotency, openapi, problems
from app.http.auth import Authenticator, check_table
from app.http.middleware import RequestContext
from app.http.routing import Dispatch
from app.jobs import event_routes
from app.jobs import routes as jobs
from app.jobs.log_position import JobHeads
from app.jobs.service import Jobs
from app.media.decoders.pool import Decoders
from app.operations import routes as operations
from app.outbound import Allowed, Fetcher, Poster
from app.path_lookups import finders
from app.queue import lease_queries, lease_tokens, routes
from app.queue.claim import Claims
from app.queue.enqueue import Makings
from app.queue.leases import Leases
from app.queue.reaper import INTERVAL_S as REAP_S
from app.queue.reaper import Reaper
from app.queue.transitions import Ledgers
from app.queue.waiting_claims import Bell
from app.runtime.encryption import Seal
from app.runtime.periodic_tasks import Background
from app.runtime.shutdown import Shutdown
from app.settings import Settings
from app.sockets import queries as ticket_queries
from app.sockets import routes as sockets
from app.sockets.registry import RECHECK_S, Sockets
from app.storage import Storage
from app.storage.journal import work_off
from app.temp import routes as temp
from app.users import routes as users
from app.users import service as user_service
from app.webhooks import routes as webhooks
from app.webhooks.delivery import Sender
from app.webhooks.dispatcher import Dispatcher
from app.webhooks.service import Webhooks
from app.workers import routes as workers
from app.workers.service import Workers
from app.workflows import routes as workflows

FIRST_SWEEP_S = 600

ROUTERS = (
    routes.router,
    assets.router,
    batch_routes.router,
    upload_routes.router,
    thumbnail_routes.router,
    import_export_routes.router,
    event_routes.router,
    jobs.router,
    webhooks.router,
    workers.router,
    temp.router,
    workflows.router,
    users.router,
    sockets.router,
    operations.router,
)
"""A request tries them in this order: the busiest come first."""


class _Application(FastAPI):
    """FastAPI with our layers around all of its own: a request that the table knows needs none."""

    def build_middleware_stack(self) -> ASGIApp:
        """Return what serves a request."""
        app: ASGIApp = Dispatch(super().build_middleware_stack(), self.state.routes)
        origins = self.state.settings.allowed_origins
        if origins:
            app = CORSMiddleware(
                app,
                allow_origins=origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=["*"],
            )
        return RequestContext(app)


def create_app(settings: Settings) -> FastAPI:
    """Return the application; it connects to PostgreSQL and S3 when it starts.

    The settings name both: where they come from the embedded stack, that has been started before.
    """
    if settings.database_url is None:
        raise ValueError("no database: start the embedded one, or set CONTEXT_DATABASE_URL")
    app = _Application(
        title="Processing Context",
        version=version("processing-context-service"),
        lifespan=_lifespan,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.openapi = partial(openapi.document, app)  # type: ignore[method-assign]
    for router in ROUTERS:
        app.include_router(router)
    routes = [r for router in ROUTERS for r in router.routes if isinstance(r, APIRoute)]
    check_table(access.ROUTES, routes)
    problems.install(app)
    app.state.routes = routes
    _assemble(app.state, settings, Database(settings.database_url, settings.database_pool_size))
    return app


def _assemble(state: Any, settings: Settings, db: Database) -> None:
    """Make the parts of the application; nothing connects yet."""
    state.settings = settings
    state.access = access.ROUTES
    state.db = db
    state.storage = Storage(settings)
    state.fetcher = Fetcher(
        Allowed.parse(settings.fetch_allow), max_bytes=settings.max_upload_bytes
    )
    state.decoders = Decoders(
        processes=settings.decoder_processes,
        memory_bytes=settings.decoder_memory_bytes,
        timeout_s=settings.decoder_timeout_s,
    )
    state.facts = Facts(db, state.storage, state.decoders, max_pixels=settings.max_pixels)
    state.shutdown = Shutdown()
    state.wakeups = Wakeups(db)
    state.authenticator = Authenticator(
        users=partial(user_service.look_up, db, settings.user_quota_bytes),
        jobs=partial(lease_tokens.look_up, db, settings.user_quota_bytes),
    )
    state.hub = Hub(db, state.wakeups, JobHeads(db))
    state.workers = Workers(db, lease_ttl_s=settings.lease_ttl_s)
    state.bell = Bell(state.wakeups)
    _assemble_webhooks(state, settings, db)
    state.ledgers = Ledgers(db, state.hub, state.bell, state.dispatcher)
    makings = Makings(
        db, state.ledgers, state.bell, settings, lost_after_s=state.workers.lost_after_s
    )
    state.jobs = Jobs(
        db, state.hub, state.ledgers, makings, state.workers, state.webhooks, settings
    )
    state.leases = Leases(db, state.ledgers, state.workers, settings)
    state.claims = Claims(db, state.ledgers, state.bell, state.workers, state.shutdown, settings)
    state.sweeper = Sweeper(db, state.storage, settings)
    state.sockets = Sockets(
        users=partial(user_service.valid_token_ids, db),
        jobs=partial(lease_tokens.valid_token_ids, db),
    )
    state.finders = finders(state)
    state.wakeups.on(users.TOKEN_TOPIC, partial(users.forget_token, state))
    state.wakeups.on(users.USER_TOPIC, partial(users.forget_user, state))


def _assemble_webhooks(state: Any, settings: Settings, db: Database) -> None:
    if settings.secret_key is None:
        raise ValueError("no secret key: start the embedded stack, or set CONTEXT_SECRET_KEY")
    seal = Seal(settings.secret_key.get_secret_value(), purpose="webhook secrets")
    poster = Poster(Allowed.parse(settings.fetch_allow), timeout_s=settings.webhook_timeout_s)
    state.dispatcher = Dispatcher(db, Sender(poster, seal), settings)
    state.webhooks = Webhooks(db, poster, seal, state.dispatcher)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = app.state
    db: Database = state.db
    background = Background()
    await db.open()
    try:
        await state.storage.start()
        await partitions.make_partitions(db)
        await state.wakeups.start()
        reaper = Reaper(state.ledgers, cancel_grace_s=state.settings.cancel_grace_s)
        background.every(REAP_S, reaper.run)
        background.every(0.1, state.hub.poll)
        background.every(1, partial(state.bell.look, db))
        background.every(RECHECK_S, state.sockets.recheck)
        background.every(60, partial(idempotency.purge, db))
        background.every(60, partial(work_off, db, state.storage))
        background.every(1, partial(check_due, db, state.storage))
        background.every(1, state.facts.work_off)
        background.every(0, state.dispatcher.turn)
        background.every(1, state.workers.write_down_seen)
        background.every(60, state.workers.forget_lost)
        background.every(3600, partial(partitions.make_partitions, db))
        background.every(3600, partial(lease_queries.purge, db.pool))
        background.every(60, partial(ticket_queries.purge, db.pool))
        background.every(
            state.settings.sweep_interval_s,
            state.sweeper.run,
            # Not with every start: it reads a list of all objects.
            first_s=min(FIRST_SWEEP_S, state.settings.sweep_interval_s),
        )
        yield
    finally:
        state.shutdown.begin()
        await background.stop()
        await state.dispatcher.close()
        await state.decoders.close()
        await state.hub.close()
        await state.wakeups.stop()
        await db.close()
