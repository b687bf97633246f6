"""Tests of audio and video refs: content types, samples as WAV."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import av
import numpy as np
import pytest
import pytest_asyncio

from processing_context import AudioRef, ProcessingContext, VideoRef
from processing_context.convert.audio import wav_from_array
from tests.support.media import photo, sound, video
from tests.support.services import Service, User

RAMP = np.linspace(-1, 1, 4801, dtype=np.float32)
FULL = np.array([-32768, -1, 0, 1, 32767], dtype=np.int16)


@pytest_asyncio.fixture
async def ctx(service: Service, user: User) -> AsyncIterator[ProcessingContext]:
    async with ProcessingContext(base_url=service.url, token=user.token) as context:
        yield context


def decoded(wav: bytes) -> tuple[np.ndarray, int]:
    """Decode audio by FFmpeg to (samples, channels) of the type in the file."""
    with av.open(io.BytesIO(wav), "r") as container:
        stream = container.streams.audio[0]
        blocks = [
            frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
            for frame in container.decode(stream)
        ]
        return np.concatenate(blocks), stream.rate or 0


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_float_samples_are_stored_without_loss(rate: int, channels: int) -> None:
    data = np.stack([RAMP * (1 - channel / 8) for channel in range(channels)], axis=1)
    found, found_rate = decoded(wav_from_array(data, rate))
    assert found_rate == rate
    assert found.dtype == np.float32
    assert np.array_equal(found, data)


def test_16_bit_samples_are_stored_without_loss() -> None:
    with wave.open(io.BytesIO(wav_from_array(FULL, 8000))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.readframes(5) == FULL.tobytes()


def test_samples_beyond_full_scale_are_clipped() -> None:
    found, _ = decoded(wav_from_array(np.array([-2.0, 0.25, 3.0]), 8000))
    assert found.ravel().tolist() == [-1.0, 0.25, 1.0]


@pytest.mark.parametrize("data", [np.zeros(0, np.float32), np.zeros((0, 2), np.int16), [0.5]])
def test_empty_and_one_sample_audio_are_stored(data: Any) -> None:
    wav = wav_from_array(data, 8000)
    samples = np.asarray(data)
    assert len(wav) - wav.index(b"data") - 8 == samples.size * (
        2 if samples.dtype == "int16" else 4
    )


@pytest.mark.parametrize(
    ("data", "rate", "match"),
    [
        (np.zeros((2, 44_100)), 44_100, "looks like"), (np.zeros((2, 3, 4)), 1, "shape"),
        (np.float32(0), 8000, "shape"), (np.zeros(3, np.int32), 8000, "int32"),
        (np.zeros(3, np.uint8), 8000, "uint8"), (np.array(["a"]), 8000, "int16"),
        ([0.0, float("nan")], 8000, "not a number"), ([float("inf")], 8000, "infinite"),
        (RAMP, 0, "sample_rate"), (RAMP, -1, "sample_rate"), (RAMP, 44_100.5, "sample_rate"),
        (RAMP, True, "sample_rate"),
    ],
)  # fmt: skip
async def test_other_samples_are_refused(data: Any, rate: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        await ProcessingContext(user_id="somebody").audio_from_numpy(data, rate)


async def test_a_channel_count_in_place_of_the_name_is_explained() -> None:
    with pytest.raises(ValueError, match="number of channels is taken from the shape"):
        await ProcessingContext(user_id="somebody").audio_from_numpy(RAMP, 8000, 2)  # type: ignore[arg-type]


async def test_samples_become_an_asset(ctx: ProcessingContext) -> None:
    folder = await ctx.create_folder("sounds")
    ref = await ctx.audio_from_numpy(FULL, 16_000, "full.wav", folder.id)
    asset = await ctx.find_asset(ref.asset_id or "")
    assert (asset.content_type, asset.parent_id) == ("audio/wav", folder.id)
    assert await ctx.asset_to_bytes(ref) == wav_from_array(FULL, 16_000)


@pytest.mark.parametrize(
    ("codec", "container", "content_type"),
    [("mp3", "mp3", "audio/mpeg"), ("flac", "flac", "audio/flac"), ("aac", "adts", "audio/aac")],
)
async def test_the_content_type_of_audio_is_detected(
    ctx: ProcessingContext, codec: str, container: str, content_type: str
) -> None:
    data = sound(container, codec)
    ref = await ctx.audio_from_io(io.BytesIO(data), "sound")
    assert (await ctx.find_asset(ref.asset_id or "")).content_type == content_type
    assert await ctx.audio_from_bytes(data) == AudioRef(data=data)


async def test_the_content_type_of_video_is_detected(ctx: ProcessingContext) -> None:
    data = video([photo().resize((64, 48))] * 5)
    ref = await ctx.video_from_io(io.BytesIO(data), "clip")
    assert (await ctx.find_asset(ref.asset_id or "")).content_type == "video/mp4"
    assert await ctx.video_from_bytes(data) == VideoRef(data=data)


@pytest.mark.parametrize("data", [b"", b"text", b"%PDF-1.7"])
async def test_other_files_are_refused(data: bytes) -> None:
    ctx = ProcessingContext(user_id="somebody")
    with pytest.raises(ValueError, match=r"empty|known format"):
        await ctx.audio_from_bytes(data)
    with pytest.raises(ValueError, match=r"empty|known format"):
        await ctx.video_from_bytes(data)
