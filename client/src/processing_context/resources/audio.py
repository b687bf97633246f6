"""Audio to `AudioRef`: encoded bytes and samples; numpy is in the extra `audio`."""

from __future__ import annotations

import asyncio
from typing import IO, TYPE_CHECKING, Any

from processing_context._arguments import read_binary
from processing_context.convert import audio as codec
from processing_context.resources.files import FileMethods
from processing_context.wire.media_types import HEAD_BYTES, media_type
from processing_context.wire.refs import AudioRef

if TYPE_CHECKING:
    import numpy as np


class AudioMethods(FileMethods):
    """Conversions of audio."""

    async def audio_from_io(
        self, buffer: IO[bytes], name: str | None = None, parent_id: str | None = None
    ) -> AudioRef:
        """Return a ref to encoded audio from a file; with `name=` it is stored as an asset."""
        data = await asyncio.to_thread(read_binary, buffer)
        return await self.audio_from_bytes(data, name, parent_id)

    async def audio_from_bytes(
        self, b: bytes, name: str | None = None, parent_id: str | None = None
    ) -> AudioRef:
        """Return a ref to encoded audio, or to a video with sound; its content type is detected.

        Raises:
            ValueError: The bytes are empty, or not of a known format.
        """
        data, content_type = _detected(b)
        if name is None:
            return AudioRef(data=data)
        asset = await self.create_asset(name, content_type, data, parent_id)
        return AudioRef(asset_id=asset.id, uri=self.asset_storage_url(asset.id))

    async def audio_from_numpy(
        self,
        data: np.ndarray,
        sample_rate: int,
        name: str | None = None,
        parent_id: str | None = None,
    ) -> AudioRef:
        """Return a ref to samples as WAV, without loss for int16 and float32.

        Args:
            data: int16, or float in [-1, 1], clipped; shape (samples,) or (samples, channels).
            sample_rate: In Hz.
            name: Store an asset of this name.
            parent_id: The folder of the asset.

        Raises:
            ValueError: The array has another shape, type or values that are not numbers.
        """
        if name is not None and not isinstance(name, str):
            raise ValueError(
                f"name= must be a string, not {name!r}: the number of channels is taken from the "
                "shape of the array, (samples, channels)"
            )
        wav = await asyncio.to_thread(codec.wav_from_array, data, sample_rate)
        return await self.audio_from_bytes(wav, name, parent_id)


def _detected(b: Any) -> tuple[bytes, str]:
    if not isinstance(b, bytes | bytearray | memoryview):
        raise ValueError(f"b= must be the bytes of encoded audio, not {type(b).__name__}")
    data = bytes(b)
    return data, media_type(data[:HEAD_BYTES], "audio", "video")
