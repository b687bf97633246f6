"""Tests of presigned URLs, compared with those of the minio SDK."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from minio import Minio

from app.storage.presign import Signer

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


def signer(endpoint: str) -> Signer:
    """Return a new signer."""
    return Signer(endpoint, region="eu-central-1", access_key=ACCESS_KEY, secret_key=SECRET_KEY)


@given(
    key=st.text("abc09-_.~/ +äß&=%?#", min_size=1, max_size=40).filter(
        lambda key: key.strip() and not {"", ".", ".."} & set(key.split("/"))
    ),
    query=st.dictionaries(
        st.builds("{}{}".format, st.sampled_from(["response-", "A", "Z", "~"]), TEXT),
        TEXT,
        max_size=3,
    ),
    expires_s=st.integers(1, 604_800),
    day=st.integers(0, 3),
)
def test_a_url_equals_that_of_the_sdk(
    key: str, query: dict[str, str], expires_s: int, day: int
) -> None:
    now = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC) + timedelta(days=day)
    ours = signer("https://s3.example:443").presign(
        "GET", "bucket", key, expires_s=expires_s, query=query, now=now
    )
    sdk = Minio("s3.example", ACCESS_KEY, SECRET_KEY, region="eu-central-1")
    theirs = sdk.get_presigned_url(
        "GET",
        "bucket",
        key,
        expires=timedelta(seconds=expires_s),
        extra_query_params=dict(query),
        request_date=now,
    )
    assert ours.rpartition("=")[2] == theirs.rpartition("=")[2]


def test_the_key_of_a_day_is_not_used_the_next() -> None:
    old = signer("http://s3:9000")
    evening = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    morning = evening + timedelta(seconds=1)
    for now in (evening, morning, evening):
        fresh = signer("http://s3:9000")
        assert old.presign("GET", "b", "k", expires_s=9, now=now) == fresh.presign(
            "GET", "b", "k", expires_s=9, now=now
        )
