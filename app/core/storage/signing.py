"""Presigned S3 URLs (Signature Version 4, in the query): pure computation, no network.

A day's key is derived once, and what does not change between URLs is put together once, so that a
page of a thousand URLs costs a few milliseconds.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

MAX_EXPIRES_S = 7 * 24 * 3600
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def _quote(value: str) -> str:
    return quote(value, safe="-_.~")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


class Signer:
    """Signs URLs of one S3 endpoint with one pair of keys (path-style addresses)."""

    def __init__(self, endpoint: str, *, region: str, access_key: str, secret_key: str) -> None:
        parts = urlsplit(endpoint)
        self._host = parts.netloc.removesuffix(_DEFAULT_PORTS.get(parts.scheme, ""))
        self._base = f"{parts.scheme}://{self._host}"
        self._region = region
        self._access_key = access_key
        self._secret_key = secret_key
        self._day = ""
        self._scope = ""
        self._credential = ""
        self._key = b""

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
        """Return a URL that does one thing to one object until it expires.

        Args:
            method: The HTTP method that it is good for.
            bucket: The bucket.
            key: The object's key.
            expires_s: How long, 1 to 604,800.
            query: Further parameters, such as `response-content-type`.
            headers: Headers that the request must carry with exactly these values, beside `Host`.
            now: When it is signed.
        """
        stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        if stamp[:8] != self._day:
            self._begin_day(stamp[:8])
        signed = {"host": self._host}
        if headers:
            signed |= {name.lower(): value.strip() for name, value in headers.items()}
        names = ";".join(sorted(signed))
        parameters = [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            f"X-Amz-Credential={self._credential}",
            f"X-Amz-Date={stamp}",
            f"X-Amz-Expires={expires_s}",
            f"X-Amz-SignedHeaders={_quote(names)}",
        ]
        if query:
            parameters += [f"{_quote(name)}={_quote(value)}" for name, value in query.items()]
            parameters.sort()
        path = f"/{bucket}/{quote(key, safe='-_.~/')}"
        text = "&".join(parameters)
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        request = f"{method}\n{path}\n{text}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{self._scope}\n{digest}"
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        return f"{self._base}{path}?{text}&X-Amz-Signature={signature}"

    def _begin_day(self, day: str) -> None:
        self._scope = f"{day}/{self._region}/s3/aws4_request"
        self._credential = _quote(f"{self._access_key}/{self._scope}")
        key = _hmac(f"AWS4{self._secret_key}".encode(), day)
        for part in (self._region, "s3", "aws4_request"):
            key = _hmac(key, part)
        self._key = key
        self._day = day
