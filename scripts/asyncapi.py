"""`python -m scripts.asyncapi`: print openapi/asyncapi.yaml, generated from the wire models.

The models describe the messages. This module adds their senders, the replies to each op, and the
opening and closing of a WebSocket.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from processing_context.wire import events, sockets
from processing_context.wire.envelope import OPTIONAL, TYPE, Envelope

OPS: dict[type[BaseModel], tuple[type[BaseModel], ...]] = {
    sockets.Subscribe: (sockets.Subscribed, sockets.ProblemFrame),
    sockets.Unsubscribe: (sockets.OpReply, sockets.ProblemFrame),
    sockets.Run: (sockets.OpReply, sockets.ProblemFrame),
    sockets.Cancel: (sockets.OpReply, sockets.ProblemFrame),
    sockets.Ping: (sockets.Pong,),
}
"""Ops that a client sends, and their replies."""
EVENTS: tuple[type[BaseModel], ...] = get_args(events.ProcessingMessage)
CONTROL = (sockets.Snapshot, sockets.CaughtUp, sockets.Gap, sockets.ProblemFrame)
"""Frames about a subscription, which the service sends between events."""
DESCRIPTION = """\
One WebSocket has many subscriptions. Messages are JSON objects in text frames.

Send the token in the `Authorization` header, as the second of the subprotocols
`context.v1, context.bearer.<token>`, or as the query parameter `ticket` with a ticket from
`POST /v1/ws/tickets` (valid once, for 30 s). The `Origin` of a browser must be allowed.

Each op may have an `id`, which its reply repeats. A client that reconnects and subscribes with
`after`, the last `seq` that it has received, receives every later event once. For a slow reader,
progress events of a node are merged (`from_seq` to `seq`); when more than 8 MiB are waiting to be
sent, the connection is closed.

Close codes: 4400 malformed op, 4401 missing or invalid token, 4403 scope or origin not allowed,
4408 reader too slow, 1012 service restart, 1013 try again later.
"""


def document() -> dict[str, Any]:
    """Return the document."""
    models: list[type[BaseModel]] = [
        *OPS,
        *EVENTS,
        *CONTROL,
        *(answer for answers in OPS.values() for answer in answers),
    ]
    unique = list(dict.fromkeys(models))
    _, found = models_json_schema(
        [(model, "validation") for model in unique], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Any] = _without_titles(found["$defs"])
    for model in EVENTS:
        _add_envelope(schemas[model.__name__])
    reached = _reached(schemas, [op.__name__ for op in OPS])
    for name in schemas.keys() - reached:
        if schemas[name].get("additionalProperties") is False:
            del schemas[name]["additionalProperties"]  # a newer service may add fields
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Processing Context: WebSocket",
            "version": version("processing-context-service"),
            "description": LiteralScalarString(DESCRIPTION),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:8000",
                "protocol": "ws",
                "security": [
                    {"$ref": "#/components/securitySchemes/bearer"},
                    {"$ref": "#/components/securitySchemes/ticket"},
                ],
            }
        },
        "channels": {
            "socket": {
                "address": "/v1/ws",
                "messages": {_name(model): _message_ref(model) for model in unique},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": _operations(),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "ticket": {"type": "httpApiKey", "in": "query", "name": "ticket"},
            },
            "messages": {_name(model): _message(model, schemas) for model in unique},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _operations() -> dict[str, Any]:
    channel = {"$ref": "#/channels/socket"}
    ops = {
        _name(op): {
            "action": "receive",
            "channel": channel,
            "messages": [_channel_ref(op)],
            "reply": {"channel": channel, "messages": [_channel_ref(answer) for answer in answers]},
        }
        for op, answers in OPS.items()
    }
    return {
        **ops,
        "events": {
            "action": "send",
            "summary": "Events of the subscribed jobs, those of each job ordered by `seq`.",
            "channel": channel,
            "messages": [_channel_ref(event) for event in EVENTS],
        },
        "control": {
            "action": "send",
            "summary": "Status of a subscription.",
            "channel": channel,
            "messages": [_channel_ref(frame) for frame in CONTROL],
        },
    }


def _name(model: type[BaseModel]) -> str:
    """Return the value of `op` or `type` that identifies a message."""
    field = model.model_fields["op" if "op" in model.model_fields else "type"]
    values: tuple[str] = field.annotation.__args__  # type: ignore[union-attr]
    return values[0]


def _message(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": _name(model),
        "title": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model.__name__),
        "summary": schemas[model.__name__]["description"].split("\n\n")[0],
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
    }


def _message_ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{_name(model)}"}


def _channel_ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/channels/socket/messages/{_name(model)}"}


def _add_envelope(schema: dict[str, Any]) -> None:
    """Add the fields of the envelope to the schema of an event; only the service sends them."""
    fields = {
        name: _sent(field) for name, field in Envelope.model_json_schema()["properties"].items()
    }
    required = [name for name in fields if name not in OPTIONAL]
    schema["properties"] |= fields
    schema["required"] = [TYPE, *required, *schema.get("required", ())]


def _sent(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an envelope field in an event that is sent, where it is never null."""
    found: dict[str, Any] = next(part for part in field["anyOf"] if part["type"] != "null")
    sent = {"type": found["type"], **found}
    return sent | {"minimum": 1} if sent["type"] == "integer" else sent


def _without_titles(value: Any) -> Any:
    """Return a schema without pydantic's generated titles, and with YAML blocks for long texts."""
    if isinstance(value, dict):
        return {
            key: _without_titles(item)
            for key, item in value.items()
            if key != "title" or not isinstance(item, str)
        }
    if isinstance(value, list):
        return [_without_titles(item) for item in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value


def _reached(schemas: dict[str, Any], names: list[str]) -> set[str]:
    """Return the names of schemas and of all schemas that they refer to."""
    reached: set[str] = set()
    while names:
        name = names.pop()
        if name not in reached:
            reached.add(name)
            names += re.findall(r"'#/components/schemas/(\w+)'", repr(schemas[name]))
    return reached


if __name__ == "__main__":
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 110
    yaml.representer.ignore_aliases = lambda _: True
    yaml.dump(document(), sys.stdout)
