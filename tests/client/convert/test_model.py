"""Tests of estimators in the skops format."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from processing_context import UnsafeFileError
from processing_context.convert.model import dump_estimator, load_estimator

IRIS = load_iris()
PIPELINES: dict[str, Any] = {
    "regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    "columns": make_pipeline(
        ColumnTransformer([("scaled", StandardScaler(), [0, 1])], remainder="passthrough"),
        LogisticRegression(max_iter=500),
    ),
}


@pytest.mark.parametrize("estimator", PIPELINES.values(), ids=PIPELINES)
def test_a_fitted_pipeline_predicts_the_same(estimator: Any) -> None:
    estimator.fit(IRIS.data, IRIS.target)
    loaded = load_estimator(dump_estimator(estimator))
    assert np.array_equal(loaded.predict_proba(IRIS.data), estimator.predict_proba(IRIS.data))


def test_trees_are_loaded_if_they_are_trusted() -> None:
    forest = RandomForestClassifier(n_estimators=5, random_state=0).fit(IRIS.data, IRIS.target)
    data = dump_estimator(forest)
    with pytest.raises(UnsafeFileError, match=r"not trusted: sklearn\.tree\._tree\.Tree"):
        load_estimator(data)
    loaded = load_estimator(data, trusted=["sklearn.tree._tree.Tree"])
    assert np.array_equal(loaded.predict(IRIS.data), forest.predict(IRIS.data))


def _compressed(**options: Any) -> bytes:
    out = io.BytesIO()
    joblib.dump(LogisticRegression(), out, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        *(pickle.dumps(LogisticRegression(), protocol) for protocol in range(2, 6)), _compressed(),
        *(_compressed(compress=(kind, 3)) for kind in ("zlib", "gzip", "bz2", "xz", "lzma")),
    ],
)  # fmt: skip
def test_a_pickle_is_never_loaded(data: bytes) -> None:
    with pytest.raises(UnsafeFileError, match="pickle"):
        load_estimator(data)


def test_an_untrusted_type_is_refused_by_its_name() -> None:
    data = dump_estimator(FunctionTransformer(np.linalg.norm))
    with pytest.raises(UnsafeFileError, match="norm") as refused:
        load_estimator(data)
    name = str(refused.value).partition("not trusted: ")[2].partition(";")[0]
    assert isinstance(load_estimator(data, trusted=[name]), FunctionTransformer)


def _zip(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return out.getvalue()


@pytest.mark.parametrize(
    "data", [b"", b"x", _zip(a_txt=b"x"), _zip(schema_json=b"{}"), _zip(schema_json=b"nonsense")]
)
def test_a_file_that_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a skops file|cannot be loaded"):
        load_estimator(data)


def test_a_damaged_model_is_refused() -> None:
    data = dump_estimator(PIPELINES["columns"].fit(IRIS.data, IRIS.target))
    with pytest.raises(ValueError, match=r"not a skops file|cannot be loaded"):
        load_estimator(data[: len(data) // 2])


@pytest.mark.parametrize("value", [None, {}, LogisticRegression, np.zeros(3)])
def test_only_estimators_are_stored(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a scikit-learn estimator"):
        dump_estimator(value)
