"""Tests of texts, tables and models of a context, stored and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pandas as pd
import pytest
import pytest_asyncio
from pandas.testing import assert_frame_equal
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from processing_context import ProcessingContext, TextRef, UnsafeFileError
from tests.support.services import Service, User


@pytest_asyncio.fixture
async def ctx(service: Service, user: User) -> AsyncIterator[ProcessingContext]:
    async with ProcessingContext(base_url=service.url, token=user.token) as context:
        yield context


async def test_a_text_is_stored_as_utf_8(ctx: ProcessingContext) -> None:
    folder = await ctx.create_folder("texts")
    ref = await ctx.text_from_str("Grüße", "note.md", "text/markdown", folder.id)
    asset = await ctx.find_asset(ref.asset_id or "")
    assert (asset.name, asset.content_type, asset.parent_id) == (
        "note.md", "text/markdown", folder.id,
    )  # fmt: skip
    assert await ctx.asset_to_bytes(ref) == "Grüße".encode()
    assert await ctx.to_str(ref) == await ctx.text_to_str(ref) == "Grüße"


async def test_a_text_without_a_name_stays_in_memory() -> None:
    ctx = ProcessingContext(user_id="somebody")
    assert await ctx.to_str(await ctx.text_from_str("")) == ""
    assert await ctx.to_str("as it is") == "as it is"
    assert await ctx.to_str({"type": "text", "data": "aGk=", "uri": ""}) == "hi"


async def test_the_charset_of_the_content_type_is_used(ctx: ProcessingContext) -> None:
    latin = "Grüße".encode("cp1252")
    declared = await ctx.create_asset("a.txt", "text/plain; charset=windows-1252", latin)
    assert await ctx.to_str(TextRef(asset_id=declared.id)) == "Grüße"
    plain = await ctx.create_asset("b.txt", "text/plain", latin)
    with pytest.raises(ValueError, match="not UTF-8"):
        await ctx.to_str(TextRef(asset_id=plain.id))


async def test_an_empty_text_ref_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        await ProcessingContext(user_id="somebody").to_str(TextRef())
    with pytest.raises(ValueError, match="must be a string"):
        await ProcessingContext(user_id="somebody").text_from_str(b"x")  # type: ignore[arg-type]


async def test_a_table_is_stored_as_parquet(ctx: ProcessingContext) -> None:
    times = pd.date_range("2024-03-30", periods=3, tz="Europe/Berlin")
    frame = pd.DataFrame({"t": times, "v": [1.5, None, 2.5]}, index=pd.Index(list("abc"), name="k"))
    ref = await ctx.dataframe_from_pandas(frame, "table.parquet")
    asset = await ctx.find_asset(ref.asset_id or "")
    assert asset.content_type == "application/vnd.apache.parquet"
    assert_frame_equal(await ctx.dataframe_to_pandas(ref), frame)


async def test_a_small_table_is_in_the_ref_and_a_large_one_in_a_file(
    ctx: ProcessingContext,
) -> None:
    for rows in (10_000, 10_001):
        frame = pd.DataFrame({"a": np.arange(rows), "b": ["x"] * rows})
        ref = await ctx.dataframe_from_pandas(frame)
        assert (ref.columns == ["a", "b"]) == (rows == 10_000)
        assert ref.uri.startswith("/v1/storage/temp/") == (rows == 10_001)
        assert_frame_equal(await ctx.dataframe_to_pandas(ref), frame)


async def test_a_table_with_values_that_json_does_not_have_is_in_a_file(
    ctx: ProcessingContext,
) -> None:
    frame = pd.DataFrame({"a": [1.0, float("inf")]})
    ref = await ctx.dataframe_from_pandas(frame)
    assert ref.data is None
    assert_frame_equal(await ctx.dataframe_to_pandas(ref), frame)


async def test_a_pipeline_is_stored_and_loaded(ctx: ProcessingContext) -> None:
    iris = load_iris()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    pipeline.fit(iris.data, iris.target)
    ref = await ctx.from_estimator(pipeline, metadata={"accuracy": 0.97})
    asset = await ctx.find_asset(ref.asset_id or "")
    assert (asset.name, asset.content_type) == ("Pipeline.skops", "application/x-skops")
    assert asset.metadata == {"accuracy": 0.97}
    loaded = await ctx.to_estimator(ref)
    assert np.array_equal(loaded.predict(iris.data), pipeline.predict(iris.data))
    named = await ctx.from_estimator(pipeline, name="iris.skops")
    assert (await ctx.find_asset(named.asset_id or "")).name == "iris.skops"


async def test_a_stored_pickle_is_refused(ctx: ProcessingContext) -> None:
    asset = await ctx.create_asset("model.pkl", "application/octet-stream", b"\x80\x04N.")
    with pytest.raises(UnsafeFileError, match="pickle"):
        await ctx.to_estimator({"type": "model_ref", "asset_id": asset.id, "uri": ""})
