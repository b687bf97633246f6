"""Input nodes: where a job's params enter its graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from processing_context.nodes.base import InputNode
from processing_context.wire.refs import ImageRef

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


class _Input(InputNode):
    namespace: ClassVar[str] = "input"


class ImageInput(_Input):
    """An image given to the workflow."""

    value: ImageRef = ImageRef()

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Pass the image on."""
        return self.value


class TextInput(_Input):
    """A text given to the workflow."""

    value: str = ""

    async def process(self, context: ProcessingContext) -> str:
        """Pass the text on."""
        return self.value


class IntegerInput(_Input):
    """A whole number given to the workflow."""

    value: int = 0

    async def process(self, context: ProcessingContext) -> int:
        """Pass the number on."""
        return self.value


class FloatInput(_Input):
    """A number given to the workflow."""

    value: float = 0.0

    async def process(self, context: ProcessingContext) -> float:
        """Pass the number on."""
        return self.value


class BooleanInput(_Input):
    """A yes or no given to the workflow."""

    value: bool = False

    async def process(self, context: ProcessingContext) -> bool:
        """Pass the value on."""
        return self.value


class AnyInput(_Input):
    """Any value given to the workflow."""

    value: Any = None

    async def process(self, context: ProcessingContext) -> Any:
        """Pass the value on."""
        return self.value
