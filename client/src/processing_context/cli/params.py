"""Parsing of params and workflow files for the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from processing_context.wire import media_types
from processing_context.wire.graph import Graph, is_input_type

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

_REF_OF_INPUT = {"input.ImageInput": "image"}
_TEXT_INPUT = "input.TextInput"


def read_graph(path: Path) -> Graph:
    """Return the graph of a workflow file: the graph itself, or a workflow that contains one.

    Raises:
        ValueError: The file contains neither.
    """
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if isinstance(document, dict) and isinstance(document.get("graph"), dict):
        document = document["graph"]
    try:
        return Graph.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'graph'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise ValueError(f"{path} is not a workflow: {problems}") from error


async def read_params(
    context: ProcessingContext, graph: Graph, given: Sequence[str]
) -> dict[str, Any]:
    """Return the params of `name=value` texts; files of `@file` values are uploaded.

    Raises:
        ValueError: A text has no `=`, or no node has the name. Nothing is uploaded then.
        OSError: A file cannot be read.
    """
    types = {node.data.get("name"): node.type for node in graph.nodes}
    for text in given:
        _check_name(text, types)
    params = {}
    for text in given:
        name, _, value = text.partition("=")
        params[name] = await _value(context, value, types.get(name))
    return params


def _check_name(text: str, types: Mapping[Any, str]) -> None:
    name, equals, _ = text.partition("=")
    if not (name and equals):
        raise ValueError(f"-p expects NAME=VALUE, not {text!r}")
    if name not in types:
        inputs = [str(each) for each, kind in types.items() if each and is_input_type(kind)]
        raise ValueError(f"no input node is named {name}; the inputs are: {', '.join(inputs)}")


async def _value(context: ProcessingContext, text: str, input_type: str | None) -> Any:
    if text.startswith("@@"):
        return text[1:]
    if text.startswith("@"):
        path = Path(text[1:])
        if input_type == _TEXT_INPUT:
            return await asyncio.to_thread(path.read_text, encoding="utf-8")
        return await _uploaded(context, path, input_type)
    if input_type == _TEXT_INPUT:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


async def _uploaded(
    context: ProcessingContext, path: Path, input_type: str | None
) -> dict[str, Any]:
    content_type = media_types.guess(path.name)
    asset = await context.create_asset(path.name, content_type, path)
    kind = media_types.kind_of(content_type)
    kind = kind if kind in ("image", "audio", "video", "text") else "document"
    return {"type": _REF_OF_INPUT.get(input_type or "", kind), "uri": "", "asset_id": asset.id}
