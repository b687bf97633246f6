"""Validation of WebSocket messages against openapi/asyncapi.yaml."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from ruamel.yaml import YAML

from tests.support.processes import ROOT


@cache
def document() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    document: dict[str, Any] = YAML(typ="safe").load(ROOT / "openapi" / "asyncapi.yaml")
    return document


@cache
def _validator(name: str) -> Draft7Validator:
    """Return the validator of a message; undocumented fields are errors."""
    components = document()["components"]
    schemas = {
        key: {"additionalProperties": False, **schema} if "properties" in schema else schema
        for key, schema in components["schemas"].items()
    }
    payload = components["messages"][name]["payload"]
    return Draft7Validator({**payload, "components": {"schemas": schemas}})


def wrong_with(message: dict[str, Any]) -> list[str]:
    """Return the validation errors of a message from either side."""
    name = message.get("op") or message.get("type")
    if name not in document()["components"]["messages"]:
        return [f"there is no message {name}"]
    return [
        f"{error.json_path}: {error.message}" for error in _validator(name).iter_errors(message)
    ]


def hold(message: dict[str, Any]) -> dict[str, Any]:
    """Check that a message is valid; return it."""
    wrong = wrong_with(message)
    assert not wrong, f"not as openapi/asyncapi.yaml says: {wrong}: {message}"
    return message
