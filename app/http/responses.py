"""JSON responses without FastAPI's serialization, which costs more than most queries."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from pydantic import BaseModel
from starlette.responses import Response

JSON = "application/json"


def json_response(
    body: object, *, status_code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON response with a wire model or any value that orjson encodes.

    Times in UTC end in `Z`.
    """
    if isinstance(body, BaseModel):
        content: str | bytes = body.model_dump_json(by_alias=True)
    else:
        content = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    return Response(content, status_code=status_code, headers=headers, media_type=JSON)
