"""Problems of decoding files."""

from __future__ import annotations

from app.http.problems import Invalid, TooLarge, Unavailable


class Undecodable(Invalid):
    """The file is damaged, or its format is not supported."""

    code = "undecodable"
    detail = "The file cannot be decoded: it is damaged, or its format is not supported."


class ConversionTimeout(Invalid):
    """Decoding took longer than the limit."""

    code = "conversion_timeout"
    detail = "Decoding the file took longer than the limit."


class SourceTooLarge(TooLarge):
    """The decoded file would be larger than the limit."""

    code = "source_too_large"
    detail = "The decoded file would be larger than the limit."


class DecodersBusy(Unavailable):
    """No decoder was free within the waiting time, or too many tasks are waiting for one."""

    code = "decoders_busy"
    detail = "All decoders are busy: retry after the time in Retry-After."

    def __init__(self) -> None:
        super().__init__(retry_after_s=5)
