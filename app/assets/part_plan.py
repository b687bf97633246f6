"""Sizes of the parts of a multipart upload, and the check that all parts are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from app.assets.errors import InvalidAsset, UploadIncomplete
from app.assets.queries import AssetRecord
from app.storage import MAX_PARTS, Part
from processing_context.wire.assets import CompletedPart

MIB = 1024 * 1024
ONE_PUT_BYTES = 64 * MIB
"""Size up to which an upload is one PUT; larger ones are multipart uploads."""
PART_STEP_BYTES = 8 * MIB
_MAX_LISTED_RUNS = 20


def part_size_for(size: int) -> int:
    """Return the size of each part except the last one, in bytes."""
    steps = -(-size // (MAX_PARTS * PART_STEP_BYTES))
    return max(1, steps) * PART_STEP_BYTES


class PartPlan:
    """Numbers and sizes of the parts of an upload; numbers start at 1.

    Args:
        size: The size of the upload in bytes.
        part_size: The size of each part except the last one, in bytes.
    """

    def __init__(self, size: int, part_size: int) -> None:
        self.part_size = part_size
        self.count = -(-size // part_size)
        self._size = size

    @classmethod
    def of(cls, asset: AssetRecord) -> PartPlan:
        """Return the part plan of an asset's multipart upload.

        Raises:
            ValueError: The asset has no multipart upload.
        """
        if asset.part_size is None:
            raise ValueError(f"asset {asset.id} is not uploaded in parts")
        return cls(asset.size, asset.part_size)

    def size_of(self, number: int) -> int:
        """Return the size of a part in bytes."""
        return min(self.part_size, self._size - (number - 1) * self.part_size)

    def numbers(self, first: int, limit: int) -> range:
        """Return the numbers of at most `limit` parts, beginning with `first`."""
        return range(first, min(first + limit, self.count + 1))

    def check(self, stored: Sequence[Part], named: Sequence[CompletedPart] | None) -> list[Part]:
        """Return all parts in order, after checking that they are complete.

        Args:
            stored: The parts in storage.
            named: The parts that the caller expects; None skips the comparison.

        Raises:
            InvalidAsset: `named` has a duplicate part, or one that the upload does not have.
            UploadIncomplete: A part is missing, or has another size or ETag than expected.
        """
        by_number = {part.number: part for part in stored}
        if named is not None:
            self._check_named(by_number, named)
        numbers = range(1, self.count + 1)
        if missing := [number for number in numbers if number not in by_number]:
            raise UploadIncomplete(f"Storage does not have {_name(missing)} of {self.count}.")
        parts = [by_number[number] for number in numbers]
        for part in parts:
            if part.size != self.size_of(part.number):
                raise UploadIncomplete(
                    f"Part {part.number} has {part.size} bytes instead of "
                    f"{self.size_of(part.number)}: put it again."
                )
        return parts

    def _check_named(self, stored: dict[int, Part], named: Sequence[CompletedPart]) -> None:
        etags = {part.part_number: part.etag.strip('"') for part in named}
        if len(etags) < len(named):
            raise InvalidAsset("`parts` contains a part more than once.")
        if max(etags, default=0) > self.count:
            raise InvalidAsset(
                f"`parts` contains part {max(etags)}; the upload has {self.count} parts."
            )
        if missing := [n for n in range(1, self.count + 1) if n not in etags]:
            raise UploadIncomplete(f"`parts` lacks {_name(missing)} of {self.count}.")
        wrong = [n for n, etag in sorted(etags.items()) if n in stored and stored[n].etag != etag]
        if wrong:
            raise UploadIncomplete(
                f"The ETag of {_name(wrong)} differs from the stored one: put such parts again."
            )


def _name(numbers: Iterable[int]) -> str:
    """Return part numbers as text, such as `parts 1, 3-7`."""
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    ]
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    more = len(texts) - _MAX_LISTED_RUNS
    listed = ", ".join(texts[:_MAX_LISTED_RUNS]) + (f" and {more} more runs" if more > 0 else "")
    is_one = len(runs) == 1 and len(runs[0]) == 1
    return f"part {listed}" if is_one else f"parts {listed}"
