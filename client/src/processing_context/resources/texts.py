"""Text to and from `TextRef`."""

from __future__ import annotations

import asyncio
from email.message import Message
from typing import Any

from processing_context._refs import ref_parts
from processing_context.convert.text import decode_text, encode_text
from processing_context.resources.files import FileMethods
from processing_context.wire.refs import TextRef


class TextMethods(FileMethods):
    """Conversions of text."""

    async def text_from_str(
        self,
        s: str,
        name: str | None = None,
        content_type: str = "text/plain",
        parent_id: str | None = None,
    ) -> TextRef:
        """Return a ref to a text as UTF-8; with `name=` it is stored as an asset.

        Raises:
            ValueError: It is not a string, or has an unpaired surrogate.
        """
        if not isinstance(s, str):
            raise ValueError(f"s= must be a string, not {type(s).__name__}")
        data = encode_text(s)
        if name is None:
            return TextRef(data=data)
        asset = await self.create_asset(name, content_type, data, parent_id)
        return TextRef(asset_id=asset.id, uri=self.asset_storage_url(asset.id))

    async def to_str(self, text_ref: Any) -> str:
        """Return the text of a ref; a string is returned as it is.

        The encoding is that of the byte order mark, else UTF-8, else the charset in the content
        type of the asset.

        Raises:
            ValueError: The ref is empty, or its encoding is unknown.
        """
        if isinstance(text_ref, str):
            return text_ref
        data = await self.asset_to_bytes(text_ref)
        text = await asyncio.to_thread(decode_text, data)
        if text is None:
            _, asset_id, _ = ref_parts(text_ref)
            declared = (await self.find_asset(asset_id)).content_type if asset_id else ""
            text = await asyncio.to_thread(decode_text, data, _charset(declared))
        if text is None:
            raise ValueError(
                "the text is not UTF-8, and its content type names no other charset that fits: "
                "store it with a content type such as text/plain; charset=iso-8859-1"
            )
        return text

    async def text_to_str(self, text_ref: Any) -> str:
        """Return the text of a ref, as `to_str` does."""
        return await self.to_str(text_ref)


def _charset(content_type: str) -> str:
    message = Message()
    message["Content-Type"] = content_type
    return message.get_content_charset("")
