"""`BaseNode`: what every node is made from."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from processing_context.nodes.errors import NodeDefinitionError
from processing_context.nodes.properties import OutputSlot, Property, TypeMetadata

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

OUTPUT = "output"
"""The slot of a node that has one."""

_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_STREAMS = (AsyncGenerator, AsyncIterator, AsyncIterable)


class BaseNode(BaseModel):
    """A step of a workflow: its fields are the properties, `process` does the work.

    ```python
    class Blur(BaseNode):
        \"\"\"Blur an image.\"\"\"

        image: ImageRef = ImageRef()
        radius: float = Field(default=2.0, ge=0, le=64)

        async def process(self, context: ProcessingContext) -> ImageRef: ...
    ```

    The return annotation of `process` names the outputs: one slot `output`, or the keys of a
    `TypedDict`. An async generator streams: of a slot that gets strings the pieces are joined, of
    another slot the last value counts. A plain `def process` runs in a thread. The docstring is
    what editors show.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    namespace: ClassVar[str] = ""
    """The part of the type before the class name; empty: the module path."""

    required_capabilities: ClassVar[Sequence[str]] = ()
    """What a worker must have to run it, such as `cuda`."""

    cpu_bound: ClassVar[bool] = False
    """Runs in a process of its own, which is killed when the job is cancelled."""

    timeout_s: ClassVar[float | None] = None
    """How long `process` may take; a node of a graph may have a `timeout_s` of its own instead.

    Past it the node fails: what is async is cancelled, a process is killed, and a thread, which
    nobody can stop, is left behind.
    """

    _dynamic: ClassVar[bool] = False
    """Takes properties that the graph makes up."""

    # Not private attributes of pydantic's: to set those up costs more than to make a small node.
    _id: ClassVar[str] = ""

    @property
    def id(self) -> str:
        """The node's id in its graph; empty outside of one."""
        return self._id

    @property
    def dynamic_properties(self) -> dict[str, Any]:
        """The values of properties that the graph made up."""
        made: dict[str, Any] = self.__dict__.setdefault("_dynamic_properties", {})
        return made

    def _place(self, node_id: str, dynamic_properties: dict[str, Any]) -> None:
        """Say where in a graph the node is, and what the graph made up for it."""
        self.__dict__["_id"] = node_id
        self.__dict__["_dynamic_properties"] = dynamic_properties

    def process(self, context: ProcessingContext) -> Any:  # noqa: ARG002  # subclasses use it
        """Do the work; `async def`, `def` or an async generator."""
        raise NodeDefinitionError(f"{self.get_node_type()} has no process method")

    @classmethod
    def get_namespace(cls) -> str:
        """Return the part of the type before the class name."""
        return cls.namespace or cls.__module__

    @classmethod
    def get_node_type(cls) -> str:
        """Return the name by which graphs ask for the node."""
        return f"{cls.get_namespace()}.{cls.__name__}"

    @classmethod
    def get_title(cls) -> str:
        """Return what editors show: the class name in words."""
        return _WORD_ENDS.sub(" ", cls.__name__)

    @classmethod
    def get_description(cls) -> str:
        """Return the docstring of the class."""
        return inspect.cleandoc(cls.__doc__ or "")

    @classmethod
    def is_cacheable(cls) -> bool:
        """Whether equal properties give an equal result, without effects."""
        return True

    @classmethod
    def is_dynamic(cls) -> bool:
        """Whether it takes properties that the graph makes up."""
        return cls._dynamic

    @classmethod
    def is_streaming(cls) -> bool:
        """Whether `process` is an async generator."""
        return inspect.isasyncgenfunction(cls.process)

    @classmethod
    def is_abstract(cls) -> bool:
        """Whether it is only a base of other nodes."""
        return cls.process is BaseNode.process

    @classmethod
    def properties(cls) -> list[Property]:
        """Return the properties, in the order of the class."""
        return [Property.of(name, field) for name, field in cls.model_fields.items()]

    @classmethod
    def outputs(cls) -> list[OutputSlot]:
        """Return the output slots.

        Raises:
            NodeDefinitionError: The return annotation cannot be resolved.
        """
        streams = cls.is_streaming()
        return [
            OutputSlot(name=name, type=TypeMetadata.of(annotation), stream=streams)
            for name, annotation in cls.output_annotations().items()
        ]

    @classmethod
    def output_annotations(cls) -> dict[str, Any]:
        """Return `{slot: annotation}`."""
        returned = _given_by(cls)
        if typing.is_typeddict(returned):
            return typing.get_type_hints(returned)
        if returned is types.NoneType:
            return {}
        return {OUTPUT: returned}

    @classmethod
    def has_named_slots(cls) -> bool:
        """Whether `process` gives a dict of slots."""
        return typing.is_typeddict(_given_by(cls))


@functools.cache  # reading an annotation costs more than running a small node
def _given_by(cls: type[BaseNode]) -> Any:
    """Return the annotation of what `process` returns or yields."""
    function = inspect.unwrap(cls.process)
    # Only this one: that of `context` may name what is imported for type checkers alone.
    annotations = {"return": function.__annotations__.get("return", Any)}
    holder = types.SimpleNamespace(__annotations__=annotations)
    try:
        returned = typing.get_type_hints(holder, function.__globals__)["return"]
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise NodeDefinitionError(
            f"{cls.get_node_type()}: the return annotation of process cannot be read: {error}"
        ) from error
    if cls.is_streaming() and typing.get_origin(returned) in _STREAMS:
        return typing.get_args(returned)[0]
    return returned


class InputNode(BaseNode):
    """A node that a job's params fill by its `name`.

    The param is required where the graph has no value for it.
    """

    name: str = ""

    @classmethod
    def is_cacheable(cls) -> bool:
        """Inputs are not worth a cache entry."""
        return False


class OutputNode(BaseNode):
    """A node whose value is a result of the job, by its `name`."""

    name: str = ""

    @classmethod
    def is_cacheable(cls) -> bool:
        """Outputs are not worth a cache entry."""
        return False
