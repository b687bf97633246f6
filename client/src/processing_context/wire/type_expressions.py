"""Type expressions of the node catalogue, such as `list[image] | none`, and their compatibility."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from processing_context.wire.refs import REF_TYPES, AssetRef

_TOKEN = re.compile(r"\s*([^\s\[\],|]+|[\[\],|])\s*")
_MAX_DEPTH = 10
UNION = "|"


@dataclass(frozen=True, slots=True)
class TypeExpression:
    """A parsed type: a name and its arguments; of a union the name is `|`."""

    name: str
    args: tuple[TypeExpression, ...] = ()

    @property
    def members(self) -> tuple[TypeExpression, ...]:
        """The members of a union, or the type itself."""
        return self.args if self.name == UNION else (self,)


ANY = TypeExpression("any")


@lru_cache(maxsize=4096)
def parse(text: str) -> TypeExpression:
    """Return a parsed type expression; `any` for any other text."""
    tokens = _TOKEN.findall(text)
    try:
        parsed = _union(tokens, 0)
    except (IndexError, ValueError):
        return ANY
    return ANY if tokens else parsed


def _union(tokens: list[str], depth: int) -> TypeExpression:
    """Consume the tokens of a union."""
    members = [_member(tokens, depth)]
    while tokens and tokens[0] == UNION:
        tokens.pop(0)
        members.append(_member(tokens, depth))
    return members[0] if len(members) == 1 else TypeExpression(UNION, tuple(members))


def _member(tokens: list[str], depth: int) -> TypeExpression:
    name = tokens.pop(0)
    if name in "[],|" or depth > _MAX_DEPTH:
        raise ValueError(name)
    args = []
    if tokens and tokens[0] == "[":
        while tokens.pop(0) != "]":
            args.append(_union(tokens, depth + 1))
            if tokens[0] not in (",", "]"):
                raise ValueError(tokens[0])
    return TypeExpression(name, tuple(args))


# Kinds of values, by type name. Types without a kind may have any values.
_KINDS = {
    "str": "text",
    "int": "number",
    "float": "number",
    "bool": "number",
    "list": "list",
    "tuple": "list",
    "set": "list",
    "dict": "dict",
    "enum": "enum",
    **{name: f"{name} ref" for name in REF_TYPES},
}
_REFS = frozenset(f"{name} ref" for name in REF_TYPES)
_ANY_REF = f"{AssetRef.ref_type} ref"

# For each kind of value, the kinds that no such value can be converted to.
_NEVER = {
    "text": frozenset({"list", "dict"}) | _REFS,
    "number": frozenset({"text", "list", "dict"}) | _REFS,
    "list": frozenset({"text", "number", "dict", "enum"}) | _REFS,
    "dict": frozenset({"text", "number", "list", "enum"}),
    "enum": frozenset({"list", "dict"}) | _REFS,
    **{
        ref: frozenset({"text", "number", "list", "dict", "enum"})
        | (frozenset() if ref == _ANY_REF else _REFS - {ref, _ANY_REF})
        for ref in _REFS
    },
}


@lru_cache(maxsize=65_536)
def never_fits(source: str, target: str) -> bool:
    """Return True if no value of one type can be converted to the other by a runner."""
    return all(
        _KINDS.get(wanted.name) in _NEVER.get(_KINDS.get(given.name, ""), ())
        for given in parse(source).members
        for wanted in parse(target).members
    )
