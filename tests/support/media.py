"""Image, audio and video files for tests."""

from __future__ import annotations

import io
import math
import struct
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import skimage
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from PIL import Image

_ORIENTATION = 0x0112


def photo(name: str = "astronaut") -> Image.Image:
    """Return one of the photographs of scikit-image."""
    return Image.open(Path(skimage.__file__).parent / "data" / f"{name}.png").convert("RGB")


def encoded(
    image: Image.Image, kind: str = "PNG", *, orientation: int = 1, **options: Any
) -> bytes:
    """Return an image as a file."""
    out = io.BytesIO()
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    image.save(out, kind, exif=exif, **options)
    return out.getvalue()


def tone(seconds: float = 1.5, rate: int = 8000) -> bytes:
    """Return a WAV file with a tone of 440 Hz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        samples = (
            int(20_000 * math.sin(2 * math.pi * 440 * number / rate))
            for number in range(int(seconds * rate))
        )
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return out.getvalue()


def video(
    frames: list[Image.Image],
    *,
    container: str = "mp4",
    codec: str = "libx264",
    fps: int = 10,
    rotation: int = 0,
    is_live: bool = False,
) -> bytes:
    """Return a video of frames; with `is_live` its header has no duration."""
    out = io.BytesIO()
    options = {"live": "1"} if is_live else {}
    with av.open(out, "w", format=container, container_options=options) as file:
        stream = file.add_stream(codec, rate=Fraction(fps))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for image in frames:
            frame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return out.getvalue()


def sound(container: str, codec: str, seconds: float = 1.5) -> bytes:
    """Return the tone in another format."""
    out = io.BytesIO()
    with (
        av.open(io.BytesIO(tone(seconds, 48_000)), "r") as source,
        av.open(out, "w", format=container) as file,
    ):
        stream = file.add_stream(codec, rate=48_000)
        assert isinstance(stream, AudioStream)
        for frame in source.decode(audio=0):
            frame.pts = None
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return out.getvalue()
