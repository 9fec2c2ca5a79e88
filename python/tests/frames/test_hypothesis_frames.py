"""Generated frames of pandas, polars and pyarrow come back exactly, by Parquet and by Arrow files."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import polars.testing.parametric
import pyarrow as pa
import pytest
from exact import assert_same_polars, assert_same_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from hypothesis.extra import pandas as pandas_strategies
from round_trip import assert_same

from coldframe import Store

_KEYS = (f"generated/{number}" for number in itertools.count())
_BOUNDED = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
SERIALIZERS = ["parquet", "arrow"]
_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)
"""Names without NUL, which are refused."""
_TEXTS = st.text(max_size=12)
"""Any text but lone surrogates, which no UTF-8 can hold."""


def _comes_back(store: Store, frame: Any, serializer: str) -> Any:
    return store.get(store.put(next(_KEYS), frame, serializer=serializer, strict=True))


# pandas


_NUMPY_TYPES = st.one_of(
    numpy_strategies.integer_dtypes(endianness="="),
    numpy_strategies.unsigned_integer_dtypes(endianness="="),
    numpy_strategies.floating_dtypes(endianness="=", sizes=(32, 64)),
    numpy_strategies.boolean_dtypes(),
    st.sampled_from(
        [np.dtype(f"{kind}64[{unit}]") for kind in ("datetime", "timedelta") for unit in ("s", "ms", "us", "ns")]
    ),
)
_MASKED_TYPES = ("Int8", "UInt8", "Int64", "UInt64", "boolean", "Float32", "Float64")


@st.composite
def _extension_arrays(draw: st.DrawFn, rows: int) -> Any:
    kind = draw(st.sampled_from([*_MASKED_TYPES, "str", "string", "category", "object"]))
    if kind in _MASKED_TYPES:
        values = draw(numpy_strategies.arrays({"boolean": "bool"}.get(kind, kind.lower()), rows))
        mask = draw(numpy_strategies.arrays("bool", rows))
        array = pd.array(np.zeros(rows, values.dtype), dtype=kind)
        return type(array)(values, mask)
    texts = draw(st.lists(st.none() | _TEXTS, min_size=rows, max_size=rows))
    if kind == "category":
        categories = draw(st.lists(_TEXTS, unique=True, max_size=5))
        codes = draw(st.lists(st.integers(-1, len(categories) - 1), min_size=rows, max_size=rows))
        return pd.Categorical.from_codes(codes, pd.Index(categories, dtype="str"), ordered=draw(st.booleans()))
    return pd.Series(texts, dtype=object if kind == "object" else kind).array


@st.composite
def pandas_frames(draw: st.DrawFn) -> pd.DataFrame:
    """Frames of numpy and extension types, with an index and labels of several kinds."""
    rows = draw(st.integers(0, 8))
    types = draw(st.lists(_NUMPY_TYPES, max_size=4))
    columns = [pandas_strategies.column(f"c{at}", dtype=dtype) for at, dtype in enumerate(types)]
    index = draw(
        st.sampled_from(
            [
                pandas_strategies.range_indexes(min_size=rows, max_size=rows),
                pandas_strategies.indexes(dtype=np.int64, min_size=rows, max_size=rows),
                pandas_strategies.indexes(dtype=np.float64, min_size=rows, max_size=rows),
            ]
        )
    )
    frame = draw(pandas_strategies.data_frames(columns, index=index)) if columns else pd.DataFrame(index=draw(index))
    for name in draw(st.lists(_NAMES, unique=True, max_size=3)):
        if name not in frame.columns:
            frame[name] = draw(_extension_arrays(rows))
    frame.index.name = draw(st.none() | _NAMES)
    return frame


@pytest.mark.parametrize("serializer", SERIALIZERS)
@given(frame=pandas_frames())
@_BOUNDED
def test_generated_pandas_frames_come_back(shared_store: Store, serializer: str, frame: pd.DataFrame) -> None:
    assert_same(frame, _comes_back(shared_store, frame, serializer))


# polars


_POLARS_TYPES = [
    pl.Int8, pl.UInt8, pl.Int64, pl.UInt64, pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Binary,
    pl.Date, pl.Time, pl.Datetime, pl.Duration, pl.Decimal, pl.List, pl.Array, pl.Struct, pl.Null,
    pl.Enum, pl.Categorical,
]  # fmt: skip
_DICTIONARIES, _NESTED = {pl.Enum, pl.Categorical}, {pl.List, pl.Array, pl.Struct}


def polars_frames(without: set[Any]) -> st.SearchStrategy[pl.DataFrame]:
    """Frames of all types but some, in one or several chunks."""
    kept = [dtype for dtype in _POLARS_TYPES if dtype not in without]
    return polars.testing.parametric.dataframes(allowed_dtypes=kept, max_cols=5, max_size=6, allow_chunks=True)


@pytest.mark.parametrize("serializer", SERIALIZERS)
# Parquet refuses dictionaries inside other types.
@given(frame=polars_frames(_DICTIONARIES) | polars_frames(_NESTED))
@_BOUNDED
def test_generated_polars_frames_come_back(shared_store: Store, serializer: str, frame: pl.DataFrame) -> None:
    assert_same_polars(frame, _comes_back(shared_store, frame, serializer))


@given(frame=polars_frames(set()))
@_BOUNDED
def test_generated_lazy_frames_come_back(shared_store: Store, frame: pl.DataFrame) -> None:
    returned = _comes_back(shared_store, frame.lazy(), "arrow")
    assert type(returned) is pl.LazyFrame
    assert_same_polars(frame, returned.collect())


# pyarrow


_UNITS = st.sampled_from(["s", "ms", "us", "ns"])
_ZONES = st.sampled_from([None, "UTC", "Europe/Berlin", "+05:30"])
_FLAT_TYPES = st.one_of(
    st.sampled_from(
        [pa.null(), pa.bool_(), pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view()]
    ),
    st.sampled_from(
        [pa.int8(), pa.uint8(), pa.int16(), pa.uint32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()]
    ),
    st.sampled_from([pa.date32(), pa.time32("ms"), pa.time64("ns"), pa.binary(3)]),
    st.builds(pa.timestamp, _UNITS, _ZONES),
    st.builds(pa.duration, _UNITS),
    st.integers(1, 38).flatmap(lambda digits: st.builds(pa.decimal128, st.just(digits), st.integers(0, digits))),
)


def _nested_types(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    fields = st.lists(st.builds(pa.field, _NAMES, inner), min_size=1, max_size=3, unique_by=lambda field: field.name)
    return st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        inner.map(lambda kind: pa.list_(kind, 2)),
        fields.map(pa.struct),
        inner.map(lambda kind: pa.map_(pa.string(), kind)),
    )


_TYPES = st.recursive(_FLAT_TYPES, _nested_types, max_leaves=4)


def _values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of a type, or nulls, as pyarrow takes them from Python."""
    return st.none() | _some_value(kind)


def _some_value(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({field.name: _values(field.type) for field in kind})
    if pa.types.is_map(kind):
        return st.lists(st.tuples(_TEXTS, _values(kind.item_type)), max_size=3)
    if pa.types.is_fixed_size_list(kind):
        return st.lists(_values(kind.value_type), min_size=kind.list_size, max_size=kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return st.lists(_values(kind.value_type), max_size=3)
    if pa.types.is_decimal(kind):
        return st.integers(-(10**kind.precision) + 1, 10**kind.precision - 1).map(
            lambda digits: _decimal(digits, kind.scale)
        )
    return _flat_value(kind)


def _flat_value(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_null(kind):
        return st.none()
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_floating(kind):
        return st.floats(width=kind.bit_width)
    if kind in (pa.string(), pa.large_string(), pa.string_view()):
        return _TEXTS
    if kind in (pa.binary(), pa.binary_view()):
        return st.binary(max_size=14)
    if pa.types.is_fixed_size_binary(kind):
        return st.binary(min_size=kind.byte_width, max_size=kind.byte_width)
    if pa.types.is_time32(kind):
        return st.integers(0, 86_399_999)
    if pa.types.is_time64(kind):
        return st.integers(0, 86_399_999_999_999)
    if pa.types.is_date(kind):
        return st.dates(min_value=datetime.date(1, 1, 1))
    signed = not pa.types.is_unsigned_integer(kind)
    return st.integers(-(2 ** (kind.bit_width - 1)) if signed else 0, 2 ** (kind.bit_width - signed) - 1)


def _decimal(digits: int, scale: int) -> Any:
    import decimal

    return decimal.Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -scale))


@st.composite
def arrow_tables(draw: st.DrawFn) -> pa.Table:
    """Tables of flat and nested types, in several chunks, some of them slices."""
    kinds = draw(st.lists(_TYPES, max_size=4))
    names = draw(st.lists(_NAMES, min_size=len(kinds), max_size=len(kinds)))
    rows = draw(st.integers(0, 6))
    arrays = [pa.array(draw(st.lists(_values(kind), min_size=rows, max_size=rows)), kind) for kind in kinds]
    metadata = draw(st.none() | st.dictionaries(_NAMES, _NAMES, min_size=1, max_size=2))
    table = pa.Table.from_arrays(arrays, schema=pa.schema(map(pa.field, names, kinds), metadata=metadata))
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=3)))
    if not kinds or not cuts:
        return table
    return pa.concat_tables([table.slice(start, stop - start) for start, stop in itertools.pairwise([*cuts, rows])])


@pytest.mark.parametrize("serializer", SERIALIZERS)
@given(table=arrow_tables())
@_BOUNDED
def test_generated_arrow_tables_come_back(shared_store: Store, serializer: str, table: pa.Table) -> None:
    assert_same_table(table, _comes_back(shared_store, table, serializer))


@given(table=arrow_tables(), data=st.data())
@_BOUNDED
def test_generated_selections_are_slices(shared_store: Store, table: pa.Table, data: st.DataObject) -> None:
    names = list(dict.fromkeys(name for name in table.column_names if table.column_names.count(name) == 1))
    columns = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    offset, limit = data.draw(st.integers(0, 7)), data.draw(st.integers(0, 7))
    reference = shared_store.put(next(_KEYS), table)
    scan = shared_store.scan(reference, columns=columns, offset=offset, limit=limit, batch_rows=2)
    read = pa.table(scan)
    assert read.num_rows == scan.shape[0] == max(0, min(limit, table.num_rows - offset))
    tail = pa.table(shared_store.scan(reference, columns=columns, tail=limit))
    assert tail.num_rows == min(limit, table.num_rows)
    if columns:
        # Slices of pyarrow tables without columns are longer than the table.
        assert_same_table(table.select(columns).slice(offset, limit), read)
        assert_same_table(table.select(columns).slice(table.num_rows - tail.num_rows), tail)
