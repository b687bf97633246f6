"""Assembly of the FastAPI application from the domains, and its start and stop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import Lifespan

from app import registration
from app.database.engine import Database
from app.database.notifications import Notifications
from app.domain import Domain, Domains
from app.domains import DOMAINS
from app.http import documentation, problems
from app.http.auth import Authenticator, Revocations
from app.http.dependencies import check_services
from app.http.json_threads import JsonThreads
from app.http.middleware import RequestContext
from app.http.openapi import Document
from app.http.rate_limits import RateLimiter
from app.http.routing import PathLookups, RouteTable
from app.media.decoders.pool import Decoders
from app.outbound import Allowed, Downloader, WebhookClient
from app.queue.lease_tokens import LeaseTokens
from app.runtime import metrics
from app.runtime.periodic_tasks import PeriodicTasks
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown
from app.settings import Settings
from app.storage import Storage
from app.users.service import UserTokens
from processing_context.wire.graph import GraphLimits


def create_app(settings: Settings, domains: Sequence[Domain] = DOMAINS) -> FastAPI:
    """Return the application; it connects to PostgreSQL and S3 when it starts.

    Args:
        settings: The settings; the URLs of the database and the storage must be set.
        domains: The domains, each after the domains that it uses.

    Raises:
        IncompleteDomain: A domain lacks a part of its registration.
    """
    routes = registration.secured_routes(domains)
    registration.check_tables(domains)
    services = _build(settings, domains)
    registration.check_path_lookups(routes, services.get(PathLookups))
    check_services(routes, services)
    app = FastAPI(
        title="Processing Context",
        version=version("processing-context-service"),
        lifespan=_lifespan(services, domains),
        openapi_url=None,  # app/http/documentation serves it, and the pages
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    app.router.routes.append(RouteTable(routes))
    for domain in domains:
        for router in domain.routers:
            app.include_router(router)
    app.openapi = Document(  # type: ignore[method-assign]
        app,
        routes,
        webhooks=[route for domain in domains for each in domain.webhooks for route in each.routes],
        models=[model for domain in domains for model in domain.schemas],
    )
    documentation.install(app)
    problems.install(app)
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Add the middleware; the last one added is the outermost."""
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    app.add_middleware(RequestContext)


def _build(settings: Settings, domains: Sequence[Domain]) -> Services:
    """Return the services of the application, not yet connected."""
    services = _infrastructure(settings, domains)
    for domain in domains:
        for service in domain.build(services):
            services.add(service)
    services.add(registration.path_lookups(domains, services))
    services.add(
        Authenticator(
            users=services.get(UserTokens),
            leases=services.get(LeaseTokens),
            revocations=services.get(Revocations),
            rates=services.get(RateLimiter),
        )
    )
    return services


def _infrastructure(settings: Settings, domains: Sequence[Domain]) -> Services:
    """Return the services that do not depend on a domain."""
    if settings.database_url is None:
        raise ValueError(
            "no database is configured: start the embedded one, or set CONTEXT_DATABASE_URL"
        )
    db = Database(
        settings.database_url, settings.database_pool_size, on_wait=metrics.POOL_WAITS.observe
    )
    notifications = Notifications(db)
    allowed = Allowed.parse(settings.fetch_allow)
    return Services(
        settings,
        Domains(domains),
        db,
        notifications,
        Revocations(notifications),
        RateLimiter(settings.rate_limit_per_s, settings.rate_limit_burst),
        Storage(settings),
        Shutdown(),
        JsonThreads(),
        GraphLimits(settings.max_graph_nodes, settings.max_graph_edges, settings.max_graph_bytes),
        Downloader(allowed, max_bytes=settings.max_upload_bytes),
        WebhookClient(allowed, timeout_s=settings.webhook_timeout_s),
        Decoders(
            processes=settings.decoder_processes,
            memory_bytes=settings.decoder_memory_bytes,
            timeout_s=settings.decoder_timeout_s,
            queue=settings.decoder_queue,
        ),
    )


def _lifespan(services: Services, domains: Sequence[Domain]) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            db = services.get(Database)
            stack.push_async_callback(db.close)
            await db.open()
            notifications = services.get(Notifications)
            stack.push_async_callback(notifications.stop)
            await notifications.start()
            stack.push_async_callback(services.get(Decoders).close)
            stack.callback(services.get(JsonThreads).close)
            for domain in domains:
                stack.push_async_callback(domain.stop, services)
                await domain.start(services)
            tasks = PeriodicTasks(db.check)
            stack.push_async_callback(tasks.stop)
            for domain in domains:
                for task in domain.tasks(services):
                    tasks.start(task)
            stack.callback(services.get(Shutdown).begin)
            yield

    return lifespan
