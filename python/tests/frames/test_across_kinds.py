"""What one library put, read by all the others; and the plain file, read without coldframe."""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Callable
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from coldframe import ResultReference, Store
from coldframe.errors import ColumnNotFoundError, InvalidInputError

ROWS: list[dict[str, Any]] = [
    {"n": 2**53 + 1, "x": 1.5, "t": "ü\0", "w": datetime.datetime(2024, 2, 29, 12, 0, 0, 1), "b": True},
    {"n": 3, "x": -0.0, "t": None, "w": datetime.datetime(1969, 12, 31), "b": False},
    {"n": -(2**63), "x": 7.25, "t": "", "w": datetime.datetime(2000, 1, 1), "b": True},
    {"n": 0, "x": 5e-324, "t": "é", "w": datetime.datetime(2038, 1, 20), "b": False},
]
NAMES = list(ROWS[0])
TABLE = pa.Table.from_pylist(
    ROWS, pa.schema([("n", "int64"), ("x", "float64"), ("t", "string"), ("w", pa.timestamp("us")), ("b", "bool")])
)


def _pandas() -> pd.DataFrame:
    return TABLE.to_pandas()


MAKERS: dict[str, Callable[[], Any]] = {
    "pandas": _pandas,
    "polars": lambda: pl.DataFrame(TABLE),
    "polars lazy": lambda: pl.DataFrame(TABLE).lazy(),
    "pyarrow": lambda: TABLE,
    "pyarrow batch": lambda: TABLE.to_batches()[0],
    "pyarrow reader": lambda: TABLE.to_reader(),
    "duckdb": lambda: duckdb.from_arrow(TABLE),
}


def _of_pandas(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = pa.Table.from_pandas(frame, preserve_index=False).to_pylist()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


READERS: dict[str, Callable[[Any], list[dict[str, Any]]]] = {
    "to_pandas": lambda read: _of_pandas(read.to_pandas()),
    "to_polars": lambda read: read.to_polars().to_dicts(),
    "to_arrow": lambda read: read.to_arrow().to_pylist(),
    "to_duckdb": lambda read: read.to_duckdb().to_arrow_table().to_pylist(),
    "lazy": lambda read: read.lazy().collect().to_dicts(),
    "batches": lambda read: [row for batch in read.batches() for row in batch.to_pylist()],
    "polars constructor": lambda read: pl.DataFrame(read).to_dicts(),
    # polars makes one Series of structs of whatever is not pyarrow's.
    "polars from_arrow": lambda read: pl.from_arrow(read).struct.unnest().to_dicts(),
    "pyarrow table": lambda read: pa.table(read).to_pylist(),
    "pyarrow reader": lambda read: pa.RecordBatchReader.from_stream(read).read_all().to_pylist(),
    "duckdb from_arrow": lambda read: duckdb.from_arrow(read).to_arrow_table().to_pylist(),
}


@pytest.fixture(scope="module", params=MAKERS)
def reference(request: pytest.FixtureRequest, shared_store: Store) -> ResultReference:
    """A reference to the rows, put by each kind of frame."""
    return shared_store.put(f"across/{request.param}", MAKERS[request.param](), strict=True)


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_gives_the_same_rows(shared_store: Store, reference: ResultReference, reader: str) -> None:
    read = READERS[reader]
    assert repr(read(reference)) == repr(ROWS)
    scan = shared_store.scan(reference)
    assert repr(read(scan)) == repr(ROWS)
    assert repr(read(scan)) == repr(ROWS), "a scan may be read again"


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_gives_the_chosen_columns_and_rows(
    shared_store: Store, reference: ResultReference, reader: str
) -> None:
    read = READERS[reader]

    def rows(chosen: list[dict[str, Any]], *names: str) -> str:
        return repr([{name: row[name] for name in names} for row in chosen])

    def found(**options: Any) -> str:
        return repr(read(shared_store.scan(reference, **options)))

    assert found(columns=["t", "n"]) == rows(ROWS, "t", "n")
    assert found(limit=2) == rows(ROWS[:2], *NAMES)
    assert found(limit=2, offset=1, columns=["x"]) == rows(ROWS[1:3], "x")
    assert found(offset=3) == rows(ROWS[3:], *NAMES)
    assert found(tail=1, columns=["b", "w"]) == rows(ROWS[3:], "b", "w")
    assert found(tail=99) == rows(ROWS, *NAMES)
    assert found(limit=0) == found(offset=4) == found(tail=0) == "[]"
    assert found(batch_rows=1) == rows(ROWS, *NAMES)


def test_a_get_of_columns_keeps_the_kind(shared_store: Store, reference: ResultReference) -> None:
    whole, chosen = shared_store.get(reference), shared_store.get(reference, columns=["t", "n"])
    assert type(chosen) is type(whole)
    names = chosen.collect_schema().names() if isinstance(chosen, pl.LazyFrame) else _names(chosen)
    assert names == ["t", "n"]
    for columns in (["t", "missing"], ["N"]):
        with pytest.raises(ColumnNotFoundError, match="missing|N"):
            shared_store.get(reference, columns=columns)


def _names(frame: Any) -> list[str]:
    if isinstance(frame, (pa.Table, pa.RecordBatch, pa.RecordBatchReader)):
        return frame.schema.names
    return list(frame.columns)


def test_the_head_is_of_the_kind_that_was_put(shared_store: Store, reference: ResultReference) -> None:
    head = shared_store.scan(reference).head(2)
    expected = {"polars lazy": pl.DataFrame, "pyarrow reader": pa.Table}
    maker = reference.key.removeprefix("across/")
    assert type(head) is expected.get(maker, type(MAKERS[maker]()))
    assert len(_rows(head)) == 2
    assert repr(_rows(head)) == repr(ROWS[:2])
    assert repr(_rows(shared_store.scan(reference, offset=1, limit=2).head(5))) == repr(ROWS[1:3])
    with pytest.raises(InvalidInputError, match="head"):
        shared_store.scan(reference, tail=2).head(1)


def _rows(frame: Any) -> list[dict[str, Any]]:
    if isinstance(frame, pd.DataFrame):
        return _of_pandas(frame)
    if isinstance(frame, pl.DataFrame):
        return frame.to_dicts()
    return (frame if isinstance(frame, (pa.Table, pa.RecordBatch)) else frame.to_arrow_table()).to_pylist()


def test_the_plain_file_gives_the_same_values(shared_store: Store, reference: ResultReference) -> None:
    path = _file(shared_store, reference)
    assert path.suffix == ".parquet"
    assert repr(_of_pandas(pd.read_parquet(path))) == repr(ROWS)
    assert repr(pl.read_parquet(path).to_dicts()) == repr(ROWS)
    assert repr(duckdb.read_parquet(str(path), hive_partitioning=False).to_arrow_table().to_pylist()) == repr(ROWS)


def _file(store: Store, reference: ResultReference) -> pathlib.Path:
    import json

    (part,) = json.loads(reference.json())["parts"]
    assert store.url is not None
    return pathlib.Path(store.url.removeprefix("file://")) / part["path"]


@pytest.mark.parametrize("serializer", ["arrow", "arrow/lz4"])
def test_the_plain_arrow_file_gives_the_same_values(shared_store: Store, serializer: str) -> None:
    for name, make in MAKERS.items():
        path = _file(shared_store, shared_store.put(f"plain/{name}", make(), serializer=serializer))
        assert path.suffix == ".arrow"
        assert repr(pa.ipc.open_file(path).read_all().to_pylist()) == repr(ROWS)
        assert repr(pl.read_ipc(path).to_dicts()) == repr(ROWS)


def test_pandas_reads_its_own_file_with_index_and_categories(shared_store: Store) -> None:
    frame = pd.DataFrame(
        {"v": [1, 2], "c": pd.Categorical(["b", "a"], categories=["b", "a", "unused"], ordered=True)},
        index=pd.Index(["k", "l"], name="key"),
    )
    reference = shared_store.put("plain/own", frame, strict=True)
    read = pd.read_parquet(_file(shared_store, reference))
    assert read.index.equals(frame.index)
    assert read.index.name == "key"
    assert read["c"].tolist() == ["b", "a"]
    assert reference.to_polars().columns == ["v", "c", "key"]
    assert shared_store.get(reference, columns=["c"]).index.equals(frame.index)


def test_nulls_and_numbers_beyond_floats_reach_pandas_unchanged(shared_store: Store) -> None:
    values = {"big": [2**53 + 1, None], "u": [2**64 - 1, None], "b": [True, None], "x": [None, float("nan")]}
    schema = {"big": pl.Int64, "u": pl.UInt64, "b": pl.Boolean, "x": pl.Float64}
    for name, frame in {
        "polars": pl.DataFrame(values, schema=schema),
        "pyarrow": pl.DataFrame(values, schema=schema).to_arrow(),
    }.items():
        read = shared_store.put(f"nulls/{name}", frame, strict=True).to_pandas()
        assert read["big"].iloc[0] == 2**53 + 1
        assert read["u"].iloc[0] == 2**64 - 1
        assert read["b"].iloc[0]
        assert read[["big", "u", "b"]].iloc[1].isna().all()
        assert [str(dtype) for dtype in read.dtypes[:3]] == ["Int64", "UInt64", "boolean"]


def test_pandas_nulls_are_nulls_elsewhere_and_nan_is_not(shared_store: Store) -> None:
    frame = pd.DataFrame(
        {"t": ["a", None], "i": pd.array([1, None], dtype="Int64"), "when": pd.to_datetime(["2024-01-01", None])}
    )
    frame["f"] = pd.array([float("nan"), None], dtype="Float64")
    read = shared_store.put("nulls/pandas", frame, strict=True).to_polars()
    assert read.null_count().row(0)[:3] == (1, 1, 1)
    table = shared_store.scan("nulls/pandas").to_arrow()
    assert [table[name].null_count for name in ("t", "i", "when")] == [1, 1, 1]


def test_duplicate_names_are_read_by_position_alone(shared_store: Store) -> None:
    table = pa.table([pa.array([1]), pa.array(["x"])], ["a", "a"])
    reference = shared_store.put("twice", table, strict=True)
    assert shared_store.get(reference).equals(table)
    with pytest.raises(Exception, match="a"):
        shared_store.scan(reference, columns=["a"]).to_arrow()


def test_a_scan_tells_its_schema_and_shape(shared_store: Store, reference: ResultReference) -> None:
    scan = shared_store.scan(reference, columns=["x", "t"], limit=3)
    assert scan.shape == (3, 2)
    assert scan.schema.names == ["x", "t"]
    assert pa.schema(scan.schema).names == ["x", "t"]
    assert pa.schema(scan.schema).field("x").type == pa.float64()


def test_one_name_as_columns_is_refused(shared_store: Store, reference: ResultReference) -> None:
    with pytest.raises(InvalidInputError, match="one name"):
        shared_store.scan(reference, columns="n")
    for options in ({"limit": -1}, {"offset": -1}, {"tail": 1, "limit": 1}, {"limit": 1.5}):
        with pytest.raises(InvalidInputError):
            shared_store.scan(reference, **options)
