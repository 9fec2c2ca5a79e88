"""Frames of pandas come back exactly: a matrix of types and patterns of missing values."""

from __future__ import annotations

import datetime
import decimal
import subprocess
import sys
import uuid
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import pytz
from round_trip import assert_same, round_trip

from coldframe.frames.pandas import assemble, prepare
from coldframe.frames.pandas_objects import is_missing

NEW = int(pd.__version__.split(".")[0]) >= 3
D = decimal.Decimal
DAY = pd.Timestamp("2024-02-29 12:34:56")
INTEGERS = [f"{sign}int{width}" for sign in ("", "u") for width in (8, 16, 32, 64)]


def _objects(*values: Any) -> pd.Series:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return pd.Series(array, dtype=object)


def _object_columns() -> dict[str, pd.Series]:
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    lists = np.empty(3, dtype=object)
    lists[0], lists[1], lists[2] = [1, 2], [], [None]
    arrays = np.empty(3, dtype=object)
    arrays[0], arrays[1], arrays[2] = np.array([1.5, np.nan, -0.0]), None, np.array([])
    return {
        "str": _objects("a", "", "ü€😀"),
        "str None": _objects("a", None, ""),
        "str nan": _objects("a", np.nan, "b"),
        "str NA": _objects("a", pd.NA, "b"),
        "bytes": _objects(b"a", None, b"\x00\xff"),
        "bool": _objects(True, None, False),
        "bool nan": _objects(True, np.nan, False),
        "int": _objects(1, None, -(2**63)),
        "uint": _objects(0, None, 2**64 - 1),
        "bigint": _objects(2**70, None, -(2**65)),
        "hugeint": _objects(10**75, None, -(10**70)),
        "float": _objects(1.5, None, float("nan"), -0.0),
        "decimal": _objects(D("1.50"), None, D("-123456789.25")),
        "large decimal": _objects(D("1" * 50 + ".5"), None),
        "date": _objects(datetime.date(1, 1, 1), None, datetime.date(9999, 12, 31)),
        "time": _objects(datetime.time(0, 0), None, datetime.time(23, 59, 59, 999999)),
        "datetime": _objects(datetime.datetime(1, 1, 1), None, datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)),
        "datetime zone": _objects(datetime.datetime(2024, 7, 1, tzinfo=zone), None),
        "datetime folds": _objects(
            *(datetime.datetime(2024, 10, 27, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1))
        ),
        "datetime pytz": _objects(
            pytz.timezone("US/Eastern").localize(datetime.datetime(2024, 7, 1)),
            pytz.timezone("US/Eastern").localize(datetime.datetime(2024, 1, 1)),
        ),
        "timedelta": _objects(datetime.timedelta(days=-1, microseconds=1), None),
        "Timestamp": _objects(DAY, None, DAY),
        "Timestamp NaT": _objects(DAY.as_unit("ns"), pd.NaT),
        "Timestamp zone": _objects(DAY.tz_localize(zone), None),
        "Timedelta": _objects(pd.Timedelta(5, unit="ns"), None),
        "uuid": _objects(uuid.UUID(int=5), None, uuid.UUID(int=2**128 - 1)),
        "list": pd.Series(lists, dtype=object),
        "list None": _objects(None, ["a", None], ["b"]),
        "list float": _objects([1.5, float("nan"), None], None),
        "list of lists": _objects([[1], None, []], [[2, 3]]),
        "dict": _objects({"a": 1, "b": [{"c": "x"}]}, None, {"a": None, "b": []}),
        "array": pd.Series(arrays, dtype=object),
        "array int": _objects(np.array([1, 2], dtype="int16"), np.array([], dtype="int16"), None),
        "numpy": _objects(np.int32(5), None, np.int32(-5)),
        "numpy float": _objects(np.float64(5), None, np.float64("nan")),
        "all None": _objects(None, None),
        "all nan": _objects(np.nan, np.nan),
        "all NA": _objects(pd.NA, pd.NA),
        "all NaT": _objects(pd.NaT, pd.NaT),
        "empty": _objects(),
    }


def _numpy_columns() -> dict[str, pd.Series]:
    columns: dict[str, pd.Series] = {"bool": pd.Series([True, False, True])}
    for name in INTEGERS:
        limits = np.iinfo(name)
        columns[name] = pd.Series([limits.min, 0, limits.max], dtype=name)
    for name in ("float16", "float32", "float64"):
        columns[name] = pd.Series([1.5, np.nan, -0.0, np.inf, -np.inf, np.finfo(name).tiny], dtype=name)
        columns[f"{name} only NaN"] = pd.Series([np.nan, np.nan], dtype=name)
    for unit in ("s", "ms", "us", "ns"):
        columns[f"datetime64[{unit}]"] = pd.Series([DAY, pd.NaT], dtype=f"datetime64[{unit}]")
        columns[f"timedelta64[{unit}]"] = pd.Series([pd.Timedelta(days=-3), pd.NaT], dtype=f"timedelta64[{unit}]")
        for zone in (
            zoneinfo.ZoneInfo("Europe/Berlin"),
            zoneinfo.ZoneInfo("UTC"),
            datetime.timezone.utc,
            datetime.timezone(datetime.timedelta(hours=-5, minutes=-30)),
            pytz.timezone("US/Eastern"),
            pytz.FixedOffset(330),
            pytz.utc,
        ):
            columns[f"datetime64[{unit}, {zone!r}]"] = pd.Series(
                pd.DatetimeIndex([DAY, pd.NaT]).as_unit(unit).tz_localize(zone)
            )
    return columns


def _string_dtypes() -> list[pd.StringDtype]:
    dtypes = [pd.StringDtype("python"), pd.StringDtype("pyarrow")]
    if NEW:
        return [*dtypes, pd.StringDtype("python", na_value=np.nan), pd.StringDtype("pyarrow", na_value=np.nan)]
    return [*dtypes, pd.StringDtype("pyarrow_numpy")]


def _extension_columns() -> dict[str, pd.Series]:
    columns: dict[str, pd.Series] = {}
    for dtype in _string_dtypes():
        columns[f"{dtype!r}"] = pd.Series(["a", None, "", "ü€😀"], dtype=dtype)
    for name in INTEGERS:
        masked = name.replace("int", "Int").replace("uI", "UI")
        columns[masked] = pd.Series([0, None, np.iinfo(name).max], dtype=masked)
    for name in ("Float32", "Float64"):
        values = pd.arrays.FloatingArray(
            np.array([np.nan, 1.5, -0.0, 7], dtype=name.lower()), np.array([False, False, False, True])
        )
        columns[name] = pd.Series(values)
    columns["boolean"] = pd.Series([True, None, False], dtype="boolean")
    columns["Int64 no nulls"] = pd.Series([1, 2], dtype="Int64")
    for frequency in ("D", "M", "Q-NOV", "3h", "Y-DEC" if NEW else "Y-DEC", "W-WED", "ns"):
        columns[f"period {frequency}"] = pd.Series(pd.PeriodIndex(["2024-01-03", None], freq=frequency))
    for closed in ("left", "right", "both", "neither"):
        columns[f"interval {closed}"] = pd.Series(pd.arrays.IntervalArray.from_breaks([1, 2, 3], closed=closed))
    columns["interval float"] = pd.Series(pd.arrays.IntervalArray.from_tuples([(0.5, 1.5), np.nan, (2.0, np.inf)]))
    columns["interval time"] = pd.Series(pd.interval_range(DAY, periods=3, freq="D"))
    columns["interval zone"] = pd.Series(pd.interval_range(DAY.tz_localize("Asia/Tokyo"), periods=3, freq="D"))
    return columns


def _arrow_columns() -> dict[str, pd.Series]:
    values: dict[str, pa.Array] = {
        "int8": pa.array([1, None], pa.int8()),
        "float": pa.array([1.5, None, float("nan")]),
        "string": pa.array(["a", None]),
        "large_string": pa.array(["a", None], pa.large_string()),
        "string_view": pa.array(["a", None], pa.string_view()),
        "binary": pa.array([b"a", None]),
        "fixed": pa.array([b"abc", None], pa.binary(3)),
        "date32": pa.array([datetime.date(2024, 1, 1), None]),
        "date64": pa.array([datetime.date(2024, 1, 1), None], pa.date64()),
        "time": pa.array([datetime.time(1, 2, 3), None], pa.time64("ns")),
        "timestamp": pa.array([1, None], pa.timestamp("us", "Europe/Paris")),
        "duration": pa.array([1, None], pa.duration("ms")),
        "decimal": pa.array([D("1.5"), None], pa.decimal128(10, 2)),
        "list": pa.array([[1, None], None, []]),
        "struct": pa.array([{"a": 1, "b": ["x"]}, None]),
        "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
        "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
        "null": pa.nulls(2),
        "bool": pa.array([True, None]),
        "interval": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
        "uuid": pa.array([uuid.UUID(int=3).bytes, None], pa.uuid()),
    }
    return {name: pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([v]))) for name, v in values.items()}


def _categoricals() -> dict[str, pd.Series]:
    def made(codes: list[int], categories: Any, ordered: bool = False) -> pd.Series:
        return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(categories), ordered=ordered))

    return {
        "str": made([1, 0, -1, 1], ["b", "a", "unused"]),
        "object": made([1, 0], pd.Index(["b", "a"], dtype=object)),
        "ordered": made([1, 0, -1], ["low", "high"], True),
        "int": made([1, 0, -1], [3, 1, 2]),
        "float": made([1, 0, -1], [0.5, -0.0]),
        "bool": made([1, 0, -1], [True, False]),
        "datetime": made([1, 0, -1], pd.date_range(DAY, periods=3)),
        "zone": made([1, 0, -1], pd.date_range(DAY, periods=3, tz="Asia/Tokyo")),
        "timedelta": made([1, 0, -1], pd.to_timedelta([3, 1], unit="s")),
        "period": made([1, 0, -1], pd.period_range("2024-01", periods=2, freq="M")),
        "interval": pd.Series(pd.cut([1, 5, 9, np.nan], 3)),
        "interval time": pd.Series(pd.cut(pd.Series(pd.date_range(DAY, periods=4)), 2)),
        "date": made([0, -1], pd.Index([datetime.date(2024, 1, 1), datetime.date(2023, 1, 1)], dtype=object)),
        "only missing": made([-1, -1], ["a"]),
        "no categories": pd.Series(pd.Categorical([None, None], categories=pd.Index([], dtype="int64"))),
        "no rows": made([], ["z", "a"]),
        "many": made(list(range(300)), [f"c{i}" for i in range(400)]),
        "named": made([0], pd.Index(["a"], name="letters")),
    }


COLUMNS = {
    f"{group}: {name}": column
    for group, columns in (
        ("numpy", _numpy_columns()),
        ("object", _object_columns()),
        ("extension", _extension_columns()),
        ("arrow", _arrow_columns()),
        ("category", _categoricals()),
    )
    for name, column in columns.items()
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("shape", ["as it is", "repeated", "no rows", "one missing", "only missing"])
def test_a_column_comes_back_as_it_was(name: str, shape: str) -> None:
    column = COLUMNS[name]
    if shape == "repeated":
        column = pd.concat([column] * 500, ignore_index=True)
    elif shape == "no rows":
        column = column.iloc[:0]
    elif shape in ("one missing", "only missing"):
        column = column.copy()
        whole = getattr(column.dtype, "subtype", column.dtype)
        if len(column) == 0 or (isinstance(whole, np.dtype) and whole.kind in "biu"):
            pytest.skip("this type has no missing values")
        # An object column has one kind of missing value; two kinds in one are a loss that is named.
        missing = next((value for value in column if is_missing(value)), None) if column.dtype == object else None
        column.iloc[: 1 if shape == "one missing" else None] = missing
    frame = pd.DataFrame({"x": column})
    if column.dtype == object and frame["x"].dtype != object:
        frame = pd.DataFrame({"x": pd.Series(column.array, dtype=object)})
    assert_same(frame, round_trip(frame))


@pytest.mark.parametrize("name", COLUMNS)
def test_nothing_is_lost_of_a_supported_column(name: str) -> None:
    assert prepare(COLUMNS[name].to_frame("x")).losses == ()


def test_chunks_with_other_dictionaries_come_back() -> None:
    chunks = pa.chunked_array(
        [pa.array(["a", "b"]).dictionary_encode(), pa.array(["c", None, "a"]).dictionary_encode()]
    )
    frame = pd.DataFrame({"x": pd.Series(pd.arrays.ArrowExtensionArray(chunks))})
    assert_same(frame, round_trip(frame))


def test_a_reader_may_drop_the_extension_types() -> None:
    frame = pd.DataFrame(
        {
            "period": pd.period_range("2024-01", periods=3, freq="M"),
            "interval": pd.interval_range(0, periods=3),
            "uuid": _objects(uuid.UUID(int=1), None, uuid.UUID(int=2)),
        }
    )
    prepared = prepare(frame)
    batches = list(prepared.batches or ())
    plain = [[column.storage for column in batch.columns] for batch in batches]
    fields = [pa.field(name, column.type) for name, column in zip(frame.columns, plain[0])]
    schema = pa.schema(fields, metadata=prepared.schema.metadata)
    stripped = [pa.record_batch(columns, schema=schema) for columns in plain]
    assert_same(frame, assemble(schema, stripped, 3, prepared.source, None))


def test_the_frame_that_came_back_can_be_changed() -> None:
    columns = {name: column for name, column in COLUMNS.items() if len(column) > 1 and name.startswith("numpy")}
    columns["text"] = COLUMNS["object: str"]
    for column in columns.values():
        result = round_trip(pd.DataFrame({"x": column}))
        result.loc[0, "x"] = column.iloc[1]
        assert result["x"].iloc[0] == column.iloc[1] or pd.isna(column.iloc[1])
        assert result["x"].dtype == column.dtype


def test_importing_the_conversion_loads_no_frame_library() -> None:
    program = (
        "import sys, coldframe.frames.pandas; print([n for n in ('pandas', 'pyarrow', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
