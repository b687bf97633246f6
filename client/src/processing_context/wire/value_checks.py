"""Validators of property values by the descriptions of node types.

They convert values as a runner does, by pydantic, and refuse only what a runner would refuse.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import partial
from typing import Any

from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator, core_schema

from processing_context.wire.graph_problems import shown
from processing_context.wire.nodes import NodeProperty
from processing_context.wire.refs import REF_TYPES, AssetRef, is_empty_ref
from processing_context.wire.type_expressions import UNION, TypeExpression, parse

_MAX_LISTED = 20


def values_validator(properties: Collection[NodeProperty]) -> SchemaValidator:
    """Return a validator of `{property: value}`; null and unknown properties are accepted."""
    fields = {
        each.name: core_schema.typed_dict_field(
            core_schema.nullable_schema(_schema(parse(each.type), each)), required=False
        )
        for each in properties
    }
    return SchemaValidator(core_schema.typed_dict_schema(fields, extra_behavior="ignore"))


def _schema(kind: TypeExpression, described: NodeProperty) -> CoreSchema:
    if kind.name == UNION:
        return _union(kind, described)
    limits = {"ge": described.minimum, "le": described.maximum}
    simple = _simple(kind, limits)
    if simple is not None:
        return simple
    if kind.name == "enum" and described.values is not None:
        return core_schema.no_info_plain_validator_function(
            partial(_one_of, tuple(described.values))
        )
    if kind.name in REF_TYPES:
        return core_schema.no_info_plain_validator_function(partial(_ref, kind.name))
    return core_schema.any_schema()


def _simple(kind: TypeExpression, limits: dict[str, Any]) -> CoreSchema | None:
    match kind.name:
        case "int":
            return core_schema.int_schema(**_whole(limits))
        case "float":
            return core_schema.float_schema(**limits)
        case "str":
            return core_schema.str_schema()
        case "bool":
            return core_schema.bool_schema()
        case "dict":
            return core_schema.dict_schema()
        case "list":
            element = _element(kind)
            return core_schema.list_schema(element, fail_fast=True)
        case "tuple" | "set":
            return core_schema.list_schema()
    return None


def _whole(limits: dict[str, Any]) -> dict[str, Any]:
    """Return limits for integers, which cannot be fractions or infinite."""
    rounded = {"ge": math.ceil, "le": math.floor}
    return {
        name: rounded[name](limit)
        for name, limit in limits.items()
        if limit is not None and math.isfinite(limit)
    }


def _element(kind: TypeExpression) -> CoreSchema | None:
    """Return the schema of the elements of a list; the limits of a property are not theirs."""
    if len(kind.args) != 1:
        return None
    return core_schema.nullable_schema(_schema(kind.args[0], NodeProperty(name="element")))


def _union(kind: TypeExpression, described: NodeProperty) -> CoreSchema:
    members = [member for member in kind.members if member.name != "none"]
    if len(members) < 2:
        return _schema(members[0], described) if members else core_schema.any_schema()
    choices: list[CoreSchema | tuple[CoreSchema, str]] = []
    choices.extend(_schema(member, described) for member in members)
    wanted = " or ".join(member.name for member in members)
    if described.minimum is not None or described.maximum is not None:
        wanted += " within the limits"
    return core_schema.union_schema(
        choices, custom_error_type="union", custom_error_message=f"Input should be {wanted}"
    )


def _one_of(values: tuple[Any, ...], value: Any) -> Any:
    if value in values:
        return value
    listed = ", ".join(shown(each) for each in values[:_MAX_LISTED])
    more = f" and {len(values) - _MAX_LISTED} more" if len(values) > _MAX_LISTED else ""
    msg = f"Input should be one of {listed}{more}"
    raise PydanticCustomError("enum", "{message}", {"message": msg})


def _ref(kind: str, value: Any) -> Any:
    if not isinstance(value, dict):
        raise PydanticCustomError("ref", "Input should be a reference to a file")
    given = value.get("type")
    if is_empty_ref(value) or kind == AssetRef.ref_type:
        return value
    if given is not None and given not in (kind, AssetRef.ref_type):
        raise PydanticCustomError(
            "ref", "{message}", {"message": f"Input should be a reference of the type {kind!r}"}
        )
    return value
