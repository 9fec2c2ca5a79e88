"""The index, the column labels, names, flags and attributes of a pandas frame come back."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from round_trip import assert_same, round_trip, through_ipc

from coldframe.frames.pandas import assemble, prepare, stored_columns

DAY = pd.Timestamp("2024-02-29 12:34:56")
LETTERS = pd.Categorical(["b", "a", None], categories=["b", "a", "unused"], ordered=True)


def _arrays(*arrays: Any, names: list[Any] | None = None) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays(arrays, names=names)


INDEXES: dict[str, pd.Index] = {
    "range": pd.RangeIndex(3),
    "range start step name": pd.RangeIndex(10, 1, -3, name="n"),
    "range tuple name": pd.RangeIndex(3, name=("a", 1)),
    "int": pd.Index([3, 1, 2]),
    "int named": pd.Index([3, 1, 2], name="id"),
    "int8": pd.Index([3, 1, 2], dtype="int8"),
    "name is a number": pd.Index([3, 1, 2], name=7),
    "name is a column": pd.Index([3, 1, 2], name="x"),
    "name is the stored name": pd.Index([3, 1, 2], name="__index_level_0__"),
    "duplicates": pd.Index([1, 1, 1]),
    "float": pd.Index([0.5, np.nan, -0.0]),
    "bool": pd.Index([True, False, True]),
    "str": pd.Index(["b", "a", "a"]),
    "str None": pd.Index(["b", None, "a"], dtype=object),
    "object int": pd.Index([1, 2, 2**63], dtype=object),
    "bytes": pd.Index([b"b", b"a", b""], dtype=object),
    "date": pd.Index([datetime.date(2024, 1, day) for day in (1, 2, 3)], dtype=object),
    "nullable": pd.Index([1, None, 3], dtype="Int64"),
    "arrow": pd.Index([1, None, 3], dtype="int64[pyarrow]"),
    "string": pd.Index(["a", None, "c"], dtype="string"),
    "datetime": pd.DatetimeIndex([DAY, pd.NaT, DAY], name="when"),
    "datetime freq": pd.date_range(DAY, periods=3, freq="D"),
    "business days": pd.date_range(DAY, periods=3, freq="B"),
    "months backwards": pd.date_range(DAY, periods=3, freq="-2ME"),
    "datetime zone": pd.date_range(DAY, periods=3, freq="2h", tz="Europe/Berlin", name="when"),
    "timedelta": pd.timedelta_range("1s", periods=3, freq="3s"),
    "category": pd.CategoricalIndex(LETTERS, name="letter"),
    "period": pd.period_range("2024-01", periods=3, freq="M"),
    "interval": pd.interval_range(0, periods=3, closed="both"),
    "interval float": pd.interval_range(0.5, periods=3),
    "multi": _arrays([1, 1, 2], ["b", "a", "b"], names=["n", "s"]),
    "multi unnamed": _arrays([1, 1, 2], ["b", "a", "b"]),
    "multi partly named": _arrays([1, 1, 2], ["b", "a", "b"], names=[None, "s"]),
    "multi odd names": _arrays([1, 1, 2], ["b", "a", "b"], names=[0, ("t", 1)]),
    "multi same names": _arrays([1, 1, 2], ["b", "a", "b"], names=["n", "n"]),
    "multi one level": _arrays([1, 1, 2], names=["n"]),
    "multi missing": _arrays([1, None, 2], ["b", "a", None], [DAY, pd.NaT, DAY]),
    "multi duplicates": _arrays([1, 1, 1], ["b", "b", "b"]),
    "multi all missing": _arrays([np.nan, np.nan, np.nan], [1, 2, 3]),
    "multi types": _arrays(
        pd.Categorical(["x", None, "y"]), pd.period_range("2024", periods=3, freq="M"), [True, False, True], [0.5, 1, 2]
    ),
    "multi unused": _arrays([1, 1, 2, 3], ["b", "a", "b", "z"])[:3],
    "multi zone": _arrays(pd.date_range(DAY, periods=3, tz="Asia/Tokyo"), pd.Index([1, None, 3], dtype="Int64")),
    "multi product": pd.MultiIndex.from_product([pd.date_range(DAY, periods=3, freq="D")[::-1], ["a"]]),
    "multi bytes": _arrays([b"x", b"y", b"x"], np.array([1, 2, 3], dtype="int16")),
}

COLUMNS: dict[str, pd.Index] = {
    "range": pd.RangeIndex(3),
    "range step": pd.RangeIndex(2, 8, 2, name="n"),
    "int": pd.Index([3, 1, 2]),
    "int and text that collide": pd.Index([1, "1", "1_"], dtype=object),
    "mixed": pd.Index([1, "a", None], dtype=object),
    "tuples": pd.Index([("a", 1), ("b", 2), "c"], dtype=object),
    "floats": pd.Index([0.5, 1.0, -0.0]),
    "str": pd.Index(["a", "b", "c"], name="letters"),
    "object str": pd.Index(["a", "b", "c"], dtype=object),
    "string": pd.Index(["a", "b", "c"], dtype="string"),
    "empty name": pd.Index(["", "b", " "]),
    "name of an index": pd.Index(["__index_level_0__", "b", "index"]),
    "datetime": pd.date_range(DAY, periods=3, freq="D"),
    "datetime zone": pd.date_range(DAY, periods=3, tz="Europe/Berlin"),
    "date": pd.Index([datetime.date(2024, 1, day) for day in (1, 2, 3)], dtype=object),
    "period": pd.period_range("2024-01", periods=3, freq="M"),
    "category": pd.CategoricalIndex(["b", "a", "c"], categories=["b", "a", "c", "unused"]),
    "interval": pd.interval_range(0, periods=3),
    "bool": pd.Index([True, False, 5], dtype=object),
    "multi": _arrays(["a", "a", "b"], [1, 2, 1], names=["l", None]),
    "multi text": _arrays(["a", "a", "b"], ["x", "y", "x"]),
    "multi missing": _arrays(["a", "a", None], [1, 2, 1]),
    "multi mixed": pd.MultiIndex.from_tuples([("a", 1), ("a", "x"), ("b", 1)]),
    "odd name": pd.Index(["a", "b", "c"], name=("t", 1)),
}


def _frame(rows: int = 3) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(rows) / 2, "y": [f"v{i}" for i in range(rows)], "z": range(rows)})


@pytest.mark.parametrize("name", INDEXES)
@pytest.mark.parametrize("rows", [3, 0])
def test_an_index_comes_back(name: str, rows: int) -> None:
    frame = _frame()
    frame.index = INDEXES[name]
    frame = frame.iloc[:rows]
    if rows == 0 and isinstance(frame.index, pd.MultiIndex):
        frame.index = frame.index.remove_unused_levels()
    assert_same(frame, round_trip(frame))
    assert_same(frame[[]], round_trip(frame[[]]))


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("rows", [3, 0])
def test_column_labels_come_back(name: str, rows: int) -> None:
    frame = _frame(rows)
    frame.columns = COLUMNS[name]
    result = round_trip(frame)
    assert_same(frame, result)
    for one, other in zip(frame.columns, result.columns):
        assert type(one) is type(other)
    assert list(frame.columns.names) == list(result.columns.names)


@pytest.mark.parametrize("name", COLUMNS)
def test_one_column_is_found_by_its_label(name: str) -> None:
    frame = _frame()
    frame.columns = COLUMNS[name]
    frame.index = pd.Index([5, 6, 7], name="i")
    prepared = prepare(frame)
    schema, batches = through_ipc(prepared)
    for at, label in enumerate(frame.columns):
        if isinstance(label, tuple) and label[0] != label[0]:
            continue
        names = stored_columns(schema, prepared.source, [label])
        assert len(names) == 2
        part = pa.schema([schema.field(n) for n in names], metadata=schema.metadata)
        result = assemble(part, [batch.select(names) for batch in batches], 3, prepared.source, names)
        pd.testing.assert_frame_equal(result, frame.iloc[:, [at]], check_freq=False)


def test_without_its_index_a_part_has_a_range() -> None:
    frame = _frame().set_index(["x", "z"])
    frame["w"] = 1
    prepared = prepare(frame)
    schema, batches = through_ipc(prepared)
    for names, columns in ((["y"], ["y"]), (["w", "y"], ["w", "y"]), (["y", "x"], ["y", "x"])):
        part = pa.schema([schema.field(n) for n in names], metadata=schema.metadata)
        result = assemble(part, [batch.select(names) for batch in batches], 3, prepared.source, names)
        pd.testing.assert_frame_equal(result, frame.reset_index()[columns], check_column_type=False)


def test_fewer_rows_than_were_stored_have_a_plain_range_and_no_wrong_frequency() -> None:
    for index in (pd.RangeIndex(10, 40, 3), pd.date_range(DAY, periods=10, freq="D")):
        frame = _frame(10)
        frame.index = index
        prepared = prepare(frame)
        schema, batches = through_ipc(prepared)
        result = assemble(schema, [batches[0].slice(0, 4)], 4, prepared.source, None)
        expected = frame.iloc[:4] if isinstance(index, pd.DatetimeIndex) else frame.iloc[:4].reset_index(drop=True)
        pd.testing.assert_frame_equal(result, expected)
        picked = pa.Table.from_batches(batches).take([0, 1, 5]).combine_chunks().to_batches()
        result = assemble(schema, picked, 3, prepared.source, None)
        assert getattr(result.index, "freq", None) is None


def test_empty_frames_come_back() -> None:
    for frame in (
        pd.DataFrame(),
        pd.DataFrame(index=pd.RangeIndex(5)),
        pd.DataFrame(index=pd.Index([], dtype="str")),
        pd.DataFrame(index=["a", "b"]),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame({"a": []}),
        pd.DataFrame(columns=pd.MultiIndex.from_tuples([], names=["a", "b"])),
        pd.DataFrame(index=pd.RangeIndex(200_000)),
    ):
        assert_same(frame, round_trip(frame))


def test_attributes_and_flags_come_back() -> None:
    frame = _frame()
    frame.attrs = {"unit": "m", "nested": {"list": [1, 2.5, None, True]}}
    frame.flags.allows_duplicate_labels = False
    assert_same(frame, round_trip(frame))


@pytest.mark.parametrize("attrs", [{"a": (1, 2)}, {1: "a"}, {"a": object()}, {"a": float("nan")}, {"a": "x" * 5000}])
def test_attributes_that_are_no_json_are_a_named_loss(attrs: dict[Any, Any]) -> None:
    frame = _frame()
    frame.attrs = attrs
    prepared = prepare(frame)
    assert [loss["column"] for loss in prepared.losses] == ["(attrs)"]
    assert round_trip(frame).attrs == {}


def test_what_pandas_reads_of_the_plain_file_has_index_and_types(tmp_path: Any) -> None:
    frame = pd.DataFrame(
        {
            "text": ["a", None, "c"],
            "when": pd.date_range(DAY, periods=3, tz="Europe/Berlin"),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "period": pd.period_range("2024-01", periods=3, freq="M"),
            "interval": pd.interval_range(0, periods=3),
            "float": [1.5, np.nan, -0.0],
            "category": pd.Categorical(["b", "a", "b"]),
            "arrow": pd.array([1, None, 3], dtype="int64[pyarrow]"),
        },
        index=_arrays([1, 1, 2], ["b", "a", "b"], names=["n", None]),
    )
    for part in (frame, frame.reset_index(drop=True), frame.T.T.iloc[:, :1].set_axis([5], axis=1)):
        prepared = prepare(part)
        table = pa.Table.from_batches(list(prepared.batches or ()), schema=prepared.schema)
        pa.parquet.write_table(table, tmp_path / "plain.parquet")
        expected = tmp_path / "own.parquet"
        part.to_parquet(expected)
        result = pd.read_parquet(tmp_path / "plain.parquet")
        pd.testing.assert_frame_equal(result, pd.read_parquet(expected))


def test_the_source_stays_small() -> None:
    wide = pd.DataFrame(
        {f"c{i}": pd.array(["a"] if i % 2 else [1], dtype="str" if i % 2 else "Int64") for i in range(2000)}
    )
    assert len(json.dumps(prepare(wide).source)) < 300 or pd.__version__ < "3"
    many = pd.DataFrame({"c": pd.Categorical([f"category {i}" for i in range(10_000)])})
    assert len(json.dumps(prepare(many).source)) < 400
