"""Tests of the EXIF orientation."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from processing_context.convert.image import decode_image, encode_png
from processing_context.convert.orientation import orientation, upright
from tests.support.photos import DAMAGED_ENTRIES, exif, mutations, with_exif

# Pillow reads the resolution from EXIF when it opens a JPEG, and warns of damage.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

LYING = Image.new("RGB", (64, 32), (200, 40, 40))


@pytest.mark.parametrize("entry", DAMAGED_ENTRIES.values(), ids=DAMAGED_ENTRIES)
def test_damaged_entries_do_not_hide_the_orientation(entry: tuple[int, int, int, bytes]) -> None:
    photo = with_exif(LYING, exif(entry))
    assert decode_image(io.BytesIO(photo)).size == (32, 64)


@pytest.mark.parametrize(
    "app1", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0garbage!!!", exif()[:20]]
)
def test_an_unreadable_orientation_is_ignored(app1: bytes) -> None:
    assert decode_image(io.BytesIO(with_exif(LYING, app1))).size == (64, 32)


@pytest.mark.parametrize("value", [0, 9, 256, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(value: int) -> None:
    assert decode_image(io.BytesIO(with_exif(LYING, exif(orientation=value)))).size == (64, 32)


def test_any_damage_of_the_exif_leaves_the_pixels_readable() -> None:
    sizes = {
        decode_image(io.BytesIO(with_exif(LYING, app1))).size for app1 in mutations(500, seed=1)
    }
    assert sizes == {(64, 32), (32, 64)}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("value", range(1, 9))
def test_each_format_is_turned_as_pillow_turns_it(kind: str, value: int) -> None:
    picture = Image.linear_gradient("L").resize((48, 32)).convert("RGB")
    picture.putpixel((0, 0), (255, 0, 0))
    tags = picture.getexif()
    tags[0x0112] = value
    out = io.BytesIO()
    picture.save(out, kind, exif=tags, **({"quality": 100} if kind != "PNG" else {}))
    decoded = decode_image(out)
    assert decoded.size == ((48, 32) if value < 5 else (32, 48))


def test_an_upright_image_keeps_the_rest_of_its_exif_and_is_not_turned_again() -> None:
    with Image.open(io.BytesIO(with_exif(LYING, exif((0x10F, 2, 6, b"maker\0"))))) as photo:
        turned = upright(photo)
    assert turned.size == (32, 64)
    assert orientation(turned) == 1
    assert turned.getexif().get(0x10F) == "maker"
    with Image.open(io.BytesIO(encode_png(turned))) as stored:
        assert stored.size == (32, 64)


def test_the_orientation_is_read_in_both_byte_orders_and_as_a_long() -> None:
    for order, kind, value in (
        ("II", 3, b"\6\0\0\0"),
        ("MM", 3, b"\0\6\0\0"),
        ("MM", 4, b"\0\0\0\6"),
    ):
        byte_order = "little" if order == "II" else "big"
        numbers = [(42, 2), (8, 4), (1, 2), (0x112, 2), (kind, 2), (1, 4)]
        head = b"".join(number.to_bytes(size, byte_order) for number, size in numbers)  # type: ignore[arg-type]
        image = Image.new("RGB", (64, 32))
        image.info["exif"] = order.encode() + head + value + b"\0" * 4
        assert orientation(image) == 6
