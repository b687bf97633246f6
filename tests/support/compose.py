"""docker-compose.yml as Docker Compose reads it: variables replaced, profiles applied."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from ruamel.yaml import YAML

from tests.support.processes import ROOT

_ESCAPED = "\0"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^${}]*))?\}")


def project(variables: Mapping[str, str] | None = None, *profiles: str) -> dict[str, Any]:
    """Return the services that start with these variables of `.env` and profiles."""
    text = (ROOT / "docker-compose.yml").read_text()
    document = _replaced(YAML(typ="safe").load(text), variables or {})
    services: dict[str, Any] = document["services"]
    document["services"] = {
        name: service
        for name, service in services.items()
        if not service.get("profiles") or set(service["profiles"]) & set(profiles)
    }
    found: dict[str, Any] = document
    return found


def environment(service: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a container: those of `.env` if it reads it, then its own."""
    reads = any(file["path"] == ".env" for file in service.get("env_file", ()))
    return {**(variables if reads else {}), **service.get("environment", {})}


def volumes_of(service: Mapping[str, Any]) -> Collection[tuple[str, str]]:
    """Return the source and the target of each volume."""
    found = []
    for volume in service.get("volumes", ()):
        if isinstance(volume, str):
            source, _, target = volume.partition(":")
            found.append((source, target))
        else:
            found.append((volume["source"], volume["target"]))
    return found


def _replaced(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, variables) for each in value]
    return _interpolated(value, variables) if isinstance(value, str) else value


def _interpolated(text: str, variables: Mapping[str, str]) -> str:
    text = text.replace("$$", _ESCAPED)
    values: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        # A value is not interpolated again.
        values.append(variables.get(match["name"]) or _restored(match["default"] or "", values))
        return f"\1{len(values) - 1}\2"

    while _VARIABLE.search(text):
        text = _VARIABLE.sub(replaced, text)
    assert "$" not in text, f"unknown syntax: {text}"
    return _restored(text, values).replace(_ESCAPED, "$")


def _restored(text: str, values: list[str]) -> str:
    return re.sub("\1(\\d+)\2", lambda match: values[int(match[1])], text)
