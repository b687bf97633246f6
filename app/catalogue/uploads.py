"""Parsing and verification of the node descriptions that a worker sends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import orjson
from pydantic import TypeAdapter

from app.catalogue.errors import CatalogueMismatch, DescriptionTooLarge
from app.catalogue.queries import NodeTypeRecord
from app.http.json_parser import parse_json
from app.http.problems import validation_problem
from app.http.request_body import validated
from processing_context.wire.nodes import NodeDescription, WorkerCatalogue

_MODEL = TypeAdapter(WorkerCatalogue)

MAX_DESCRIPTION_BYTES = 256 * 1024


def read_catalogue(body: bytes, *, worker_id: str, sha256: str) -> list[NodeTypeRecord]:
    """Return the node types of an uploaded catalogue.

    Raises:
        Invalid: It is not valid JSON, or has another hash.
        RequestValidationError: It does not fit the model.
    """
    try:
        value = parse_json(body)
    except orjson.JSONDecodeError as error:
        raise validation_problem(
            [{"loc": ("body",), "msg": f"not valid JSON: {error}", "type": "json_invalid"}]
        ) from None
    catalogue: WorkerCatalogue = validated(_MODEL, value, extra="forbid")
    if sha256 not in _hashes(body, value["nodes"]):
        raise CatalogueMismatch(worker_id, sha256)
    return [_record(node) for node in catalogue.nodes]


def _hashes(body: bytes, nodes: Any) -> Iterator[str]:
    """Yield the hashes that a worker may register: of the body, and of the canonical `nodes`."""
    yield hashlib.sha256(body).hexdigest()
    for ascii_only in (True, False):
        text = json.dumps(
            nodes, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only
        ).encode()
        yield hashlib.sha256(text).hexdigest()


def _record(node: NodeDescription) -> NodeTypeRecord:
    body = node.model_dump_json(exclude={"versions"})
    encoded = body.encode()
    if len(encoded) > MAX_DESCRIPTION_BYTES:
        raise DescriptionTooLarge(node.type, len(encoded), MAX_DESCRIPTION_BYTES)
    return NodeTypeRecord(
        type=node.type,
        digest=hashlib.sha256(encoded).digest(),
        words=f"{node.type}\n{node.title}\n{node.description}",
        body=body,
    )
