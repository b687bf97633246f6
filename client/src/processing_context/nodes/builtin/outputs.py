"""Output nodes: named results of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from processing_context.nodes.base import OutputNode
from processing_context.wire.refs import ImageRef

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


class _Output(OutputNode):
    namespace: ClassVar[str] = "output"


class ImageOutput(_Output):
    """An image as a result of the workflow. Bytes are stored as an asset."""

    value: ImageRef

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Return the image."""
        return self.value


class TextOutput(_Output):
    """A text as a result of the workflow."""

    value: str

    async def process(self, context: ProcessingContext) -> str:
        """Return the text."""
        return self.value


class NumberOutput(_Output):
    """A number as a result of the workflow."""

    value: int | float

    async def process(self, context: ProcessingContext) -> int | float:
        """Return the number."""
        return self.value


class AnyOutput(_Output):
    """Any value as a result of the workflow."""

    value: Any

    async def process(self, context: ProcessingContext) -> Any:
        """Return the value."""
        return self.value
