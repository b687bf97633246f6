"""Output nodes: the results of a job, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from processing_context.nodes.base import OutputNode
from processing_context.wire.refs import ImageRef

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext


class _Output(OutputNode):
    namespace: ClassVar[str] = "output"


class ImageOutput(_Output):
    """An image that the workflow gives. Bytes become an asset with the output's name."""

    value: ImageRef

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Give the image."""
        return self.value


class TextOutput(_Output):
    """A text that the workflow gives."""

    value: str

    async def process(self, context: ProcessingContext) -> str:
        """Give the text."""
        return self.value


class NumberOutput(_Output):
    """A number that the workflow gives."""

    value: int | float

    async def process(self, context: ProcessingContext) -> int | float:
        """Give the number."""
        return self.value


class AnyOutput(_Output):
    """Any value that the workflow gives."""

    value: Any

    async def process(self, context: ProcessingContext) -> Any:
        """Give the value."""
        return self.value
