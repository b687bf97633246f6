"""Input nodes: params of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from processing_context.nodes.base import InputNode
from processing_context.wire.refs import ImageRef

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


class _Input(InputNode):
    namespace: ClassVar[str] = "input"


class ImageInput(_Input):
    """An image param of the workflow."""

    value: ImageRef = ImageRef()

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Return the image."""
        return self.value


class TextInput(_Input):
    """A text param of the workflow."""

    value: str = ""

    async def process(self, context: ProcessingContext) -> str:
        """Return the text."""
        return self.value


class IntegerInput(_Input):
    """An integer param of the workflow."""

    value: int = 0

    async def process(self, context: ProcessingContext) -> int:
        """Return the number."""
        return self.value


class FloatInput(_Input):
    """A number param of the workflow."""

    value: float = 0.0

    async def process(self, context: ProcessingContext) -> float:
        """Return the number."""
        return self.value


class BooleanInput(_Input):
    """A boolean param of the workflow."""

    value: bool = False

    async def process(self, context: ProcessingContext) -> bool:
        """Return the value."""
        return self.value


class AnyInput(_Input):
    """A param of any type of the workflow."""

    value: Any = None

    async def process(self, context: ProcessingContext) -> Any:
        """Return the value."""
        return self.value
