"""Categoricals whose categories are intervals, as pandas.cut makes them, through a store and back."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from round_trip import assert_same

import coldframe
from coldframe.errors import InvalidInputError, UnsupportedError
from coldframe.frames.pandas import assemble, prepare

_DAY = pd.Timestamp("2024-10-26 12:00:00.123456789")
_BREAKS: dict[str, Any] = {
    "int64": [-(2**62), 0, 2**53 + 1],
    "int8": np.array([-128, 0, 127], "int8"),
    "uint64": np.array([0, 1, 2**64 - 1], "uint64"),
    "float64": [-np.inf, -0.0, 0.1, 0.1 + 0.2, 1e300, np.inf],
    "float32": np.array([0.1, 0.2, 0.3], "float32"),
    "datetime": pd.DatetimeIndex([_DAY, _DAY + pd.Timedelta(1, "ns"), pd.Timestamp.max]),
    "datetime s": pd.date_range("1500-01-01", periods=3, unit="s", freq="D"),
    "Berlin, summer to winter": pd.date_range(_DAY.tz_localize("Europe/Berlin"), periods=30, freq="h"),
    "UTC": pd.date_range("2024", periods=3, tz="UTC"),
    "timedelta": pd.to_timedelta([-1, 0, 5], "ns"),
}


def _back(tmp_path: Path, frame: pd.DataFrame, serializer: str | None) -> pd.DataFrame:
    store = coldframe.Store(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reference = store.put("x", frame, serializer=serializer, strict=True)
    return reference.get()


@pytest.mark.parametrize("serializer", [None, "arrow"])
@pytest.mark.parametrize("closed", ["left", "right", "both", "neither"])
@pytest.mark.parametrize("name", _BREAKS)
def test_categories_of_intervals_come_back_exactly(tmp_path: Path, name: str, closed: Any, serializer: Any) -> None:
    intervals = pd.IntervalIndex.from_breaks(_BREAKS[name], closed=closed, name="bins")[::-1]
    codes = [0, -1, 0, 1]
    for ordered in (False, True):
        values = pd.Categorical.from_codes(codes, intervals, ordered=ordered)
        frame = pd.DataFrame({"x": values, "n": range(4)})
        back = _back(tmp_path, frame, serializer)
        assert_same(frame, back)
        assert back["x"].cat.categories.dtype == intervals.dtype
        assert back["x"].cat.categories.name == "bins"
        assert list(map(repr, back["x"].cat.categories)) == list(map(repr, intervals))


@pytest.mark.parametrize("serializer", [None, "arrow"])
@pytest.mark.parametrize("observed", [True, False])
def test_groups_of_cuts_come_back_exactly(tmp_path: Path, observed: bool, serializer: Any) -> None:
    data = pd.DataFrame({"a": [1.5, 2.0, 30.0, np.nan], "b": [1, 2, 3, 4], "c": list("xyxy")})
    bins, quarters = pd.cut(data["a"], [0, 10, 20, 30, 40]), pd.qcut(data["b"], 2)
    for keys in ([bins], [bins, quarters], [bins, "c"], [quarters, bins]):
        frame = data.groupby(keys, observed=observed)[["a", "b"]].sum()
        assert_same(frame, _back(tmp_path, frame, serializer))
    labelled = data.groupby(["c", bins], observed=observed)["a"].sum().unstack()
    assert_same(labelled, _back(tmp_path, labelled, serializer))
    assert_same(frame := data.assign(bin=bins).iloc[:0], _back(tmp_path, frame, serializer))
    assert_same(frame := data.assign(bin=bins).iloc[3:], _back(tmp_path, frame, serializer))


def test_other_readers_see_text(tmp_path: Path) -> None:
    reference = coldframe.Store(tmp_path).put("x", pd.DataFrame({"x": pd.cut([5, 15], [0, 10, 20])}))
    table = pa.table(reference.to_arrow())
    assert table.column("x").to_pylist() == ["(0, 10]", "(10, 20]"]
    pytest.importorskip("polars")
    assert reference.to_polars()["x"].cast(str).to_list() == ["(0, 10]", "(10, 20]"]


def test_only_some_rows_keep_all_categories(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": pd.cut(np.arange(100), 10)})
    reference = coldframe.Store(tmp_path).put("x", frame)
    assert_same(frame.head(3), reference.head(3))


def test_a_thousand_are_stored_and_more_are_refused_by_parquet_alone(tmp_path: Path) -> None:
    store = coldframe.Store(tmp_path)
    assert_same(frame := pd.DataFrame({"x": pd.cut([1, 5], range(1001))}), store.put("x", frame).get())
    many = pd.DataFrame({"x": pd.cut([1, 5], range(1002))})
    with pytest.raises(UnsupportedError) as raised:
        store.put("y", many)
    assert "column `x`: its categories are intervals, more than 1,000" in str(raised.value)
    assert "df['x'].astype(df['x'].cat.categories.dtype)" in str(raised.value)
    plain = many.assign(x=many["x"].astype(many["x"].cat.categories.dtype))
    assert_same(plain, store.put("y", plain).get())
    assert_same(many, store.put("y", many, serializer="arrow").get())


def test_batches_with_some_of_the_categories_come_back_and_unknown_ones_are_refused() -> None:
    frame = pd.DataFrame({"x": pd.cut([15, 5, 35], [0, 10, 20, 30, 40])})
    prepared = prepare(frame)
    schema = prepared.schema

    def batch(codes: list[int], text: list[str]) -> pa.RecordBatch:
        values = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(text), ordered=True)
        return pa.RecordBatch.from_arrays([values], schema=schema)

    some = [batch([1, 0], ["(0, 10]", "(10, 20]"]), batch([0], ["(30, 40]"])]
    assert_same(frame, assemble(schema, iter(some), 3, prepared.source, None))
    with pytest.raises(InvalidInputError, match=r"column `x` holds '\(1, 2\]', which is none of the 4 intervals"):
        assemble(schema, iter([batch([0], ["(1, 2]"])]), 1, prepared.source, None)


def test_json_holds_the_ends_exactly() -> None:
    source = prepare(pd.DataFrame({"x": pd.cut([0.2], [0.1, 0.3])})).source
    intervals = json.loads(json.dumps(source))["dtypes"]["x"]["category"]["intervals"]
    assert intervals["left"] == [(0.1).hex()]
    assert intervals["text"] == ["(0.1, 0.3]"]
