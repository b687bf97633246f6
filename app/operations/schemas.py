"""Responses of health checks and of the page at `/`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Literal

from pydantic import BaseModel, Field


class Health(BaseModel):
    """The process is running."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The dependencies of the service are available."""

    status: Literal["ok"] = "ok"
    database: Literal["ok"] = "ok"
    database_schema: Literal["ok"] = "ok"
    storage: Literal["ok"] = "ok"


class Links(BaseModel):
    """Paths of this server."""

    api: str = "/v1"
    websocket: str = "/v1/ws"
    documentation: str = "/docs"
    openapi: str = "/openapi.json"
    asyncapi: str = "/asyncapi.yaml"
    health: str = "/healthz"
    readiness: str = "/readyz"
    metrics: str = "/metrics"


class Home(BaseModel):
    """Name, version and paths of this server."""

    name: str = "Processing Context"
    description: str = "Assets, temporary files, workflows, jobs and their events, for workflows."
    version: str = Field(default_factory=lambda: version("processing-context-service"))
    links: Links = Links()
