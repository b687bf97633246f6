"""Audio samples to WAV; needs the extra `audio`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from processing_context._extras import require

if TYPE_CHECKING:
    import numpy as np

MAX_CHANNELS = 64
_MAX_RATE = 2**31 - 1
_MAX_BYTES = 2**32 - 1
_PCM, _FLOAT = 1, 3
"""Formats of samples (RIFF `fmt ` chunk, WAVE_FORMAT_PCM and WAVE_FORMAT_IEEE_FLOAT)."""


def wav_from_array(data: Any, sample_rate: int) -> bytes:
    """Return samples as a WAV file: int16 as 16-bit PCM, float as 32-bit float.

    Args:
        data: int16, or float in [-1, 1], clipped; shape (samples,) or (samples, channels).
        sample_rate: In Hz.

    Raises:
        ValueError: The array has another shape or type, or a value that is not a number; the
            sample rate is not a positive integer; the file would exceed 4 GiB.
    """
    numpy = require("numpy", extra="audio")
    array = numpy.asarray(data)
    channels = _channels(array)
    rate = _checked_rate(sample_rate)
    if array.dtype == numpy.int16:
        samples, kind = array.astype("<i2", copy=False), _PCM
    elif numpy.issubdtype(array.dtype, numpy.floating):
        samples, kind = _clipped(array).astype("<f4", copy=False), _FLOAT
    else:
        raise ValueError(f"the samples must be int16, or float in [-1, 1], not {array.dtype}")
    body: bytes = numpy.ascontiguousarray(samples).tobytes()
    head = _header(kind, channels, rate, samples.itemsize, len(body))
    if len(head) + len(body) > _MAX_BYTES:
        raise ValueError(f"the audio has {len(body)} bytes; a WAV file has at most 4 GiB")
    return head + body


def _channels(array: np.ndarray) -> int:
    """Return the number of channels of an array of samples."""
    if array.ndim == 1:
        return 1
    if array.ndim == 2 and 1 <= array.shape[1] <= MAX_CHANNELS:
        channels: int = array.shape[1]
        return channels
    hint = ""
    if array.ndim == 2 and array.shape[0] <= MAX_CHANNELS:
        hint = "; it looks like (channels, samples): pass data.T"
    raise ValueError(
        f"the shape must be (samples,) or (samples, channels) with at most {MAX_CHANNELS} "
        f"channels, not {array.shape}{hint}"
    )


def _checked_rate(sample_rate: Any) -> int:
    is_whole = not isinstance(sample_rate, bool) and sample_rate == int(sample_rate)
    if not is_whole or not 1 <= sample_rate <= _MAX_RATE:
        raise ValueError(f"sample_rate= must be a positive integer in Hz, not {sample_rate!r}")
    return int(sample_rate)


def _clipped(array: np.ndarray) -> np.ndarray:
    import numpy as np

    if not np.isfinite(array).all():
        raise ValueError("the samples have values that are infinite or not a number")
    clipped: np.ndarray = np.clip(array, -1.0, 1.0)
    return clipped


def _header(kind: int, channels: int, rate: int, sample_bytes: int, body_bytes: int) -> bytes:
    """Return the header of a WAV file; float samples have an empty extension and a `fact` chunk."""
    frame_bytes = channels * sample_bytes
    fields = (kind, channels, rate, (rate * frame_bytes) & 0xFFFFFFFF, frame_bytes)
    form = struct.pack("<HHIIHH", *fields, sample_bytes * 8)
    extra = b""
    if kind == _FLOAT:
        form += struct.pack("<H", 0)
        extra = b"fact" + struct.pack("<II", 4, body_bytes // frame_bytes)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + extra
    chunks += b"data" + struct.pack("<I", body_bytes & 0xFFFFFFFF)
    size = 4 + len(chunks) + body_bytes
    return b"RIFF" + struct.pack("<I", size & 0xFFFFFFFF) + b"WAVE" + chunks
