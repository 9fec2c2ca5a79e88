"""Pandas frames of every type and index, by every serializer, come back exactly from a store."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arrow_samples import NOT_A_NUMBER, SERIALIZERS, TEXTS
from round_trip import assert_same
from test_pandas_conversion import COLUMNS

from coldframe import Store
from coldframe.errors import LossyError, LossyWarning

_KEYS = (f"pandas/{number}" for number in itertools.count())
_REFUSED_BY_PARQUET = {"arrow: interval"}
CATEGORIES = [name for name in COLUMNS if name.startswith("category:")]


def _comes_back(store: Store, frame: pd.DataFrame, serializer: str) -> None:
    returned = store.get(store.put(next(_KEYS), frame, serializer=serializer, strict=True))
    assert type(returned) is pd.DataFrame
    assert_same(frame, returned)


def _with_missing(column: pd.Series[Any], rows: str) -> pd.Series[Any]:
    if rows == "none":
        return column.iloc[:0]
    if rows == "many":
        return pd.concat([column] * 3, ignore_index=True).iloc[1:]
    return column


def _wide(group: str) -> dict[int, dict[str, pd.Series[Any]]]:
    """The columns of a group, by their number of rows."""
    found: dict[int, dict[str, pd.Series[Any]]] = {}
    for name, column in COLUMNS.items():
        if name.startswith(f"{group}:"):
            found.setdefault(len(column), {})[name] = column
    return found


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("group", ["numpy", "object", "extension", "arrow"])
@pytest.mark.parametrize("rows", ["all", "many", "none"])
def test_columns_come_back(shared_store: Store, group: str, serializer: str, rows: str) -> None:
    for columns in _wide(group).values():
        kept = {
            name: _with_missing(column, rows)
            for name, column in columns.items()
            if not ("parquet" in serializer and name in _REFUSED_BY_PARQUET)
        }
        frame = pd.concat(kept, axis=1)
        frame.columns = pd.Index(list(kept))
        for name, column in kept.items():
            assert frame[name].dtype == column.dtype
        _comes_back(shared_store, frame, serializer)


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_come_back(shared_store: Store, serializer: str, name: str) -> None:
    column = COLUMNS[name]
    _comes_back(shared_store, column.to_frame("x"), serializer)
    _comes_back(shared_store, pd.concat([column] * 3, ignore_index=True).to_frame("x").iloc[1:], serializer)


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_come_back_without_rows(shared_store: Store, serializer: str, name: str) -> None:
    _comes_back(shared_store, COLUMNS[name].iloc[:0].to_frame("x"), serializer)


INDEXES: dict[str, pd.Index[Any]] = {
    "range": pd.RangeIndex(4),
    "range with step": pd.RangeIndex(10, 2, -2, name="r"),
    "int": pd.Index([3, 1, 2**62, -1], name="n"),
    "uint64": pd.Index([0, 2**64 - 1, 1, 2], dtype="uint64"),
    "float": pd.Index([1.5, np.nan, -0.0, np.inf]),
    "text": pd.Index(["b", "a", "b", None], name="ü"),
    "object": pd.Index(["b", 1, None, 2.5], dtype=object).astype(str),
    "bool": pd.Index([True, False, True, True]),
    "datetime": pd.date_range("2024-02-29", periods=4, freq="h", name="when"),
    "datetime zone": pd.date_range("2024-03-30 12:00", periods=4, freq="D", tz="Europe/Berlin"),
    "datetime without frequency": pd.DatetimeIndex(["2024-01-01", None, "2020-01-01", "2024-01-01"]).as_unit("ns"),
    "timedelta": pd.to_timedelta([1, 2, None, 4], unit="ns"),
    "period": pd.period_range("2024-01", periods=4, freq="M"),
    "interval": pd.interval_range(0, 4, closed="left"),
    "two levels": pd.MultiIndex.from_product([["b", "a"], [2, 1]], names=["x", None]),
    "three levels": pd.MultiIndex.from_arrays(
        [[1, 1, 2, None], ["a", "b", "a", "a"], pd.to_datetime(["2024", "2023"] * 2)]
    ),
}
"""Indexes of four rows."""


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("name", INDEXES)
def test_an_index_comes_back(shared_store: Store, name: str, serializer: str) -> None:
    frame = pd.DataFrame({"v": [1.5, np.nan, -0.0, NOT_A_NUMBER], "w": ["x", None, "", "y"]}, index=INDEXES[name])
    for cut in (frame, frame.iloc[1:3], frame[["v"]], frame[[]], frame.iloc[:0]):
        _comes_back(shared_store, cut, serializer)


LABELS: dict[str, pd.Index[Any]] = {
    "integers": pd.Index([0, 5]),
    "range": pd.RangeIndex(2),
    "empty and odd": pd.Index(["", "ü\U0001f600"], name="labels"),
    "mixed": pd.Index(["a", 1], dtype=object),
    "tuples": pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", None]),
    "times": pd.DatetimeIndex(["2024-01-01", "2024-01-02"]),
    "floats": pd.Index([0.5, -1.5]),
    "none": pd.Index([None, "a"], dtype=object),
}


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("name", LABELS)
def test_labels_come_back(shared_store: Store, name: str, serializer: str) -> None:
    frame = pd.DataFrame([[1, "x"], [2, None]])
    frame.columns = LABELS[name]
    frame.attrs = {"unit": "km", "nested": {"a": [1, None]}}
    for cut in (frame, frame.iloc[:0], frame.set_flags(allows_duplicate_labels=False)):
        _comes_back(shared_store, cut, serializer)


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_texts_bits_and_slices_come_back(shared_store: Store, serializer: str) -> None:
    bits = np.array(
        [0x7FF8DEADBEEF0001, 0xFFF0000000000000, 0x8000000000000000, 1, 0, 0x7FF0000000000000], dtype="uint64"
    )
    frame = pd.DataFrame({"text": TEXTS, "float": [1.5, -0.0, 0.0, np.inf, np.nan, 5e-324], "int": [2**53 + 1] * 6})
    frame["bits"] = bits.view("float64")
    for cut in (frame, frame[::-1], frame[::2], frame.iloc[1:4], frame.T.T.infer_objects()):
        _comes_back(shared_store, cut, serializer)


def test_what_is_lost_is_said_and_a_strict_put_refuses(store: Store) -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"odd": object()}
    with pytest.raises(LossyError, match="attrs"):
        store.put("lossy", frame, strict=True)
    assert not store.exists("lossy")
    with pytest.warns(LossyWarning, match="attrs"):
        reference = store.put("lossy", frame)
    assert [loss["column"] for loss in reference.lossy] == ["(attrs)"]
    frame.attrs = {}
    assert_same(frame, store.get("lossy"))


def test_a_dictionary_inside_a_list_is_lost_by_parquet_alone(store: Store) -> None:
    import pyarrow as pa

    table = pa.table({"c": pa.array([["a"], ["b"]], pa.list_(pa.dictionary(pa.int8(), pa.string())))})
    with pytest.raises(LossyError, match="column `c`"):
        store.put("lossy", table, strict=True)
    assert not store.exists("lossy")
    with pytest.warns(LossyWarning, match="column `c`"):
        reference = store.put("lossy", table)
    assert [loss["column"] for loss in reference.lossy] == ["c"]
    assert store.get(reference)["c"].to_pylist() == [["a"], ["b"]]
    assert store.get(store.put("kept", table, serializer="arrow", strict=True)).equals(table)
