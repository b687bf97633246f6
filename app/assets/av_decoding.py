"""Decoder functions for audio and video, using FFmpeg's libraries.

They run in decoder processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import av
import av.logging
import orjson
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, ImageStat

from app.assets.image_decoding import webp
from app.media.decoders.refusals import CannotDecode, TooMuch

# Playlists and protocols are excluded: FFmpeg would open other files that they refer to.
_OPTIONS = {
    "format_whitelist": (
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,wav,w64,aiff,flac,mp3,aac,"
        "amr,gif,asf,au,caf"
    ),
    "protocol_whitelist": "none",
}
FIRST_FRAMES = 300
KEY_FRAMES = 60
_DARK = 16
_FLAT = 3

av.logging.set_level(av.logging.PANIC)


def facts(source: BinaryIO, *, max_pixels: int) -> bytes:
    """Return JSON with `duration` in seconds and, for videos, displayed `width` and `height`."""
    with _opened(source) as container:
        video = _video(container)
        if video is not None:
            _prepare(video, max_pixels)
        elif not container.streams.audio:
            raise CannotDecode("The file has neither a video track nor an audio track.")
        found: dict[str, float | int | None] = {"duration": _declared_duration(container)}
        if video is not None:
            width, height = _shape(video)
            # The rotation is metadata of the first frame.
            frame = next(container.decode(video), None)
            if frame is not None and frame.rotation % 180:
                width, height = height, width
            found |= {"width": width, "height": height}
    if found["duration"] is None:
        source.seek(0)
        with _opened(source) as container:
            found["duration"] = _counted_duration(container)
    return orjson.dumps(found)


def thumbnail(source: BinaryIO, *, size: int, max_pixels: int) -> bytes:
    """Return the first meaningful frame of a video as an upright WebP that fits a square.

    Args:
        source: The video.
        size: The side of the square in pixels.
        max_pixels: The limit for the pixels of a frame.
    """
    with _opened(source) as container:
        video = _video(container)
        if video is None:
            raise CannotDecode("The file has no video track.")
        _prepare(video, max_pixels)
        frame = _good_frame(container, video)
        image = _image(frame).resize(_within(_shape(video), size), reducing_gap=2.0)
        return webp(image.rotate(frame.rotation, expand=True))


@contextmanager
def _opened(source: BinaryIO) -> Iterator[InputContainer]:
    try:
        with av.open(source, "r", options=_OPTIONS, metadata_errors="replace") as container:
            yield container
    except (av.FFmpegError, ValueError, OverflowError):
        raise CannotDecode("The file is not a readable audio or video file.") from None


def _video(container: InputContainer) -> VideoStream | None:
    """Return the first video track; cover pictures of audio files do not count."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            return stream
    return None


def _prepare(video: VideoStream, max_pixels: int) -> None:
    if video.width * video.height > max_pixels:
        raise TooMuch(
            f"The video has {video.width} x {video.height} pixels; the limit is {max_pixels}."
        )
    if not video.width or not video.height:
        raise CannotDecode("The video declares no width and height.")
    # Frames may be larger than the container declares.
    video.codec_context.options = {"max_pixels": str(max_pixels)}
    video.codec_context.thread_count = 1


def _shape(video: VideoStream) -> tuple[int, int]:
    """Return the displayed width and height, corrected for pixels that are not square."""
    aspect = video.sample_aspect_ratio or 1
    if not 0.1 < aspect < 10:
        aspect = 1
    return max(1, round(video.width * aspect)), video.height


def _within(shape: tuple[int, int], size: int) -> tuple[int, int]:
    scale = min(1.0, size / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _good_frame(container: InputContainer, video: VideoStream) -> VideoFrame:
    """Return the first frame that is neither dark nor uniform, else the brightest one examined."""
    best: tuple[float, VideoFrame] | None = None
    for number, frame in enumerate(container.decode(video)):
        small = _image(frame, width=64, height=64, interpolation="AREA").convert("L")
        shown = ImageStat.Stat(small)
        if shown.mean[0] > _DARK and shown.stddev[0] > _FLAT:
            return frame
        if best is None or shown.mean[0] > best[0]:
            best = shown.mean[0], frame
        if number == FIRST_FRAMES:
            video.codec_context.skip_frame = "NONKEY"
        if number == FIRST_FRAMES + KEY_FRAMES:
            break
    if best is None:
        raise CannotDecode("The video has no frames.")
    return best[1]


def _image(frame: VideoFrame, **options: Any) -> Image.Image:
    image: Image.Image = frame.to_image(**options)  # type: ignore[no-untyped-call]
    return image


def _declared_duration(container: InputContainer) -> float | None:
    if container.duration is not None and container.duration > 0:
        return container.duration / av.time_base
    return None


def _counted_duration(container: InputContainer) -> float | None:
    """Return the end of the last packet: live recordings declare no duration."""
    end = 0.0
    for packet in container.demux():
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return end if 0 < end < math.inf else None
