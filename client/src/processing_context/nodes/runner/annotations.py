"""Annotations of nodes: checks of returned values, conversion of refs, texts of errors."""

from __future__ import annotations

import base64
import functools
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from processing_context.wire.refs import AssetRef

_UNIONS = (Union, UnionType)
_SCALARS = (str, int, float, bool)


class SlotType:
    """Type of an output, by the return annotation of the node."""

    def __init__(self, name: str, annotation: Any) -> None:
        """Store the name of the output and its annotation."""
        self._name = name
        self._annotation = annotation
        self._ref = ref_class(annotation)
        self._exact = _exact_types(annotation)

    def check(self, value: Any) -> None:
        """Check a value that a node returned.

        Raises:
            TypeError: The value does not fit the annotation; the text names both types.
        """
        if type(value) in self._exact:
            return
        if isinstance(value, str | bytes) and self._annotation in _SCALARS:
            if not isinstance(value, self._annotation):  # pydantic would convert "5" to 5
                raise self._error(value)
            return
        if self._ref is not None:
            value = as_ref_class(self._ref, value)
        adapter = _adapter(self._annotation)
        try:
            if adapter is not None:
                adapter.validate_python(value)
        except ValidationError as error:
            is_nested = any(problem["loc"] for problem in error.errors(include_url=False))
            raise self._error(value, problems(error) if is_nested else "") from None

    def _error(self, value: Any, detail: str = "") -> TypeError:
        actual = "None" if value is None else f"a value of type {type_name(type(value))}"
        more = f" ({detail})" if detail else ""
        return TypeError(
            f"process returned {actual} for output {self._name!r}, which its return annotation "
            f"declares as {type_name(self._annotation)}{more}"
        )


def is_any(annotation: Any) -> bool:
    """Return True if an annotation accepts every value."""
    return annotation is Any or annotation is object


def accepts_none(annotation: Any) -> bool:
    """Return True if an annotation accepts None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return accepts_none(get_args(annotation)[0])
    if origin in _UNIONS:
        return any(map(accepts_none, get_args(annotation)))
    return is_any(annotation) or annotation is None or annotation is NoneType


def ref_class(annotation: Any) -> type[AssetRef] | None:
    """Return the class of ref that an annotation accepts, if there is just one."""
    members = get_args(annotation) if get_origin(annotation) in _UNIONS else (annotation,)
    refs = [m for m in members if isinstance(m, type) and issubclass(m, AssetRef)]
    return refs[0] if len(refs) == 1 else None


def as_ref_class(wanted: type[AssetRef], value: Any) -> Any:
    """Convert a generic ref, or a ref in JSON form, to the class that a property accepts."""
    if isinstance(value, wanted):
        return value
    if isinstance(value, AssetRef):
        value = dict(value)
    elif all(hasattr(value, name) for name in ("uri", "asset_id", "data")):
        value = {name: getattr(value, name) for name in ("uri", "asset_id", "data")}
    if not isinstance(value, dict):
        return value
    if value.get("type") == AssetRef.ref_type:
        value = {name: part for name, part in value.items() if name != "type"}
    holds_bytes = wanted.model_fields["data"].annotation == bytes | None
    if holds_bytes and isinstance(value.get("data"), str):
        value = {**value, "data": _from_base64(value["data"])}
    return value


def problems(error: ValidationError) -> str:
    """Return the problems of a value on one line."""
    found = []
    for problem in error.errors(include_url=False):
        where = ".".join(map(str, problem["loc"])) or "value"
        found.append(f"{where}: {problem['msg']}, not {shown(problem['input'])}")
    return "; ".join(found)


def shown(value: Any) -> str:
    """Return a short text for a value."""
    if not isinstance(value, str | int | float | bool | None):
        return f"a value of type {type(value).__name__}"
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def type_name(annotation: Any) -> str:
    """Return the name of a type as it is written in code."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__qualname__
    return str(annotation).replace("typing.", "")


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    """Return the validator of an annotation; None if pydantic has none for it."""
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        pass  # models, dataclasses and typed dicts have a config of their own
    try:
        return TypeAdapter(annotation)
    except PydanticUserError:
        return None


def _exact_types(annotation: Any) -> frozenset[Any]:
    """Return the classes whose instances fit an annotation without a look at their content."""
    if annotation is None:
        return frozenset({NoneType})
    if get_origin(annotation) in _UNIONS:
        return frozenset().union(*map(_exact_types, get_args(annotation)))
    if not isinstance(annotation, type) or get_args(annotation):
        return frozenset()
    return frozenset({annotation, int} if annotation is float else {annotation})


def _from_base64(text: str) -> bytes | str:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return text
