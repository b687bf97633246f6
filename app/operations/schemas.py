"""Responses of health checks."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Health(BaseModel):
    """The process is running."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The dependencies of the service are available."""

    status: Literal["ok"] = "ok"
    database: Literal["ok"] = "ok"
    database_schema: Literal["ok"] = "ok"
    storage: Literal["ok"] = "ok"
