"""The OpenAPI document: what FastAPI derives, plus who may use each route and how errors look."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.access import ROUTES
from app.http.problems import MEDIA_TYPE
from app.webhooks.routes import messages
from processing_context.wire.assets import AssetBatch
from processing_context.wire.errors import Problem

DESCRIPTION = """\
Assets, jobs, events and temporary files for node workflows.

Send `Authorization: Bearer <token>`. Errors are `application/problem+json` (RFC 9457) with a stable
`code`. Lists are paged by cursor. A POST that creates takes an `Idempotency-Key`.
"""


def document(app: FastAPI) -> dict[str, Any]:
    """Return the document, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title="Processing Context",
            version=app.version,
            description=DESCRIPTION,
            routes=app.routes,
            webhooks=messages.routes,
        )
        components = schema.setdefault("components", {})
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        schemas = components.setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        batch = AssetBatch.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= batch.pop("$defs") | {"AssetBatch": batch}
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                _complete(path, method.upper(), operation)
        for operations in schema["webhooks"].values():
            operations["post"]["responses"].pop("422")
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = schema
    return app.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    access = ROUTES[method, path]
    if not access.public:
        operation["security"] = [{"bearer": []}]
        holders = [f"scope `{access.scope}`"] if access.scope not in (None, "*") else []
        holders += [f"scope `{access.or_scope}`"] if access.or_scope else []
        holders += ["any token"] if access.scope == "*" else []
        holders += ["a job's token"] if access.job and access.scope != "*" else []
        operation["x-access"] = " or ".join(holders)
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "A problem",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
