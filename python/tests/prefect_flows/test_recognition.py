"""Which parts of a value count as frames."""

from __future__ import annotations

import sys
import unittest.mock
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from values_support import FRAMES, Fitted, Report, Subclass, pandas_frame, table

from coldframe import Store
from coldframe.prefect import StoredBatches, recognition


class Streams:
    """Somebody's frame that speaks Arrow."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return table().__arrow_c_stream__(requested_schema)


class Arrays:
    """Somebody's batch that speaks Arrow."""

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return table().to_batches()[0].__arrow_c_array__(requested_schema)


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_of_each_library_is_kept_apart(kind: str) -> None:
    assert recognition.is_leaf(FRAMES[kind]())


def test_frames_of_libraries_that_nobody_knows_are_kept_apart() -> None:
    assert recognition.is_leaf(Streams())
    assert recognition.is_leaf(Arrays())
    assert recognition.is_leaf(Subclass({"a": [1]}))


def test_references_scans_and_handles_are_kept_apart(tmp_path: Path) -> None:
    reference = Store(tmp_path / "store", durable=False).put("a", table())
    for value in (reference, reference.scan(), StoredBatches(reference)):
        assert recognition.is_leaf(value)
        assert not recognition.is_one_shot(value)


NO_FRAMES = {
    "the class of a frame": pd.DataFrame,
    "a class that streams": Streams,
    "a pandas series": pd.Series([1]),
    "a pandas index": pd.Index([1]),
    "a group-by": pd.DataFrame({"a": [1]}).groupby("a"),
    "a polars series": pl.Series([1]),
    "a polars expression": pl.col("a"),
    "an array": pa.array([1]),
    "an array of structs": pa.array([{"a": 1}]),
    "a chunked array": pa.chunked_array([[1]]),
    "a scalar": pa.scalar(1),
    "a schema": table().schema,
    "a numpy array": np.zeros((2, 2)),
    "a function": pandas_frame,
    "a generator of batches": (batch for batch in table().to_batches()),
    "an iterator": iter([table()]),
    "a list of frames": [table()],
    "a dataclass with a frame": Fitted(table()),
    "a model with a frame": Report(frame=table()),
    "None": None,
    "text": "text",
}


@pytest.mark.parametrize("what", NO_FRAMES)
def test_what_is_no_frame_stays_in_the_value(what: str) -> None:
    assert not recognition.is_leaf(NO_FRAMES[what])


def test_a_connection_is_no_frame() -> None:
    with duckdb.connect() as connection:
        assert not recognition.is_leaf(connection)


def test_a_class_of_pyarrow_that_only_ends_like_a_dataset_is_no_frame(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    assert not recognition.is_leaf(pq.ParquetDataset(tmp_path / "a.parquet"))


def test_a_mock_of_a_frame_is_none() -> None:
    assert not recognition.is_leaf(unittest.mock.Mock(spec=pd.DataFrame))


def test_a_proxy_is_not_asked_what_it_stands_for() -> None:
    class Proxy:
        @property
        def __class__(self) -> Any:
            raise AssertionError("it was computed")

    assert not recognition.is_leaf(Proxy())


def test_a_library_that_is_being_imported_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", type(sys)("polars"))
    assert recognition.is_leaf(pandas_frame())
    assert not recognition.is_leaf(object)


@pytest.mark.parametrize("kind", FRAMES)
def test_only_readers_are_read_once(kind: str) -> None:
    assert recognition.is_one_shot(FRAMES[kind]()) is (kind == "pyarrow reader")


def test_a_stream_of_another_library_counts_as_read_once() -> None:
    assert recognition.is_one_shot(Streams())


def test_a_dataset_of_files_is_kept_apart(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    assert recognition.is_leaf(ds.dataset(tmp_path))
    assert recognition.is_leaf(ds.dataset([ds.dataset(tmp_path)]))
