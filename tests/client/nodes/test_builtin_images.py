from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from PIL import Image

from processing_context.context import ProcessingContext
from processing_context.nodes.builtin import image
from processing_context.wire.refs import ImageRef


def photo(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)())


@pytest.fixture
def context() -> ProcessingContext:
    return ProcessingContext(user_id="somebody", allow_local_files=True)


@pytest.fixture(scope="module")
def cat() -> ImageRef:
    """Return a photograph of a cat, 451 x 300."""
    buffer = io.BytesIO()
    photo("chelsea").save(buffer, "jpeg", quality=90)
    return ImageRef(data=buffer.getvalue())


@pytest.fixture(scope="module")
def cup() -> ImageRef:
    """Return a photograph of a cup, 600 x 400, half transparent."""
    buffer = io.BytesIO()
    coffee = photo("coffee")
    coffee.putalpha(128)
    coffee.save(buffer, "png")
    return ImageRef(data=buffer.getvalue())


async def pixels(context: ProcessingContext, node: Any) -> Image.Image:
    made: Image.Image = await context.image_to_pil(await node.process(context))
    return made


@pytest.mark.parametrize(
    ("fit", "size"), [("fill", (200, 200)), ("contain", (200, 133)), ("cover", (200, 200))]
)
async def test_resize(
    context: ProcessingContext, cat: ImageRef, fit: Any, size: tuple[int, int]
) -> None:
    node = image.Resize(image=cat, width=200, height=200, fit=fit)
    assert (await pixels(context, node)).size == size


async def test_crop_takes_the_box(context: ProcessingContext, cat: ImageRef) -> None:
    whole = np.asarray(await context.image_to_pil(cat))
    cut = await pixels(context, image.Crop(image=cat, left=10, top=20, right=110, bottom=70))
    assert np.array_equal(np.asarray(cut), whole[20:70, 10:110])


async def test_crop_out_of_the_image_is_refused(context: ProcessingContext, cat: ImageRef) -> None:
    with pytest.raises(ValueError, match="451 x 300"):
        await image.Crop(image=cat, left=0, top=0, right=500, bottom=10).process(context)


async def test_blur_takes_detail_and_keeps_brightness(
    context: ProcessingContext, cat: ImageRef
) -> None:
    sharp = np.asarray(await context.image_to_pil(cat), dtype=float)
    blurred = np.asarray(await pixels(context, image.Blur(image=cat, radius=5)), dtype=float)
    assert np.abs(np.diff(blurred, axis=1)).mean() < np.abs(np.diff(sharp, axis=1)).mean() / 2
    assert blurred.mean() == pytest.approx(sharp.mean(), rel=0.01)


async def test_rotate_grows_to_hold_all(context: ProcessingContext, cat: ImageRef) -> None:
    assert (await pixels(context, image.Rotate(image=cat, angle=90))).size == (300, 451)
    assert (await pixels(context, image.Rotate(image=cat, angle=45, expand=False))).size == (
        451,
        300,
    )


async def test_grayscale_has_no_colour_and_keeps_alpha(
    context: ProcessingContext, cat: ImageRef, cup: ImageRef
) -> None:
    gray = np.asarray(await pixels(context, image.Grayscale(image=cat)))
    assert np.array_equal(gray[..., 0], gray[..., 1])
    clear = await pixels(context, image.Grayscale(image=cup))
    assert clear.mode == "RGBA"
    assert clear.getchannel("A").getextrema() == (128, 128)


async def test_blend_is_between_the_two(
    context: ProcessingContext, cat: ImageRef, cup: ImageRef
) -> None:
    first = np.asarray((await context.image_to_pil(cat)).convert("RGB"), dtype=float)
    mixed = await pixels(context, image.Blend(image1=cat, image2=cup, alpha=0.0))
    assert mixed.size == (451, 300)
    assert np.abs(np.asarray(mixed.convert("RGB"), dtype=float) - first).max() <= 1


async def test_text_is_drawn_where_it_was_asked(context: ProcessingContext, cat: ImageRef) -> None:
    before = np.asarray(await context.image_to_pil(cat), dtype=int)
    node = image.DrawText(image=cat, text="Chelsea", x=10, y=10, size=40, color="#ff0000")
    after = np.asarray(await pixels(context, node), dtype=int)
    rows, columns = np.nonzero(np.abs(after - before).sum(axis=2))
    assert 10 <= rows.min() <= 25
    assert rows.max() < 60
    assert 10 <= columns.min() <= 20
    assert 100 < columns.max() < 250


async def test_load_from_a_file_url(
    context: ProcessingContext, cat: ImageRef, tmp_path: Path
) -> None:
    file = tmp_path / "cat.jpg"
    file.write_bytes(cat.data or b"")
    loaded = await image.Load(url=file.as_uri()).process(context)
    assert loaded.data == cat.data


@pytest.mark.parametrize("node", [image.Load(), image.Blur(), image.Save(), image.Blend()])
async def test_node_without_an_image_says_so(context: ProcessingContext, node: Any) -> None:
    with pytest.raises(
        ValueError, match=r"image2? is empty: connect an image|set exactly one of url and asset"
    ):
        await node.process(context)
