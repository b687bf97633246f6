"""Presigned S3 URLs (Signature Version 4, in the query), computed without network access.

The signing key is cached for a day, the time-dependent parameters for a second, and quoted query
parameters without limit of time. A URL then costs the quoting of its key, one hash and one HMAC.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from hmac import digest as hmac_digest
from typing import NamedTuple
from urllib.parse import quote, urlsplit

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_PLAIN_KEY = re.compile(r"[A-Za-z0-9._~/-]*")


def _quote(value: str) -> str:
    return quote(value, safe="-_.~")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac_digest(key, text.encode(), "sha256")


@lru_cache(maxsize=4096)
def _parameters(query: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """Return the quoted parameters that sort before and after those of the signature."""
    quoted = sorted(f"{_quote(name)}={_quote(value)}" for name, value in query)
    before = "".join(f"{item}&" for item in quoted if item < "X-Amz-")
    return before, "".join(f"&{item}" for item in quoted if item >= "X-Amz-")


class _Second(NamedTuple):
    """Parts of a signature that are the same for all URLs signed in one second."""

    number: int
    parameters: str
    to_sign: str
    key: bytes


class Signer:
    """Signs path-style URLs of one S3 endpoint with one pair of keys.

    Threads may share it: cached values are replaced atomically.
    """

    def __init__(self, endpoint: str, *, region: str, access_key: str, secret_key: str) -> None:
        parts = urlsplit(endpoint)
        self._host = parts.netloc.removesuffix(_DEFAULT_PORTS.get(parts.scheme, ""))
        self._base = f"{parts.scheme}://{self._host}"
        self._region = region
        self._access_key = access_key
        self._secret_key = secret_key
        self._day = ("", b"")
        self._second = _Second(-1, "", "", b"")

    def presign(
        self,
        method: str,
        bucket: str,
        key: str,
        *,
        expires_s: int,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        now: datetime | None = None,
    ) -> str:
        """Return a URL that permits one kind of request for one object until it expires.

        Args:
            method: The HTTP method that the URL permits.
            bucket: The bucket.
            key: The key of the object.
            expires_s: The validity in seconds, 1 to 604,800.
            query: Further parameters, such as `response-content-type`.
            headers: Headers that requests must send with exactly these values, besides `Host`.
            now: The time of the signature; None is the current time.
        """
        second = self._second
        number = int(time.time() if now is None else now.timestamp())
        if number != second.number:
            second = self._second = self._begin(number)
        names, lines = "host", f"host:{self._host}\n"
        if headers:
            names, lines = self._signed(headers)
        before, after = _parameters(tuple(query.items())) if query else ("", "")
        text = (
            f"{before}{second.parameters}{expires_s}"
            f"&X-Amz-SignedHeaders={names.replace(';', '%3B')}{after}"
        )
        path = key if _PLAIN_KEY.fullmatch(key) else quote(key, safe="-_.~/")
        path = f"/{bucket}/{path}"
        request = f"{method}\n{path}\n{text}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        to_sign = second.to_sign + sha256(request.encode()).hexdigest()
        signature = hmac_digest(second.key, to_sign.encode(), "sha256").hex()
        return f"{self._base}{path}?{text}&X-Amz-Signature={signature}"

    def _signed(self, headers: Mapping[str, str]) -> tuple[str, str]:
        """Return the names of the signed headers, and the canonical headers."""
        signed = {"host": self._host}
        signed |= {name.lower(): value.strip() for name, value in headers.items()}
        names = sorted(signed)
        return ";".join(names), "".join(f"{name}:{signed[name]}\n" for name in names)

    def _begin(self, second: int) -> _Second:
        stamp = datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
        day = stamp[:8]
        known, key = self._day
        if known != day:
            key = self._key_of(day)
            self._day = (day, key)
        scope = f"{day}/{self._region}/s3/aws4_request"
        parameters = (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Credential={_quote(f'{self._access_key}/{scope}')}"
            f"&X-Amz-Date={stamp}&X-Amz-Expires="
        )
        return _Second(second, parameters, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n", key)

    def _key_of(self, day: str) -> bytes:
        key = _hmac(f"AWS4{self._secret_key}".encode(), day)
        for part in (self._region, "s3", "aws4_request"):
            key = _hmac(key, part)
        return key
