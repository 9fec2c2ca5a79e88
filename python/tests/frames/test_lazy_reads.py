"""`lazy()` and scans read what a query needs, and nothing else: the other columns may be damaged."""

from __future__ import annotations

import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from conftest import open_store
from exact import assert_same_polars

from coldframe import ResultReference, Scan, Store
from coldframe.errors import DamagedError

FRAME = pl.DataFrame({name: [f"{name}{row}" for row in range(50_000)] for name in ("sound", "damaged", "other")})
_KEYS = (f"lazy/{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def damaged(shared_store: Store) -> ResultReference:
    """A Parquet file of more than a megabyte a column, in which all bytes of one column were changed."""
    reference = shared_store.put("lazy/damaged", FRAME.lazy(), serializer="parquet/none")
    (part,) = json.loads(reference.json())["parts"]
    assert shared_store.url is not None
    path = pathlib.Path(shared_store.url.removeprefix("file://")) / part["path"]
    data = bytearray(path.read_bytes())
    footer = pyarrow.parquet.read_metadata(path)
    for group in range(footer.num_row_groups):
        chunk = footer.row_group(group).column(footer.schema.names.index("damaged"))
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        for at in range(start, start + chunk.total_compressed_size, 64):
            data[at] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(data)
    return reference


def test_a_query_of_sound_columns_succeeds(shared_store: Store, damaged: ResultReference) -> None:
    lazy = shared_store.get(damaged)
    assert type(lazy) is pl.LazyFrame
    assert_same_polars(FRAME.select("other", "sound"), lazy.select("other", "sound").collect())
    assert lazy.select(pl.col("sound").str.len_bytes().sum()).collect().item() == FRAME["sound"].str.len_bytes().sum()
    filtered = lazy.filter(pl.col("sound") == "sound7").select("other").collect()
    assert filtered["other"].to_list() == ["other7"]
    assert lazy.select(pl.len()).collect().item() == FRAME.height
    assert shared_store.scan(damaged, columns=["other"]).to_arrow().num_rows == FRAME.height


def test_a_query_of_a_damaged_column_raises(shared_store: Store, damaged: ResultReference) -> None:
    lazy = shared_store.get(damaged)
    for query in (lazy, lazy.select("damaged"), lazy.filter(pl.col("damaged") == "damaged7").select("sound")):
        with pytest.raises((DamagedError, pl.exceptions.ComputeError), match="(?i)damaged|checksum"):
            query.collect()
    with pytest.raises(DamagedError):
        shared_store.scan(damaged, columns=["damaged"]).to_arrow()
    with pytest.raises(DamagedError):
        shared_store.get(damaged).collect()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, Any]]]:
    """What a scan was asked for: columns and number of rows."""
    calls: list[tuple[Any, Any]] = []
    each = Scan._each

    def counted(
        self: Scan, columns: list[str] | None, limit: int | None = None, where: str | None = None
    ) -> Iterator[Any]:
        calls.append((columns, limit))
        yield from each(self, columns, limit, where)

    monkeypatch.setattr(Scan, "_each", counted)
    return calls


@pytest.fixture(scope="module", params=["parquet", "arrow"])
def reference(request: pytest.FixtureRequest, shared_store: Store) -> ResultReference:
    frame = pl.DataFrame(
        {"a": range(1000), "b": [str(row) for row in range(1000)], "c": [row % 7 for row in range(1000)]}
    )
    return shared_store.put(next(_KEYS), frame.lazy(), serializer=request.param)


def test_only_the_columns_of_a_query_are_asked_for(reference: ResultReference, asked: list[tuple[Any, Any]]) -> None:
    lazy = reference.lazy()
    assert asked == [], "nothing is read before a query"
    assert lazy.select("c").collect().height == 1000
    assert [(sorted(columns), limit) for columns, limit in asked] == [(["c"], None)]
    asked.clear()
    found = lazy.filter(pl.col("c") == 3).select("a").collect()
    assert found["a"].to_list() == [row for row in range(1000) if row % 7 == 3]
    assert [sorted(columns) for columns, _ in asked] == [["a", "c"]]
    asked.clear()
    assert lazy.group_by("c").agg(pl.col("a").sum()).collect().height == 7
    assert [sorted(columns) for columns, _ in asked] == [["a", "c"]]


def test_only_the_first_rows_of_a_query_are_asked_for(reference: ResultReference, asked: list[tuple[Any, Any]]) -> None:
    lazy = reference.lazy()
    assert lazy.head(3).collect()["b"].to_list() == ["0", "1", "2"]
    assert [limit for _, limit in asked] == [3]
    asked.clear()
    assert lazy.select("b").limit(2).collect().height == 2
    assert [(columns, limit) for columns, limit in asked] == [(["b"], 2)]


def test_a_filter_comes_before_a_limit(reference: ResultReference) -> None:
    lazy = reference.lazy()
    assert lazy.filter(pl.col("c") == 6).head(3).collect()["a"].to_list() == [6, 13, 20]
    assert lazy.head(8).filter(pl.col("c") == 6).collect()["a"].to_list() == [6]
    assert lazy.slice(10, 2).collect()["a"].to_list() == [10, 11]
    assert lazy.tail(1).collect()["a"].to_list() == [999]
    assert lazy.head(0).collect().shape == (0, 3)


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_a_query_may_be_run_again_and_joined(reference: ResultReference, engine: Any) -> None:
    lazy = reference.lazy()
    query = lazy.join(lazy.select("a", pl.col("c").alias("d")), on="a").filter(pl.col("d") == 2).select(pl.len())
    expected = sum(row % 7 == 2 for row in range(1000))
    assert [query.collect(engine=engine).item() for _ in range(2)] == [expected, expected]


def test_a_lazy_frame_of_chosen_columns_and_rows(reference: ResultReference, asked: list[tuple[Any, Any]]) -> None:
    store = reference._store
    assert store is not None
    lazy = store.scan(reference, columns=["b", "a"], offset=5, limit=4).lazy()
    assert lazy.collect_schema().names() == ["b", "a"]
    assert lazy.collect()["a"].to_list() == [5, 6, 7, 8]
    assert lazy.select("a").head(2).collect()["a"].to_list() == [5, 6]
    assert [limit for _, limit in asked][-1] in (2, 4)
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        lazy.select("c").collect()
    tail = store.scan(reference, tail=3).lazy()
    assert tail.select("a").collect()["a"].to_list() == [997, 998, 999]
    assert tail.head(1).collect()["a"].to_list() == [997]


def test_a_lazy_frame_without_columns_knows_its_rows(shared_store: Store) -> None:
    reference = shared_store.put(next(_KEYS), pl.DataFrame(height=5))
    assert reference.lazy().collect().shape == (5, 0)
    assert reference.lazy().head(2).collect().shape == (2, 0)


def test_memory_is_not_the_measure_of_a_lazy_put(tmp_path: pathlib.Path) -> None:
    store = open_store("local", tmp_path, memory=32 << 20)
    lazy = pl.LazyFrame({"a": range(300_000)}).with_columns(b=pl.col("a") * 2, c=pl.lit("x" * 100))
    reference = store.put("large", lazy)
    assert reference.rows == 300_000
    read = reference.lazy().select(pl.col("a").sum(), pl.col("b").max()).collect()
    assert read.row(0) == (300_000 * 299_999 // 2, 599_998)
    assert pa.table(store.scan(reference, columns=["c"], limit=1)).to_pylist() == [{"c": "x" * 100}]
