"""Object columns, indexes, categories and labels of pandas that hold scalars of NumPy, through a store and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from coldframe import Store
from coldframe.errors import WrongTypeError

_KINDS = [np.bool_, np.int8, np.int64, np.uint64, np.float16, np.float32, np.float64]


def _objects(*values: Any) -> pd.Series:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return pd.Series(array, dtype=object)


def _assert_same_objects(left: Any, right: Any) -> None:
    assert left.dtype == right.dtype == object
    assert [(type(value), repr(value)) for value in left] == [(type(value), repr(value)) for value in right]


@pytest.mark.parametrize("serializer", ["parquet", "arrow"])
@pytest.mark.parametrize("missing", [[], [None], [np.nan], [pd.NA], [pd.NaT]], ids=repr)
@pytest.mark.parametrize("kind", _KINDS)
def test_scalars_come_back_with_their_type(local_store: Store, kind: Any, missing: list[Any], serializer: str) -> None:
    frame = pd.DataFrame({"x": _objects(kind(1), *missing, kind(0))})
    back = local_store.put("x", frame, serializer=serializer, strict=True).get()
    _assert_same_objects(frame["x"], back["x"])


@pytest.mark.parametrize("serializer", ["parquet", "arrow"])
@pytest.mark.parametrize("kind", _KINDS)
def test_scalars_come_back_as_labels(local_store: Store, kind: Any, serializer: str) -> None:
    labels = pd.Index(_objects(kind(1), kind(0)), dtype=object)
    frame = pd.DataFrame([[1, 2], [3, 4]], index=labels, columns=labels)
    frame["category"] = pd.Categorical(_objects(kind(1), kind(0)), categories=labels)
    back = local_store.put("x", frame, serializer=serializer, strict=True).get()
    _assert_same_objects(frame.index, back.index)
    _assert_same_objects(frame.columns, back.columns)
    _assert_same_objects(labels, back["category"].cat.categories)
    pd.testing.assert_frame_equal(frame, back)
    levels = pd.DataFrame({"x": [1, 2]}, index=pd.MultiIndex.from_arrays([labels, ["a", "b"]]))
    pd.testing.assert_frame_equal(levels, local_store.put("y", levels, serializer=serializer, strict=True).get())


def test_nan_of_either_kind_of_float_is_a_missing_value(local_store: Store) -> None:
    nan, numpy_nan = float("nan"), np.float64("nan")
    cases = ([np.float64(3), nan], [np.float64(3), numpy_nan], [nan, numpy_nan], [np.int64(3), numpy_nan])
    for values in (*cases, [2.5, numpy_nan], ["a", nan, numpy_nan], [1, numpy_nan]):
        frame = pd.DataFrame({"x": _objects(*values)})
        pd.testing.assert_frame_equal(frame, local_store.put("x", frame, strict=True).get())
    for values in cases[:3]:
        frame = pd.DataFrame({"x": _objects(*values)})
        _assert_same_objects(frame["x"], local_store.put("x", frame, strict=True).get()["x"])


@pytest.mark.parametrize(
    ("value", "way"),
    [
        (np.timedelta64(3, "s"), "pd.to_timedelta"),
        (np.datetime64("2024-01-01"), "pd.to_datetime"),
        (np.str_("a"), ".map(str, na_action='ignore')"),
        (np.bytes_(b"a"), ".map(bytes, na_action='ignore')"),
    ],
)
def test_other_scalars_are_refused_with_a_way_out_that_works(local_store: Store, value: Any, way: str) -> None:
    column = _objects(value, None)
    with pytest.raises(WrongTypeError) as raised:
        local_store.put("x", column.to_frame("x"))
    assert "column `x`" in str(raised.value)
    assert way in str(raised.value)
    ways = {"str_": lambda c: c.map(str, na_action="ignore"), "bytes_": lambda c: c.map(bytes, na_action="ignore")}
    ways.update({"timedelta64": pd.to_timedelta, "datetime64": pd.to_datetime})
    frame = ways[type(value).__name__](column).to_frame("x")
    pd.testing.assert_frame_equal(frame, local_store.put("x", frame, strict=True).get())
