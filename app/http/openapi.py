"""The OpenAPI document: FastAPI's, with access rules and problem responses added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.routing import BaseRoute

from app.http.auth import Access
from app.http.problems import MEDIA_TYPE
from app.http.routing import SecuredRoute
from processing_context.wire.errors import Problem

DESCRIPTION = """\
Assets, jobs, events and temporary files for node workflows.

Send `Authorization: Bearer <token>`. Errors are `application/problem+json` (RFC 9457) with a stable
`code`. Lists are paged by cursor. Every POST that creates an object accepts an `Idempotency-Key`.
"""


class Document:
    """The OpenAPI document of an application, generated at the first call and cached.

    Args:
        app: The application.
        routes: Its routes.
        webhooks: Routes that describe the requests which the service sends.
        models: Models that routes refer to by name, and that FastAPI therefore does not find.
    """

    def __init__(
        self,
        app: FastAPI,
        routes: Iterable[SecuredRoute],
        *,
        webhooks: Sequence[BaseRoute],
        models: Sequence[type[BaseModel]],
    ) -> None:
        self._app = app
        self._access = {
            (route.path_format, method.lower()): route.access
            for route in routes
            for method in route.methods or ()
        }
        self._webhooks = webhooks
        self._models = models

    def __call__(self) -> dict[str, Any]:
        """Return the document."""
        if self._app.openapi_schema is None:
            self._app.openapi_schema = self._generate()
        return self._app.openapi_schema

    def _generate(self) -> dict[str, Any]:
        schema = get_openapi(
            title="Processing Context",
            version=self._app.version,
            description=DESCRIPTION,
            routes=self._app.routes,
            webhooks=self._webhooks,
        )
        components = schema.setdefault("components", {})
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        schemas = components.setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        for model in self._models:
            named = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= named.pop("$defs", {}) | {model.__name__: named}
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                _complete(operation, self._access[path, method])
        for operations in schema["webhooks"].values():
            operations["post"]["responses"].pop("422")
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return schema


def _complete(operation: dict[str, Any], access: Access) -> None:
    """Add the access rule and the problem response to an operation."""
    if not access.public:
        operation["security"] = [{"bearer": []}]
        operation["x-access"] = " or ".join(_holders(access))
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "Problem details (RFC 9457).",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _holders(access: Access) -> list[str]:
    """Return descriptions of the tokens that may use a route."""
    if access.scope == "*":
        return ["any token"]
    holders = [f"scope `{scope}`" for scope in (access.scope, access.or_scope) if scope]
    return holders + (["a job's token"] if access.job else [])
