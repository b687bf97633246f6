"""Fitted estimators to and from `ModelRef`, in the skops format; needs the extra `model`."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from processing_context.convert import model as codec
from processing_context.resources.files import FileMethods
from processing_context.wire.refs import ModelRef


class ModelMethods(FileMethods):
    """Conversions of models."""

    async def from_estimator(
        self,
        est: Any,
        *,
        name: str | None = None,
        parent_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> ModelRef:
        """Store a scikit-learn estimator as an asset.

        Args:
            est: The estimator; pipelines and searches too.
            name: Name of the asset; by default `<Class>.skops`.
            parent_id: The folder.
            metadata: Metadata of the asset.

        Raises:
            ValueError: It is not an estimator, or skops does not support a part of it.
        """
        data = await asyncio.to_thread(codec.dump_estimator, est)
        asset = await self.create_asset(
            name or f"{type(est).__name__}.skops",
            codec.CONTENT_TYPE,
            data,
            parent_id,
            metadata=dict(metadata) if metadata else None,
        )
        return ModelRef(asset_id=asset.id, uri=self.asset_storage_url(asset.id))

    async def to_estimator(self, model_ref: Any, *, trusted: Collection[str] = ()) -> Any:
        """Load an estimator; pickle and joblib files are never loaded.

        Args:
            model_ref: A ref to a skops file.
            trusted: Names of types to load beside those that skops trusts.

        Raises:
            UnsafeFileError: The file is a pickle, or has types that are not trusted; they are
                named.
            ValueError: The file is not a skops file, or damaged.
        """
        data = await self.asset_to_bytes(model_ref)
        return await asyncio.to_thread(codec.load_estimator, data, trusted)
