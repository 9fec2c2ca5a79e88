"""Values with frames in them, and what it means that they come back."""

from __future__ import annotations

import collections
import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pydantic


@dataclasses.dataclass
class Fitted:
    """A dataclass."""

    frame: Any
    score: float = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """A dataclass that refuses changes, without a dict."""

    frame: Any
    name: str


class Report(pydantic.BaseModel):
    """A pydantic model."""

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    frame: Any
    title: str = "report"
    parts: list[Any] = []
    _hidden: Any = pydantic.PrivateAttr(default=None)


class Pair(NamedTuple):
    """A named tuple."""

    left: Any
    right: Any


@attrs.define
class Measured:
    """A class of attrs."""

    frame: Any
    unit: str = "m"


class Subclass(pd.DataFrame):
    """A frame of somebody's own library."""

    @property
    def _constructor(self) -> type[Subclass]:
        return Subclass


def pandas_frame(rows: int = 5) -> pd.DataFrame:
    """A frame whose index and dtypes have to come back."""
    index = pd.date_range("2026-01-01", periods=rows, freq="h", tz="Europe/Berlin", name="at")
    columns = {"size": pd.Categorical(["s", "m"] * rows, ordered=True)[:rows], "count": range(rows)}
    frame = pd.DataFrame(columns, index=index)
    frame.index.freq = None
    return frame


def indexed_frame() -> pd.DataFrame:
    """A frame with a MultiIndex of rows, and one of columns."""
    rows = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["letter", "number"])
    columns = pd.MultiIndex.from_product([["x"], ["first", "second"]])
    return pd.DataFrame([[1, 2.5], [3, 4.5], [5, 6.5], [7, 8.5]], index=rows, columns=columns)


def table(rows: int = 5) -> pa.Table:
    """A table of pyarrow."""
    return pa.table({"n": range(rows), "text": [f"row {row}" for row in range(rows)]})


FRAMES: dict[str, Any] = {
    "pandas": pandas_frame,
    "pandas with MultiIndexes": indexed_frame,
    "polars": lambda: pl.DataFrame({"n": [1, None, 3], "list": [[1], [], None]}),
    "polars lazy": lambda: pl.LazyFrame({"n": [1, 2, 3]}).filter(pl.col("n") > 1),
    "pyarrow table": table,
    "pyarrow batch": lambda: table().to_batches()[0],
    "pyarrow reader": lambda: table().to_reader(),
    "pyarrow dataset": lambda: ds.dataset(table()),
    "pyarrow scanner": lambda: ds.dataset(table()).scanner(columns=["n"]),
    "duckdb relation": lambda: duckdb.sql("select range as n from range(5)"),
}
"""A frame of every kind, made anew."""


def rows_of(frame: Any) -> list[dict[str, Any]]:
    """The rows, whatever holds them."""
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, ds.Scanner):
        frame = frame.to_table()
    if isinstance(frame, ds.Dataset):
        frame = frame.to_table()
    rows: list[dict[str, Any]] = pa.table(frame).to_pylist()
    return rows


def assert_same(before: Any, after: Any) -> None:
    """Fails unless both are equal, of the same types all through."""
    assert type(after) is type(before), f"{type(before)} became {type(after)}"
    if isinstance(before, pd.DataFrame):
        pd.testing.assert_frame_equal(before, after)
    elif isinstance(before, (pl.DataFrame, pa.Table, pa.RecordBatch)):
        assert before.schema == after.schema
        assert before.equals(after)
    elif isinstance(before, (pl.LazyFrame, duckdb.DuckDBPyRelation)):
        assert rows_of(before) == rows_of(after)
    elif isinstance(before, (list, tuple, collections.deque)):
        assert len(before) == len(after)
        for one, other in zip(before, after):
            assert_same(one, other)
    elif isinstance(before, dict):
        assert [*map(repr, before)] == [*map(repr, after)]
        for key, other in zip(before, after.values()):
            assert_same(before[key], other)
    elif hasattr(before, "__dict__") and isinstance(before, (Fitted, Report)):
        assert_same(before.__dict__, after.__dict__)
    elif isinstance(before, (Frozen, Measured)):
        assert_same(before.frame, after.frame)
    elif isinstance(before, float):
        # Not by `==`: a NaN is itself, and zero has a sign.
        assert before.hex() == after.hex()
    else:
        assert before == after


def files(folder: Path) -> list[str]:
    """The files of a store that hold anything of a result."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@contextmanager
def logged() -> Iterator[list[logging.LogRecord]]:
    """What coldframe logs meanwhile outside of a run."""
    records: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler, logger = Handler(), logging.getLogger("prefect.coldframe")
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)
