"""Why a file was not decoded."""

from __future__ import annotations

from app.http.problems import Invalid, TooLarge, Unavailable


class Undecodable(Invalid):
    """The bytes are not what a decoder can read."""

    code = "undecodable"
    detail = "The file cannot be decoded."


class ConversionTimeout(Invalid):
    """It took too long."""

    code = "conversion_timeout"
    detail = "Decoding the file took longer than the limit."


class SourceTooLarge(TooLarge):
    """Decoded, it would be larger than the limit."""

    code = "source_too_large"
    detail = "The file is larger, once decoded, than the limit."


class DecodersBusy(Unavailable):
    """All decoders are at work, and have been for a while."""

    code = "decoders_busy"
    detail = "All decoders are busy."

    def __init__(self) -> None:
        super().__init__(retry_after_s=5)
