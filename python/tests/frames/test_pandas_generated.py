"""Generated frames of pandas come back exactly, in slices of any size."""

from __future__ import annotations

import datetime
import decimal
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from round_trip import assert_same, round_trip

from coldframe.frames import pandas_encoders, pandas_object_encoder
from coldframe.frames import pandas_in as conversion

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMPY = [f"{sign}int{width}" for sign in ("", "u") for width in (8, 16, 32, 64)]
LEAVES = st.none() | st.integers(-(2**63), 2**63 - 1)


def _ints(dtype: str) -> st.SearchStrategy[int]:
    limits = np.iinfo(dtype)
    return st.integers(int(limits.min), int(limits.max))


def _series(values: list[Any], dtype: Any) -> pd.Series:
    if dtype is object or dtype == "object":
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return pd.Series(array, dtype=object)
    return pd.Series(values, dtype=dtype)


def _objects(draw: st.DrawFn, *, nested: bool) -> st.SearchStrategy[Any]:
    """Values of one kind that only an object column holds, or None."""
    texts = st.lists(TEXT, max_size=2)
    if nested:
        kinds = [
            st.lists(LEAVES, max_size=3),
            st.lists(st.none() | st.lists(st.none() | TEXT, max_size=2), max_size=2),
            st.tuples(LEAVES, st.none() | texts).map(lambda pair: dict(zip("ab", pair))),
        ]
    else:
        kinds = [
            st.booleans(),
            st.integers(-(2**80), 2**80),
            st.binary(max_size=5),
            st.dates(),
            st.datetimes().map(lambda t: t.replace(fold=0)),
            st.times().map(lambda t: t.replace(fold=0)),
            st.timedeltas(datetime.timedelta(days=-(10**6)), datetime.timedelta(days=10**6)),
            st.uuids(),
            st.integers(-(10**12), 10**12).map(lambda n: decimal.Decimal(n).scaleb(-3) + decimal.Decimal("0.000")),
        ]
    return st.none() | draw(st.sampled_from(kinds))


@st.composite
def _column(draw: st.DrawFn, rows: int) -> pd.Series:
    def listed(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=rows, max_size=rows))

    kind = draw(st.sampled_from(["numpy", "masked", "float", "time", "text", "category", "object", "nested"]))
    if kind in ("numpy", "masked"):
        dtype = draw(st.sampled_from(NUMPY))
        if kind == "numpy":
            return _series(listed(_ints(dtype)), dtype)
        values = np.array(listed(_ints(dtype)), dtype=dtype)
        return pd.Series(pd.arrays.IntegerArray(values, np.array(listed(st.booleans()), dtype=bool)))
    if kind == "float":
        dtype = draw(st.sampled_from(["float32", "float64"]))
        values = np.array(listed(st.floats(width=int(dtype[5:]))), dtype=dtype)
        if draw(st.booleans()):
            return pd.Series(values)
        return pd.Series(pd.arrays.FloatingArray(values, np.array(listed(st.booleans()), dtype=bool)))
    if kind == "time":
        unit = draw(st.sampled_from(["s", "ms", "us", "ns"]))
        base = draw(st.sampled_from(["datetime64", "timedelta64"]))
        values = np.array(listed(st.integers(-(2**62), 2**62) if unit == "ns" else st.integers(-(2**35), 2**35)))
        values = values.astype("int64").view(f"{base}[{unit}]").copy()
        values[np.array(listed(st.booleans()), dtype=bool)] = np.array("NaT", dtype=values.dtype)
        series = pd.Series(values)
        zone = draw(st.sampled_from([None, "UTC", "Asia/Kolkata", "America/New_York"]))
        return series if base == "timedelta64" or zone is None else series.dt.tz_localize("UTC").dt.tz_convert(zone)
    if kind == "text":
        dtypes = [pd.StringDtype("python"), pd.StringDtype("pyarrow"), object, "category"]
        if pd.__version__ >= "3":
            dtypes.append("str")
        return _series(listed(st.none() | TEXT), draw(st.sampled_from(dtypes)))
    if kind == "category":
        categories = draw(
            st.lists(TEXT, unique=True, max_size=5) | st.lists(st.integers(-9, 9), unique=True, max_size=5)
        )
        codes = listed(st.integers(-1, len(categories) - 1))
        index = pd.Index(categories, dtype=None if categories else object)
        return pd.Series(pd.Categorical.from_codes(codes, categories=index, ordered=draw(st.booleans())))
    return _series(listed(_objects(draw, nested=kind == "nested")), object)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """A frame of up to 40 rows and 5 columns of any types, some with an index made of columns."""
    rows = draw(st.integers(0, 40))
    names = draw(st.lists(TEXT | st.integers(-5, 5) | st.tuples(TEXT, st.integers(0, 3)), unique=True, max_size=5))
    labels = np.empty(len(names), dtype=object)
    labels[:] = names
    data = {at: draw(_column(rows)) for at in range(len(names))}
    frame = pd.DataFrame(data, index=pd.RangeIndex(rows), copy=False)
    for at, column in data.items():
        if frame[at].dtype != column.dtype:
            frame[at] = column
    frame.columns = pd.Index(labels, dtype=object, tupleize_cols=False)
    index = draw(st.sampled_from(["range", "int", "text", "time", "multi"]))
    if index == "int":
        frame.index = pd.Index(
            draw(st.lists(st.integers(-9, 9), min_size=rows, max_size=rows)), dtype="int64", name="i"
        )
    elif index == "text":
        frame.index = pd.Index(draw(st.lists(TEXT, min_size=rows, max_size=rows)), dtype="string", name=draw(TEXT))
    elif index == "time":
        frame.index = pd.date_range("2024-01-01", periods=rows, freq="15min", tz="Europe/Berlin")
    elif index == "multi":
        first = draw(st.lists(st.none() | st.integers(-9, 9), min_size=rows, max_size=rows))
        levels = [pd.array(first, dtype="Int64"), np.arange(rows) // 3]
        frame.index = pd.MultiIndex.from_arrays(levels, names=[draw(st.none() | TEXT), "i"]).remove_unused_levels()
    return frame


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(frame=frames(), slice_rows=st.sampled_from([1, 3, 7, 65_536]))
def test_a_generated_frame_comes_back(frame: pd.DataFrame, slice_rows: int) -> None:
    block = min(slice_rows, pandas_encoders.BLOCK)
    with (
        mock.patch.object(conversion, "SLICE_ROWS", slice_rows),
        mock.patch.object(pandas_encoders, "BLOCK", block),
        mock.patch.object(pandas_object_encoder, "BLOCK", block),
    ):
        prepared = conversion.prepare(frame)
        assert all(batch.num_rows <= slice_rows for batch in prepared.batches or ())
        assert_same(frame, round_trip(frame))


def test_slices_keep_to_their_bytes_where_rows_differ() -> None:
    texts = ["x" * 20_000] * 3_000 + [""] * 200_000 + ["y" * 5_000_000] * 4
    for dtype in (object, "string"):
        frame = pd.DataFrame({"text": pd.Series(texts, dtype=dtype), "n": range(len(texts))})
        prepared = conversion.prepare(frame)
        sizes = [(batch.num_rows, batch.nbytes) for batch in prepared.batches or ()]
        assert sum(rows for rows, _ in sizes) == len(frame)
        assert max(rows for rows, _ in sizes) <= conversion.SLICE_ROWS
        # A value larger than a slice cannot be cut.
        assert max(size for _, size in sizes) < 2 * conversion.SLICE_BYTES + 6_000_000
        assert len(sizes) < 40


@pytest.mark.parametrize("rows", [1, 1023, 1024, 1025, 65_535, 65_536, 65_537, 200_000])
def test_every_row_is_in_one_slice(rows: int) -> None:
    frame = pd.DataFrame({"n": np.arange(rows), "text": pd.Series(np.arange(rows).astype(str), dtype="string")})
    prepared = conversion.prepare(frame)
    assert np.array_equal(np.concatenate([b.column(0).to_numpy() for b in prepared.batches or ()]), np.arange(rows))
