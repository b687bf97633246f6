"""`BaseNode`: base class of all nodes."""

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
"""Slot of a node with a single output."""

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

    The return annotation of `process` declares the outputs: one slot `output`, or the keys of a
    `TypedDict`. An async generator streams: the strings of a slot are joined, of other slots the
    last value counts. A node may leave out slots, or end its stream without a value: nodes that
    depend on them alone are skipped. A plain `def process` runs in a thread. Editors show the
    docstring.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    namespace: ClassVar[str] = ""
    """Namespace of the type; by default the module path."""

    required_capabilities: ClassVar[Sequence[str]] = ()
    """Capabilities that a worker needs to run the node, such as `cuda`."""

    required_modules: ClassVar[Sequence[str]] = ()
    """Modules that `process` imports; a worker without them does not offer the node."""

    cpu_bound: ClassVar[bool] = False
    """Run in a child process, which is killed when the job is cancelled."""

    timeout_s: ClassVar[float | None] = None
    """Time limit of `process`; a node of a graph may override it with its own `timeout_s`.

    A node that exceeds it fails: coroutines are cancelled and processes killed; threads cannot be
    stopped and are abandoned.
    """

    _dynamic: ClassVar[bool] = False
    """Accept properties that only the graph defines."""

    # Not pydantic private attributes, whose initialization costs more than creating a small node.
    _id: ClassVar[str] = ""
    _received: ClassVar[Sequence[str]] = ()
    """The properties that have a value from an edge, in the order of the edges."""

    @property
    def id(self) -> str:
        """Id of the node in its graph; empty outside of one."""
        return self._id

    @property
    def dynamic_properties(self) -> dict[str, Any]:
        """Values of the properties that only the graph defines."""
        made: dict[str, Any] = self.__dict__.setdefault("_dynamic_properties", {})
        return made

    def _set_graph_values(
        self, node_id: str, dynamic_properties: dict[str, Any], received: Sequence[str]
    ) -> None:
        """Set what the node has in its graph: id, dynamic properties, inputs with a value."""
        self.__dict__["_id"] = node_id
        self.__dict__["_dynamic_properties"] = dynamic_properties
        self.__dict__["_received"] = received

    def process(self, context: ProcessingContext) -> Any:  # noqa: ARG002  # subclasses use it
        """Compute the outputs; `async def`, `def` or an async generator."""
        raise NodeDefinitionError(f"{self.get_node_type()} has no process method")

    @classmethod
    def get_namespace(cls) -> str:
        """Return the namespace of the type."""
        return cls.namespace or cls.__module__

    @classmethod
    def get_node_type(cls) -> str:
        """Return the node type, by which graphs refer to the class."""
        return f"{cls.get_namespace()}.{cls.__name__}"

    @classmethod
    def get_title(cls) -> str:
        """Return the title for editors: the class name as words."""
        return _WORD_ENDS.sub(" ", cls.__name__)

    @classmethod
    def get_description(cls) -> str:
        """Return the docstring of the class."""
        return inspect.cleandoc(cls.__doc__ or "")

    @classmethod
    def is_cacheable(cls) -> bool:
        """Return True if equal properties give equal results, without side effects."""
        return True

    @classmethod
    def is_dynamic(cls) -> bool:
        """Return True if the node accepts properties that only the graph defines."""
        return cls._dynamic

    @classmethod
    def is_streaming(cls) -> bool:
        """Return True if `process` is an async generator."""
        return inspect.isasyncgenfunction(cls.process)

    @classmethod
    def is_abstract(cls) -> bool:
        """Return True if the class is only a base of nodes."""
        return cls.process is BaseNode.process

    @classmethod
    def properties(cls) -> list[Property]:
        """Return the properties, in the order of their definition."""
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
        returned = _return_annotation(cls)
        if typing.is_typeddict(returned):
            return typing.get_type_hints(returned)
        if returned is types.NoneType:
            return {}
        return {OUTPUT: returned}

    @classmethod
    def has_named_slots(cls) -> bool:
        """Return True if `process` returns a dict of slots."""
        return typing.is_typeddict(_return_annotation(cls))


@functools.cache  # resolving an annotation costs more than running a small node
def _return_annotation(cls: type[BaseNode]) -> Any:
    """Return the annotation of the values that `process` returns or yields."""
    function = inspect.unwrap(cls.process)
    # Only this annotation: that of `context` may refer to an import for type checkers.
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
    """A node whose value is the job's param with its `name`.

    The param is required if the graph has no value for it. `description` is in the workflow's input
    schema.
    """

    name: str = ""
    description: str = ""

    @classmethod
    def is_cacheable(cls) -> bool:
        """Return False: a cache entry would cost more than it saves."""
        return False


class OutputNode(BaseNode):
    """A node whose value is the job's result with its `name`."""

    name: str = ""
    description: str = ""

    @classmethod
    def is_cacheable(cls) -> bool:
        """Return False: a cache entry would cost more than it saves."""
        return False
