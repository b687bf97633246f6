"""Tests of color profiles."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from processing_context.convert.color import to_srgb
from processing_context.convert.image import decode_image, encode_png
from tests.support.photos import SRGB, empty_profile

RED = (200, 40, 40)


def _wide_gamut() -> bytes:
    """Return a copy of the sRGB profile whose red and green primaries are exchanged."""
    profile = bytearray(SRGB)
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def _encoded(image: Image.Image, kind: str, profile: bytes | None) -> io.BytesIO:
    out = io.BytesIO()
    image.save(out, kind, icc_profile=profile)
    return out


def test_a_profile_is_converted_to_srgb() -> None:
    image = Image.new("RGB", (8, 8), RED)
    decoded = decode_image(_encoded(image, "PNG", _wide_gamut()))
    red, green, _ = decoded.getpixel((0, 0))  # type: ignore[misc]
    assert green > red  # the primaries are exchanged
    assert "icc_profile" not in decoded.info


def test_an_srgb_image_keeps_its_samples() -> None:
    image = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    decoded = decode_image(_encoded(image, "PNG", SRGB))
    assert decoded.tobytes() == image.tobytes()


def test_alpha_is_kept_when_the_colors_are_converted() -> None:
    image = Image.new("RGBA", (8, 8), (*RED, 90))
    image.info["icc_profile"] = _wide_gamut()
    converted = to_srgb(image)
    assert converted.mode == "RGBA"
    assert converted.getpixel((0, 0))[3] == 90  # type: ignore[index]
    assert converted.getpixel((0, 0))[:3] != RED  # type: ignore[index]


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16"]
)
@pytest.mark.parametrize("space", [b"CMYK", b"GRAY", b"RGB ", b"Lab ", b"\0\0\0\0"])
def test_a_profile_without_tables_changes_nothing(mode: str, space: bytes) -> None:
    image = Image.new(mode, (8, 8))
    plain = to_srgb(image)
    image.info["icc_profile"] = empty_profile(space)
    converted = to_srgb(image)
    assert converted.tobytes() == plain.tobytes()
    assert "icc_profile" not in converted.info


@pytest.mark.parametrize(
    ("mode", "space", "is_kept"),
    [
        ("RGB", b"RGB ", True), ("RGBA", b"RGB ", True), ("P", b"RGB ", True), ("L", b"GRAY", True),
        ("LA", b"GRAY", True), ("I;16", b"GRAY", True), ("1", b"GRAY", True),
        ("RGB", b"GRAY", False), ("RGB", b"CMYK", False), ("L", b"RGB ", False),
        ("CMYK", b"CMYK", False), ("YCbCr", b"YCbr", False), ("LAB", b"Lab ", False),
    ],
)  # fmt: skip
def test_a_png_has_a_profile_only_of_the_color_space_of_its_pixels(
    mode: str, space: bytes, is_kept: bool
) -> None:
    image = Image.new(mode, (8, 8))
    image.info["icc_profile"] = empty_profile(space)
    with Image.open(io.BytesIO(encode_png(image))) as stored:
        assert ("icc_profile" in stored.info) == is_kept


def test_grey_gamma_is_converted() -> None:
    image = Image.new("L", (8, 8), 60)
    image.info["icc_profile"] = _grey_profile(gamma=1.0)
    value, *_ = to_srgb(image).getpixel((0, 0))  # type: ignore[misc]
    assert value == pytest.approx(133, abs=4)  # 60/255 in linear light


def test_cielab_is_converted() -> None:
    lab = Image.new("LAB", (4, 4), (255, 128, 128))
    assert min(to_srgb(lab).getpixel((0, 0))) >= 250  # type: ignore[arg-type]


def test_one_transparent_color_becomes_alpha() -> None:
    for mode, key, value in (("L", 7, 7), ("RGB", RED, RED), ("I;16", 40_000, 40_000)):
        image = Image.new(mode, (2, 1), value)
        image.putpixel((1, 0), 0 if mode != "RGB" else (0, 0, 0))
        image.info["transparency"] = key
        converted = to_srgb(image)
        assert converted.mode == "RGBA"
        assert [converted.getpixel((x, 0))[3] for x in (0, 1)] == [0, 255]  # type: ignore[index]


def test_an_image_of_unknown_range_is_refused() -> None:
    with pytest.raises(ValueError, match="mode F"):
        to_srgb(Image.new("F", (2, 2)))


def _grey_profile(*, gamma: float) -> bytes:
    """Return a minimal ICC v2 profile for grey images with a gamma curve."""
    white = b"XYZ \0\0\0\0" + b"".join(
        round(v * 65536).to_bytes(4, "big") for v in (0.9642, 1, 0.8249)
    )
    curve = (
        b"curv\0\0\0\0" + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big") + b"\0\0"
    )
    tags = (2).to_bytes(4, "big")
    offset = 128 + 4 + 2 * 12
    for name, value in ((b"wtpt", white), (b"kTRC", curve)):
        tags += name + offset.to_bytes(4, "big") + len(value).to_bytes(4, "big")
        offset += len(value)
    head = bytearray(empty_profile(b"GRAY")[:128])
    head[0:4], head[12:16], head[20:24] = offset.to_bytes(4, "big"), b"mntr", b"XYZ "
    head[68:80] = white[8:]
    return bytes(head) + tags + white + curve
