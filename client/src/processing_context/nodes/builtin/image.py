"""Image nodes. Pixels are processed in threads, since Pillow releases the GIL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from processing_context.nodes.base import BaseNode
from processing_context.nodes.builtin._text_drawing import draw_text
from processing_context.wire.refs import FolderRef, ImageRef

if TYPE_CHECKING:
    from PIL import Image

    from processing_context.context import ProcessingContext

logger = logging.getLogger(__name__)

Side = Annotated[int, Field(ge=1, le=16_384)]
"""Width or height of a created image, in pixels."""

Coordinate = Annotated[int, Field(ge=-16_384, le=16_384)]


class _ImageNode(BaseNode):
    namespace: ClassVar[str] = "image"
    required_modules: ClassVar[Sequence[str]] = ("PIL",)


async def _edited(
    context: ProcessingContext, ref: ImageRef, edit: Callable[[Image.Image], Image.Image]
) -> ImageRef:
    if ref.is_empty():
        raise ValueError("image is empty: connect an image or set one")
    image = await context.image_to_pil(ref)
    return await context.image_from_pil(await asyncio.to_thread(edit, image))


class Load(_ImageNode):
    """Load an image from a URL or from the user's assets."""

    required_modules: ClassVar[Sequence[str]] = ()

    url: str = ""
    asset: ImageRef = ImageRef()

    @classmethod
    def is_cacheable(cls) -> bool:
        """Return False: the content of a URL may change."""
        return False

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Load the bytes once for all successors."""
        if bool(self.url) == self.asset.is_set():
            raise ValueError("set exactly one of url and asset")
        if self.url:
            return await context.image_from_url(self.url)
        data = await context.asset_to_bytes(self.asset)
        return self.asset.model_copy(update={"data": data})


class Resize(_ImageNode):
    """Resize an image.

    `fill` stretches it to the size, `contain` keeps the proportions within the size, `cover` keeps
    them and crops the rest.
    """

    image: ImageRef = ImageRef()
    width: Side = 512
    height: Side = 512
    fit: Literal["fill", "contain", "cover"] = "fill"

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Resize the image."""
        return await _edited(context, self.image, self._resize)

    def _resize(self, image: Image.Image) -> Image.Image:
        from PIL import Image, ImageOps

        size, filter_ = (self.width, self.height), Image.Resampling.LANCZOS
        if self.fit == "contain":
            return ImageOps.contain(image, size, filter_)
        if self.fit == "cover":
            return ImageOps.fit(image, size, filter_)
        return image.resize(size, filter_)


class Crop(_ImageNode):
    """Crop an image to a rectangle; `right` and `bottom` are exclusive."""

    image: ImageRef = ImageRef()
    left: int = Field(default=0, ge=0)
    top: int = Field(default=0, ge=0)
    right: int = Field(default=512, ge=1)
    bottom: int = Field(default=512, ge=1)

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Crop the image."""
        return await _edited(context, self.image, self._crop)

    def _crop(self, image: Image.Image) -> Image.Image:
        box = (self.left, self.top, self.right, self.bottom)
        if not (self.left < self.right <= image.width and self.top < self.bottom <= image.height):
            raise ValueError(
                f"the box {box} (left, top, right, bottom) is empty or exceeds the image,"
                f" which is {image.width} x {image.height}"
            )
        return image.crop(box)


class Blur(_ImageNode):
    """Blur an image (Gaussian)."""

    image: ImageRef = ImageRef()
    radius: float = Field(default=2.0, ge=0, le=64, description="In pixels.")

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Blur the image."""
        return await _edited(context, self.image, self._blur)

    def _blur(self, image: Image.Image) -> Image.Image:
        from PIL import ImageFilter

        return image.filter(ImageFilter.GaussianBlur(self.radius))


class Rotate(_ImageNode):
    """Rotate an image counter-clockwise."""

    image: ImageRef = ImageRef()
    angle: float = Field(default=90.0, ge=-360, le=360, description="In degrees.")
    expand: bool = Field(default=True, description="Enlarge the image to fit the rotated content.")

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Rotate the image."""
        return await _edited(context, self.image, self._rotate)

    def _rotate(self, image: Image.Image) -> Image.Image:
        from PIL import Image

        return image.rotate(self.angle, Image.Resampling.BICUBIC, expand=self.expand)


class Grayscale(_ImageNode):
    """Remove the colors of an image; transparency is kept."""

    image: ImageRef = ImageRef()

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Remove the colors."""
        return await _edited(context, self.image, self._grayscale)

    def _grayscale(self, image: Image.Image) -> Image.Image:
        return image.convert("LA" if "A" in image.getbands() else "L")


class Blend(_ImageNode):
    """Blend two images. The second is resized to the size of the first."""

    image1: ImageRef = ImageRef()
    image2: ImageRef = ImageRef()
    alpha: float = Field(default=0.5, ge=0, le=1, description="0: only image1, 1: only image2.")

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Blend the images."""
        if self.image2.is_empty():
            raise ValueError("image2 is empty: connect an image or set one")
        second = await context.image_to_pil(self.image2)
        return await _edited(context, self.image1, lambda first: self._blend(first, second))

    def _blend(self, first: Image.Image, second: Image.Image) -> Image.Image:
        from PIL import Image

        mode = "RGBA" if "A" in first.getbands() + second.getbands() else "RGB"
        if second.size != first.size:
            second = second.resize(first.size, Image.Resampling.LANCZOS)
        return Image.blend(first.convert(mode), second.convert(mode), self.alpha)


class DrawText(_ImageNode):
    """Draw a text on an image, in any common script.

    Characters that no font has are drawn as boxes, and named in a warning.
    """

    required_modules: ClassVar[Sequence[str]] = (
        "PIL",
        "fontTools",
        "pymupdf_fonts",
        "noto_cjk_sans_otc",
    )

    image: ImageRef = ImageRef()
    text: str = ""
    x: Coordinate = 0
    y: Coordinate = 0
    size: float = Field(default=32, ge=1, le=2048, description="Font size in pixels.")
    color: str = Field(default="white", description="Color name or #rrggbb.")
    font: str = Field(
        default="",
        description="File name of a font that is installed on the worker; empty: built-in fonts.",
    )

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Draw the text."""
        return await _edited(context, self.image, self._draw)

    def _draw(self, image: Image.Image) -> Image.Image:
        drawn = image.copy()
        missing = draw_text(
            drawn, self.text, (self.x, self.y), size=self.size, color=self.color, font=self.font
        )
        if missing:
            named = ", ".join(
                f"{character!r} (U+{ord(character):04X})" for character in missing[:10]
            )
            logger.warning("no font has the characters %s: boxes are drawn instead", named)
        return drawn


class Save(_ImageNode):
    """Save an image as an asset of the user."""

    required_modules: ClassVar[Sequence[str]] = ()

    image: ImageRef = ImageRef()
    name: str = Field(default="image", min_length=1, max_length=1000)
    folder: FolderRef = FolderRef()

    @classmethod
    def is_cacheable(cls) -> bool:
        """Return False: each run creates an asset."""
        return False

    async def process(self, context: ProcessingContext) -> ImageRef:
        """Store the bytes unchanged."""
        if self.image.is_empty():
            raise ValueError("image is empty: connect an image or set one")
        data = await context.asset_to_bytes(self.image)
        return await context.image_from_bytes(data, name=self.name, parent_id=self.folder.asset_id)
