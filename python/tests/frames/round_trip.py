"""A round trip of a pandas frame without a store, and a comparison that forgives nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from coldframe.frames.pandas import assemble, prepare
from coldframe.frames.prepared import Prepared


def through_ipc(prepared: Prepared) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """The schema and batches after a way through the bytes of an Arrow stream."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=False)
    with pa.ipc.new_stream(sink, prepared.schema, options=options) as writer:
        for batch in prepared.batches or ():
            assert batch.schema.equals(prepared.schema, check_metadata=True)
            writer.write_batch(batch)
    with pa.ipc.open_stream(sink.getvalue()) as reader:
        return reader.schema, list(reader)


def round_trip(frame: pd.DataFrame) -> pd.DataFrame:
    """What a frame comes back as."""
    prepared = prepare(frame)
    schema, batches = through_ipc(prepared)
    return assemble(schema, iter(batches), len(frame), prepared.source, None)


def assert_same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    """Fails unless both frames are equal in values, types, index, labels, names and flags."""
    comparable = [at for at in range(left.shape[1]) if not _beyond_pandas(left.iloc[:, at])]
    assert left.columns.equals(right.columns)
    pd.testing.assert_frame_equal(
        left.iloc[:, comparable], right.iloc[:, comparable], check_exact=True, check_freq=True, check_flags=True
    )
    assert left.attrs == right.attrs
    assert type(left.index) is type(right.index)
    assert type(left.columns) is type(right.columns)
    assert left.columns.dtype == right.columns.dtype
    assert list(left.columns.names) == list(right.columns.names)
    for at in range(left.shape[1]):
        _assert_same_values(left.iloc[:, at], right.iloc[:, at])


def _beyond_pandas(column: pd.Series[Any]) -> bool:
    """Whether pandas cannot compare such columns: it fails at some Arrow types, and at NaN inside of lists."""
    if isinstance(column.dtype, pd.ArrowDtype):
        kind = str(column.dtype.pyarrow_dtype)
        return kind in ("string_view", "month_day_nano_interval") or kind.startswith("extension")
    return column.dtype == object and any(isinstance(value, list) and "nan" in repr(value) for value in column)


def _assert_same_values(left: pd.Series[Any], right: pd.Series[Any]) -> None:
    assert left.dtype == right.dtype
    if isinstance(left.dtype, pd.ArrowDtype):
        assert left.array._pa_array.type.equals(right.array._pa_array.type)
        assert repr(left.array._pa_array.to_pylist()) == repr(right.array._pa_array.to_pylist())
    if isinstance(left.dtype, np.dtype) and left.dtype.kind == "f":
        numbers = ~np.isnan(left.to_numpy())
        assert left.to_numpy()[numbers].tobytes() == right.to_numpy()[numbers].tobytes()
    if isinstance(left.dtype, pd.StringDtype):
        assert left.dtype.storage == right.dtype.storage
        assert (left.dtype.na_value is pd.NA) == (right.dtype.na_value is pd.NA)
    if left.dtype == object:
        for one, other in zip(left.array, right.array):
            assert type(one) is type(other), (one, other)
            assert repr(one) == repr(other)
    if isinstance(left.dtype, pd.CategoricalDtype):
        assert left.cat.categories.equals(right.cat.categories)
        assert left.cat.categories.dtype == right.cat.categories.dtype
        assert left.cat.ordered == right.cat.ordered
    if isinstance(left.dtype, pd.DatetimeTZDtype):
        assert type(left.dtype.tz) is type(right.dtype.tz)
    if hasattr(left.array, "_mask"):
        assert (left.array._mask == right.array._mask).all()
        kept = ~left.array._mask
        assert np.array_equal(
            left.array._data[kept], right.array._data[kept], equal_nan=left.array._data.dtype.kind == "f"
        )
