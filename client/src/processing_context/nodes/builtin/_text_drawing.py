"""Text drawn on images, with fonts for most scripts.

The extra `fonts` installs FiraGO (Latin, Greek, Cyrillic, Arabic, Hebrew, Devanagari, Georgian,
Thai) and Noto Sans CJK (Chinese, Japanese, Korean).
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from processing_context._extras import require

if TYPE_CHECKING:
    from PIL import Image, ImageFont

_LINE_SPACING = 4
_SIMPLIFIED_CHINESE = 2  # number of the font in the collection


class _Face(NamedTuple):
    """A font of any size: its file or its bytes, and the characters that it has."""

    source: str | bytes
    number: int
    characters: frozenset[int]

    def sized(self, size: float) -> ImageFont.FreeTypeFont:
        """Return the font in a size in pixels."""
        from PIL import ImageFont

        file = io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source
        return ImageFont.truetype(file, size, index=self.number)


def draw_text(
    image: Image.Image,
    text: str,
    position: tuple[float, float],
    *,
    size: float,
    color: str,
    font: str,
) -> str:
    """Draw lines of text; return the characters that no font has, which are drawn as boxes.

    Args:
        image: Drawn on.
        text: Its lines are separated by newlines.
        position: Left end and top of the first line.
        size: Font size in pixels.
        color: Color name or #rrggbb.
        font: File name of an installed font; empty: the built-in fonts.

    Raises:
        ValueError: The font is not installed.
        MissingDependencyError: The extra `fonts` is not installed.
    """
    from PIL import ImageDraw

    faces = [*_installed(font), *_built_in()]
    fonts = {face: face.sized(size) for face in faces}
    draw = ImageDraw.Draw(image)
    left, top = position
    for line in text.split("\n"):
        runs = [(fonts[face], run) for face, run in _runs(line, faces)]
        used = [font for font, _ in runs] or [fonts[faces[0]]]
        ascent = max(font.getmetrics()[0] for font in used)
        x = left
        for sized, run in runs:
            draw.text((x, top + ascent), run, fill=color, font=sized, anchor="ls")
            x += sized.getlength(run)
        top += ascent + max(font.getmetrics()[1] for font in used) + _LINE_SPACING
    missing = dict.fromkeys(c for c in text if c != "\n" and not _find(c, faces))
    return "".join(missing)


def _runs(line: str, faces: Sequence[_Face]) -> Iterator[tuple[_Face, str]]:
    """Split a line into runs of one font; one run if a font has all of its characters."""
    for face in faces:
        if all(ord(character) in face.characters for character in line):
            if line:
                yield face, line
            return
    chosen: list[_Face] = []
    for character in line:
        is_joined = unicodedata.category(character) in ("Mn", "Me", "Cf", "Zs")
        if is_joined and chosen:  # marks and spaces belong to what precedes them
            chosen.append(chosen[-1])
        else:
            chosen.append(_find(character, faces) or faces[0])
    position = 0
    for face, group in groupby(chosen):
        end = position + len(list(group))
        yield face, line[position:end]
        position = end


def _find(character: str, faces: Sequence[_Face]) -> _Face | None:
    return next((face for face in faces if ord(character) in face.characters), None)


def _installed(name: str) -> list[_Face]:
    from PIL import ImageFont

    if not name:
        return []
    if PurePath(name).name != name or "\\" in name:
        raise ValueError(f"font must be a file name such as DejaVuSans-Bold.ttf, not {name!r}")
    try:
        path = ImageFont.truetype(name).path
    except OSError:
        raise ValueError(f"the font {name!r} is not installed on the worker") from None
    return [_face(str(path), 0)]


@cache
def _built_in() -> tuple[_Face, ...]:
    """Return the fonts of the extra `fonts`."""
    fira = require("pymupdf_fonts", extra="fonts").fontbuffers["figo"]()
    noto = require("noto_cjk_sans_otc", extra="fonts").FONT_PATH
    return _face(fira, 0), _face(str(noto), _SIMPLIFIED_CHINESE)


@cache
def _face(source: str | bytes, number: int) -> _Face:
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with require("fontTools.ttLib", extra="fonts").TTFont(
        file, fontNumber=number, lazy=True
    ) as font:
        return _Face(source, number, frozenset(font.getBestCmap()))
