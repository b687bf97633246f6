"""Tests of text on images."""

from __future__ import annotations

import logging

import pytest
from PIL import Image

from processing_context import ProcessingContext
from processing_context.nodes.builtin import image

WORDS = [
    "Grüße",
    "5 €",
    "été",
    "\u2013",
    "Привет",
    "Ελλάδα",
    "Việt",
    "你好",
    "こんにちは",
    "안녕",
    "مرحبا",
]
WORDS += ["שלום", "नमस्ते", "สวัสดี", "გამარჯობა"]
NOT_A_CHARACTER = "\U0010ffff"


@pytest.fixture
def context() -> ProcessingContext:
    return ProcessingContext(user_id="somebody")


async def drawn(context: ProcessingContext, text: str, font: str = "") -> Image.Image:
    """Draw a text on a black image."""
    blank = await context.image_from_pil(Image.new("RGB", (400, 200)))
    node = image.DrawText(image=blank, text=text, x=4, y=4, size=32, font=font)
    return await context.image_to_pil(await node.process(context))


@pytest.mark.parametrize("word", WORDS)
async def test_no_script_is_drawn_as_boxes(
    context: ProcessingContext, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = NOT_A_CHARACTER * len(word)
    assert (await drawn(context, word)).tobytes() != (await drawn(context, boxes)).tobytes()
    caplog.clear()
    await drawn(context, word)
    assert not caplog.records


async def test_words_of_several_scripts_are_on_one_line(context: ProcessingContext) -> None:
    alone, mixed = await drawn(context, "ü"), await drawn(context, "ü 你 я")
    assert mixed.getbbox()[2] > alone.getbbox()[2]  # type: ignore[index]
    assert mixed.getbbox()[3] < 60  # type: ignore[index]


async def test_lines_are_below_each_other(context: ProcessingContext) -> None:
    one, two = await drawn(context, "A"), await drawn(context, "A\n\nA")
    assert two.getbbox()[3] > one.getbbox()[3] + 64  # type: ignore[index]


async def test_a_character_without_a_glyph_is_named_in_a_warning(
    context: ProcessingContext, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await drawn(context, f"a{NOT_A_CHARACTER}b{NOT_A_CHARACTER}")
    assert [record.getMessage().count("U+10FFFF") for record in caplog.records] == [1]


@pytest.mark.parametrize("font", ["NoSuchFont.ttf", "../secret.ttf", "/etc/passwd", "a\\b.ttf"])
async def test_a_font_that_is_not_installed_is_refused(
    context: ProcessingContext, font: str
) -> None:
    with pytest.raises(ValueError, match="font"):
        await drawn(context, "a", font)


async def test_an_empty_text_changes_nothing(context: ProcessingContext) -> None:
    assert (await drawn(context, "")).getbbox() is None
