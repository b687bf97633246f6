"""Text nodes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from processing_context.nodes.base import BaseNode

if TYPE_CHECKING:
    from processing_context.context import ProcessingContext

# Not str.format: its `{a.b[c]}` reads attributes of any value.
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+)\}")


class Template(BaseNode):
    """Replace `{name}` in a text by `values` and by properties that the graph defines.

    `{{` and `}}` are literal braces.
    """

    namespace: ClassVar[str] = "text"
    _dynamic: ClassVar[bool] = True

    template: str = ""
    values: dict[str, Any] = {}

    async def process(self, context: ProcessingContext) -> str:
        """Fill the template."""
        values = self.values | self.dynamic_properties

        def fill(match: re.Match[str]) -> str:
            name = match.group(1)
            if name is None:
                return match.group(0)[0]
            if name not in values:
                known = ", ".join(sorted(values)) or "none"
                raise ValueError(f"no value for {{{name}}} of the template; known values: {known}")
            return str(values[name])

        return _PLACEHOLDER.sub(fill, self.template)


class Concat(BaseNode):
    """Join two texts."""

    namespace: ClassVar[str] = "text"

    a: str = ""
    b: str = ""
    separator: str = ""

    async def process(self, context: ProcessingContext) -> str:
        """Join the texts."""
        return f"{self.a}{self.separator}{self.b}"
