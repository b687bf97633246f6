from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from skimage import data as photographs

from processing_context import ImageRef, ProcessingContext
from processing_context.wire.media_types import image_type

ASTRONAUT: np.ndarray = photographs.astronaut()  # type: ignore[no-untyped-call]
COINS: np.ndarray = photographs.coins()  # type: ignore[no-untyped-call]


@pytest.fixture
def ctx() -> ProcessingContext:
    return ProcessingContext()


def encoded(array: np.ndarray, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("GIF", "image/gif"),
     ("BMP", "image/bmp"), ("TIFF", "image/tiff"), ("AVIF", "image/avif"), ("ICO", "image/x-icon"),
     ("JPEG2000", "image/jp2")],
)  # fmt: skip
def test_the_content_type_is_found_from_the_bytes(kind: str, content_type: str) -> None:
    assert image_type(encoded(ASTRONAUT[:64, :64], kind)[:64]) == content_type


@pytest.mark.parametrize("content", [b"", b"hello", b"%PDF-1.7", b"<svg/>", b"RIFF1234WAVEfmt "])
async def test_what_is_no_image_is_refused(ctx: ProcessingContext, content: bytes) -> None:
    with pytest.raises(ValueError, match="image"):
        await ctx.image_from_bytes(content)


async def test_bytes_are_kept_as_they_are(ctx: ProcessingContext) -> None:
    jpeg = encoded(ASTRONAUT, "JPEG")
    file = io.BytesIO(jpeg)
    file.seek(100)
    for ref in (
        await ctx.image_from_bytes(jpeg),
        await ctx.image_from_io(file),
        await ctx.image_from_base64(base64.b64encode(jpeg).decode()),
        await ctx.image_from_base64("data:image/png;base64," + base64.b64encode(jpeg).decode()),
    ):
        assert isinstance(ref, ImageRef)
        assert ref.data == jpeg
        assert ref.asset_id is None
    assert not file.closed


async def test_text_is_no_image(ctx: ProcessingContext) -> None:
    with pytest.raises(ValueError, match="base64"):
        await ctx.image_from_base64("not base64!")
    with pytest.raises(ValueError, match="text mode"):
        await ctx.image_from_io(io.StringIO("x"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="str"):
        await ctx.image_from_bytes("x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (ASTRONAUT, (512, 512, 3)),
        (COINS, (303, 384, 3)),
        (COINS[:, :, None], (303, 384, 3)),
        (np.dstack([ASTRONAUT, ASTRONAUT[:, :, 0]]), (512, 512, 4)),
        (ASTRONAUT[::2, ::-1], (256, 512, 3)),
        (ASTRONAUT[:1, :1], (1, 1, 3)),
    ],
)
async def test_uint8_survives_a_round_trip(
    ctx: ProcessingContext, array: np.ndarray, shape: tuple[int, ...]
) -> None:
    ref = await ctx.image_from_numpy(array)
    back = await ctx.image_to_numpy(ref)
    assert back.dtype == np.uint8
    assert back.shape == shape
    wanted = array if array.ndim == 3 and array.shape[2] > 1 else np.dstack([array] * 3)
    assert np.array_equal(back, wanted)
    back[0, 0, 0] = 1  # the array belongs to the caller


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
async def test_floats_are_taken_as_0_to_1(ctx: ProcessingContext, dtype: Any) -> None:
    floats = (ASTRONAUT / 255).astype(dtype)
    back = await ctx.image_to_numpy(await ctx.image_from_numpy(floats))
    assert np.abs(back.astype(int) - ASTRONAUT).max() <= (1 if dtype == np.float16 else 0)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 2, 2), np.uint8), r"\(2, 2, 2\)"),
        (np.zeros((2, 2, 5), np.uint8), r"\(2, 2, 5\)"),
        (np.zeros(4, np.uint8), r"\(4,\)"),
        (np.zeros((1, 2, 2, 3), np.uint8), r"\(1, 2, 2, 3\)"),
        (np.zeros((0, 4), np.uint8), r"\(0, 4\)"),
        (np.zeros((2, 2), np.uint16), "uint16"),
        (np.zeros((2, 2), np.int64), "int64"),
        (np.zeros((2, 2), bool), "bool"),
        (np.full((2, 2), 1.5), "1.5"),
        (np.full((2, 2), -0.1), "-0.1"),
        (np.full((2, 2), np.nan), "nan"),
        ("text", r"\(\)"),
    ],
)
async def test_other_shapes_and_types_are_named(
    ctx: ProcessingContext, array: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        await ctx.image_from_numpy(array)


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_orientation_is_applied(ctx: ProcessingContext, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    array = ASTRONAUT[:64, :96]
    png = encoded(array, "PNG", exif=exif)
    with Image.open(io.BytesIO(png)) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(await ctx.image_to_numpy(ImageRef(data=png)), upright)
    with Image.open(io.BytesIO(png)) as opened:
        ref = await ctx.image_from_pil(opened)
    assert np.array_equal(await ctx.image_to_numpy(ref), upright)
    assert upright.shape == ((64, 96, 3) if orientation < 5 else (96, 64, 3))


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [("1", "RGB"), ("L", "RGB"), ("LA", "RGBA"), ("P", "RGB"), ("PA", "RGBA"), ("RGB", "RGB"),
     ("RGBA", "RGBA"), ("CMYK", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"), ("LAB", "RGB"),
     ("I;16", "RGB"), ("I", "RGB"), ("RGBX", "RGB"), ("La", "RGBA"), ("RGBa", "RGBA")],
)  # fmt: skip
async def test_every_mode_comes_back_as_rgb_or_rgba(
    ctx: ProcessingContext, mode: str, wanted: str
) -> None:
    photo = Image.fromarray(ASTRONAUT[:64, :64])
    if mode == "PA":
        image = photo.quantize(16).convert("PA")
    elif mode in ("La", "RGBa"):
        image = photo.convert({"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    elif mode == "LAB":
        image = Image.frombytes("LAB", (64, 64), photo.tobytes())
    else:
        image = photo.convert("L").convert(mode) if mode.startswith("I") else photo.convert(mode)
    back = await ctx.image_to_pil(await ctx.image_from_pil(image))
    assert (back.mode, back.size) == (wanted, (64, 64))


async def test_sixteen_bits_are_scaled_not_clipped(ctx: ProcessingContext) -> None:
    deep = COINS.astype(np.uint16) * 257
    png = encoded(deep, "PNG")
    back = await ctx.image_to_numpy(ImageRef(data=png))
    assert np.abs(back[:, :, 0].astype(int) - COINS).max() <= 1


async def test_floats_without_a_range_are_refused(ctx: ProcessingContext) -> None:
    floats = Image.fromarray(np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="mode F"):
        await ctx.image_from_pil(floats)
    with pytest.raises(ValueError, match="mode F"):
        await ctx.image_to_pil(ImageRef(data=encoded(np.zeros((4, 4), np.float32), "TIFF")))
    wide = Image.fromarray(np.full((4, 4), 70_000, np.int32))
    with pytest.raises(ValueError, match="70000"):
        await ctx.image_from_pil(wide)
    with pytest.raises(ValueError, match="ndarray"):
        await ctx.image_from_pil(ASTRONAUT)  # type: ignore[arg-type]


async def test_a_transparent_palette_has_alpha(ctx: ProcessingContext) -> None:
    gif = encoded(ASTRONAUT[:32, :32], "GIF")
    assert (await ctx.image_to_pil(ImageRef(data=gif))).mode == "RGB"
    palette = Image.fromarray(ASTRONAUT[:32, :32]).quantize(8)
    out = io.BytesIO()
    palette.save(out, "PNG", transparency=0)
    assert (await ctx.image_to_pil(ImageRef(data=out.getvalue()))).mode == "RGBA"


async def test_broken_images_say_why(ctx: ProcessingContext) -> None:
    png, jpeg = encoded(ASTRONAUT, "PNG"), encoded(ASTRONAUT, "JPEG")
    for broken in (png[:1000], jpeg[:1000], b"\x89PNG\r\n\x1a\n", b"hello"):
        with pytest.raises(ValueError, match="decoded"):
            await ctx.image_to_pil(ImageRef(data=broken))


async def test_a_decompression_bomb_is_refused(ctx: ProcessingContext) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))
    with pytest.raises(ValueError, match="decompression bomb"):
        await ctx.image_to_pil(ImageRef(data=bomb))


async def test_base64_is_png(ctx: ProcessingContext) -> None:
    text = await ctx.image_to_base64(ImageRef(data=encoded(ASTRONAUT, "JPEG")))
    content = base64.b64decode(text, validate=True)
    assert image_type(content) == "image/png"
    assert (await ctx.image_to_pil({"type": "image", "data": content})).size == (512, 512)


async def test_an_empty_ref_is_a_value_error(ctx: ProcessingContext) -> None:
    with pytest.raises(ValueError, match="empty"):
        await ctx.image_to_pil(ImageRef())
