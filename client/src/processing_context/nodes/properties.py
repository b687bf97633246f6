"""Metadata of properties and outputs of nodes for editors: types, defaults, limits."""

from __future__ import annotations

import enum
import types
from datetime import date, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from processing_context.wire.refs import AssetRef

_SCALARS: dict[Any, str] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    bytes: "bytes",
    dict: "dict",
    list: "list",
    tuple: "tuple",
    set: "set",
    datetime: "datetime",
    date: "date",
    None: "none",
    types.NoneType: "none",
    Any: "any",
    object: "any",
}
_CONTAINERS: dict[Any, str] = {list: "list", dict: "dict", tuple: "tuple", set: "set"}


class TypeMetadata(BaseModel):
    """Type of a property or output.

    `type` is `str`, `int`, `float`, `bool`, `list`, `dict`, `enum` (with `values`), `union`, `any`,
    or the `type` of a ref such as `image`. `type_args` are the element types of a container or the
    members of a union.
    """

    type: str
    optional: bool = False
    values: list[str | int] | None = None
    type_args: list[TypeMetadata] = []

    @classmethod
    def of(cls, annotation: Any) -> TypeMetadata:
        """Return the type for a Python annotation."""
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return cls.of(args[0])
        if origin is Literal:
            return cls(type="enum", values=list(args))
        if origin in (Union, types.UnionType):
            return cls._of_union(args)
        if origin in _CONTAINERS:
            elements = [cls.of(arg) for arg in args if arg is not Ellipsis]
            return cls(type=_CONTAINERS[origin], type_args=elements)
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return cls(type="enum", values=[member.value for member in annotation])
        if isinstance(annotation, type) and issubclass(annotation, AssetRef):
            return cls(type=annotation.model_fields["type"].default)
        return cls(type=_SCALARS.get(annotation) or getattr(annotation, "__name__", "any"))

    def __str__(self) -> str:
        """Return the type as an expression, such as `list[image] | none`."""
        if self.type == "union":
            text = " | ".join(map(str, self.type_args))
        elif self.type_args:
            text = f"{self.type}[{', '.join(map(str, self.type_args))}]"
        else:
            text = self.type
        return f"{text} | none" if self.optional else text

    @classmethod
    def _of_union(cls, members: tuple[Any, ...]) -> TypeMetadata:
        present = [member for member in members if member is not types.NoneType]
        if len(present) == 1:
            inner = cls.of(present[0])
        else:
            inner = cls(type="union", type_args=[cls.of(member) for member in present])
        return inner.model_copy(update={"optional": len(present) < len(members)})


class Property(BaseModel):
    """Property of a node for editors. `min` and `max` are the limits of the field."""

    name: str
    type: TypeMetadata
    default: Any = None
    required: bool = False
    title: str | None = None
    description: str | None = None
    min: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, name: str, field: FieldInfo) -> Property:
        """Return the property for a pydantic field."""
        lower, upper = _limits(field)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        return cls(
            name=name,
            type=TypeMetadata.of(field.annotation),
            default=default,
            required=field.is_required(),
            title=field.title or name.replace("_", " ").capitalize(),
            description=field.description,
            min=lower,
            max=upper,
        )


class OutputSlot(BaseModel):
    """Output of a node. `stream`: it may yield several values."""

    name: str
    type: TypeMetadata
    stream: bool = False


def _limits(field: FieldInfo) -> tuple[float | None, float | None]:
    lower = upper = None
    for constraint in field.metadata:
        for name in ("ge", "gt"):
            lower = getattr(constraint, name, lower)
        for name in ("le", "lt"):
            upper = getattr(constraint, name, upper)
    return lower, upper
