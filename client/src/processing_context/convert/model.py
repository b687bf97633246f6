"""Fitted estimators to and from the skops format; needs the extra `model`."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from io import BytesIO
from typing import Any

from processing_context._extras import require
from processing_context.errors import UnsafeFileError

CONTENT_TYPE = "application/x-skops"

# First bytes of pickles (protocols 2 to 5), and of the compressions that joblib uses.
_PICKLED = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_COMPRESSED = (
    *(b"\x78" + level for level in (b"\x01", b"\x5e", b"\x9c", b"\xda")),  # zlib
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x04\x22\x4d\x18",
    b"\x5d\x00\x00",
)


def dump_estimator(estimator: Any) -> bytes:
    """Return an estimator in the skops format.

    Raises:
        ValueError: The object is not an estimator, or skops does not support a part of it.
    """
    base = require("sklearn.base", extra="model").BaseEstimator
    if not isinstance(estimator, base):
        raise ValueError(f"expected a scikit-learn estimator, not {type(estimator).__name__}")
    try:
        data: bytes = require("skops.io", extra="model").dumps(estimator)
    except Exception as exc:  # skops raises exceptions of the parts that it visits
        raise ValueError(f"{type(estimator).__name__} has no skops form: {exc}") from exc
    return data


def load_estimator(data: bytes, trusted: Collection[str] = ()) -> Any:
    """Return the estimator in a skops file. Nothing in the file is run.

    Args:
        data: The file.
        trusted: Names of types to load beside those that skops trusts, as `package.module.Type`.

    Raises:
        UnsafeFileError: The file is a pickle, or has types that are not trusted; they are named.
        ValueError: The file is not a skops file, or damaged.
    """
    skops = require("skops.io", extra="model")
    _check_format(data)
    try:
        untrusted = set(skops.get_untrusted_types(data=data)) - set(trusted)
        if untrusted:
            names = ", ".join(sorted(untrusted))
            raise UnsafeFileError(
                f"the model has types that are not trusted: {names}; if you trust its author, pass "
                "them as trusted=[…]"
            )
        return skops.loads(data, trusted=sorted(trusted))
    except UnsafeFileError:
        raise
    except Exception as exc:  # skops has no error class for damaged files
        raise ValueError(f"the model cannot be loaded: {type(exc).__name__}: {exc}") from exc


def _check_format(data: bytes) -> None:
    if data.startswith(_PICKLED) or data.startswith(_COMPRESSED):
        raise UnsafeFileError(
            "the file is a pickle or joblib file, which can run code when it is loaded: save the "
            "model with skops, or by from_estimator"
        )
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            is_skops = "schema.json" in archive.namelist()
    except zipfile.BadZipFile:
        is_skops = False
    if not is_skops:
        raise ValueError(f"not a skops file; the content begins with {data[:16]!r}")
