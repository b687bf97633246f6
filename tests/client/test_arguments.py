"""Tests of invalid arguments: a `ValueError` before any request is sent."""

from __future__ import annotations

from typing import Any

import pytest

from processing_context import ProcessingContext

TEXTS = [
    ("create_asset", "name", {"content_type": "text/plain", "content": b""}),
    ("create_asset", "content_type", {"name": "a", "content": b""}),
    ("download_asset", "asset_id", {}),
    ("find_asset", "asset_id", {}),
    ("get_asset_url", "asset_id", {}),
    ("download_temp_asset", "temp_id", {}),
    ("download_file", "url", {}),
    ("http_get", "url", {}),
    ("image_from_url", "url", {}),
    ("image_from_base64", "b64", {}),
    ("get_job", "job_id", {}),
    ("cancel_job", "job_id", {}),
    ("get_workflow", "workflow_id", {}),
    ("run_workflow", "workflow_id", {}),
]


@pytest.fixture
def ctx() -> ProcessingContext:
    return ProcessingContext(base_url="http://127.0.0.1:1", retries=0)


@pytest.mark.parametrize("value", ["", None, 7])
@pytest.mark.parametrize(("method", "argument", "rest"), TEXTS)
async def test_a_text_that_is_missing_is_named(
    ctx: ProcessingContext, method: str, argument: str, rest: dict[str, Any], value: Any
) -> None:
    with pytest.raises(ValueError, match=argument):
        await getattr(ctx, method)(**rest, **{argument: value})


@pytest.mark.parametrize("method", ["asset_storage_url", "temp_storage_url"])
def test_a_storage_url_is_of_something(ctx: ProcessingContext, method: str) -> None:
    with pytest.raises(ValueError, match="key must not be empty"):
        getattr(ctx, method)(key="")


@pytest.mark.parametrize("buffer", [None, "", b"bytes"])
async def test_a_buffer_is_a_file(ctx: ProcessingContext, buffer: Any) -> None:
    with pytest.raises(ValueError, match="expected a binary file object, not "):
        await ctx.image_from_io(buffer)


async def test_an_empty_path_is_no_content(ctx: ProcessingContext) -> None:
    with pytest.raises(ValueError, match="content must not be empty"):
        await ctx.create_asset("a", "text/plain", "")


async def test_http_get_is_for_http(ctx: ProcessingContext) -> None:
    with pytest.raises(ValueError, match=r"url= must be an http\(s\): URL, not 'file:///x'"):
        await ctx.http_get("file:///x")


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": -1.0}, {"retries": -1}])
def test_timeout_and_retries_make_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"timeout=\S+ must be over 0, retries=\S+ 0 or more"):
        ProcessingContext(**options)
