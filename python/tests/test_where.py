"""Scans with `where` keep the rows that DuckDB and pyarrow keep, in each kind of frame."""

from __future__ import annotations

import datetime
import json
import pathlib
import pickle
import urllib.parse
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from coldframe import Parquet, ResultReference, Store
from coldframe.errors import ColumnNotFoundError, InvalidInputError, UnsupportedError

FLIGHTS = pathlib.Path(__file__).parents[2] / "fixtures" / "flights.parquet"


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pq.read_table(FLIGHTS)


@pytest.fixture(scope="module", params=["parquet", "arrow", "compressed(lz4)/parquet"])
def flights(request: pytest.FixtureRequest, shared_store: Store, table: pa.Table) -> ResultReference:
    return shared_store.put(f"where/{request.param}", table, serializer=request.param)


@pytest.mark.parametrize(
    "where",
    [
        "dep_delay > 30",
        "30.5 < dep_delay AND carrier <> 'UA'",
        "dep_delay IS NULL OR arr_delay < -40",
        "carrier IN ('AA', 'B6') AND NOT origin = 'JFK'",
        "carrier NOT IN ('AA', 'B6', NULL)",
        "tailnum LIKE 'N5%_A' OR tailnum IS NULL",
        "tailnum NOT LIKE '%N%'",
        "dest BETWEEN 'LAX' AND 'MIA' AND distance NOT BETWEEN 500 AND 2500.25",
        "(dep_delay > 60) IS NOT FALSE AND month = 1",
        "(dep_delay > 60) IS UNKNOWN",
        "month = 3 AND (day < 3 OR flight >= 6000.0)",
        "distance > 99999999999999999999",
        "flight <> 1.5 AND distance <= 94.5",
        "TRUE AND day = 31",
        "carrier = 'none'",
    ],
)
def test_rows_are_those_of_duckdb(flights: ResultReference, table: pa.Table, where: str) -> None:
    expected = duckdb.from_arrow(table).query("rows", f"SELECT * FROM rows WHERE {where}").to_arrow_table()
    found = flights.scan(where=where).to_arrow()
    assert found.equals(expected.cast(found.schema)) and found.schema.names == table.schema.names
    assert flights.scan(["dest"], where=where, offset=2, limit=5).to_arrow().equals(found.select(["dest"]).slice(2, 5))
    assert (
        flights.scan(["dest", "day"], where=where, tail=4)
        .to_arrow()
        .equals(found.select(["dest", "day"]).slice(max(found.num_rows - 4, 0)))
    )


SAMPLE = pa.table(
    {
        "stamp": pa.array([0, 1_700_000_000_123_456, None], pa.timestamp("us", "Europe/Warsaw")),
        "local": pa.array([0, 1_700_000_000_123, None], pa.timestamp("ms")),
        "day": pa.array([datetime.date(1969, 12, 31), datetime.date(2026, 11, 20), None]),
        "clock": pa.array([datetime.time(0), datetime.time(12, 30), None]),
        "price": pa.array([Decimal("-0.01"), Decimal("12.50"), None], pa.decimal128(9, 2)),
        "code": pa.array([b"\x00\xff", b"", None]),
        "huge": pa.array([2**64 - 1, 0, None], pa.uint64()),
        "word": pa.array(["b", "a", None]).dictionary_encode(),
        "flag": pa.array([True, False, None]),
        "ratio": pa.array([float("nan"), -0.0, None]),
        "list": pa.array([[1], [], None]),
    }
)


@pytest.mark.parametrize("serializer", ["parquet", "arrow"])
@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("stamp = '1970-01-01T01:00:00+01:00'", [0]),
        ("stamp >= '2023-11-14T22:13:20.123456Z'", [1]),
        ("stamp < '1970-01-01 00:00:00.0000001'", [0]),
        ("local > '2023-11-14 22:13:20.1229'", [1]),
        ("day < '1970-01-01'", [0]),
        ("day <= TIMESTAMP '2026-11-20 00:00:00'", [0, 1]),
        ("clock > '12:29:59.999999999'", [1]),
        ("price >= -0.01 AND price < 12.500001", [0, 1]),
        ("price > -0.005", [1]),
        ("code = X'00ff'", [0]),
        ("huge > 18446744073709551614", [0]),
        ("word < 'b' OR word IS NULL", [1, 2]),
        ("NOT flag", [1]),
        ("flag IS NOT TRUE", [1, 2]),
        ("ratio <> 1", [0, 1]),
        ("ratio >= 0", [1]),
        ("NOT ratio < 0", [0, 1]),
        ("list IS NOT NULL", [0, 1]),
    ],
)
def test_each_type_is_compared(shared_store: Store, serializer: str, where: str, kept: list[int]) -> None:
    reference = shared_store.put("where/sample", SAMPLE, serializer=serializer)
    found = reference.scan(where=where).to_arrow()
    assert found.schema.equals(SAMPLE.schema)
    # As text, in which NaN is NaN.
    assert str(found.to_pylist()) == str(SAMPLE.take(kept).to_pylist())


def test_nan_is_compared_as_pyarrow_does(shared_store: Store) -> None:
    numbers = pa.table({"x": [float("nan"), 1.0, -1.0, float("inf"), None]})
    reference = shared_store.put("where/nan", numbers)
    for text, condition in [
        ("x > 0", pc.field("x") > 0),
        ("x <> 1", pc.field("x") != 1),
        ("x <= 1", pc.field("x") <= 1),
        ("NOT x > 0", ~(pc.field("x") > 0)),
        ("x IN (1, -1)", pc.field("x").isin([1.0, -1.0])),
    ]:
        kept = reference.scan(where=text).to_arrow()
        assert str(kept["x"].to_pylist()) == str(numbers.filter(condition)["x"].to_pylist()), text


def test_every_kind_of_frame_has_the_rows(shared_store: Store) -> None:
    frame = pl.DataFrame({"a": [1, 2, 3, None], "b": ["x", "y", "z", "w"]})
    reference = shared_store.put("where/kinds", frame)
    scan = reference.scan(where="a >= 2")
    expected = frame.filter(pl.col("a") >= 2)
    assert scan.to_polars().equals(expected)
    assert scan.lazy().collect().equals(expected)
    assert pl.DataFrame(scan).equals(expected)
    assert scan.to_duckdb().to_arrow_table().to_pylist() == expected.to_dicts()
    assert scan.to_pandas()["b"].tolist() == ["y", "z"]
    assert scan.head(1).equals(expected.head(1))
    assert sum(batch.num_rows for batch in scan.batches()) == 2
    assert shared_store.get(reference, ["b"], where="a >= 2").equals(expected.select("b"))
    assert scan.shape == (None, 2)
    assert "where a >= 2" in repr(scan)
    assert list(scan.schema.names) == ["a", "b"]
    assert reference.scan(where="a > 99").to_polars().shape == (0, 2)


def test_a_pickled_scan_keeps_its_condition(shared_store: Store) -> None:
    reference = shared_store.put("where/pickled", pl.DataFrame({"a": [1, 2, 3]}))
    again = pickle.loads(pickle.dumps(reference.scan(where="a <> 2", limit=1)))
    assert again.to_polars()["a"].to_list() == [1]


def test_an_index_of_pandas_comes_along(shared_store: Store) -> None:
    days = pd.date_range("2026-01-01", periods=4, freq="D", name="day")
    frame = pd.DataFrame({"a": [1.5, np.nan, 3.5, 4.5]}, index=days)
    found = shared_store.get(shared_store.put("where/days", frame), where="a > 2")
    pd.testing.assert_frame_equal(found, frame[frame["a"] > 2], check_freq=False)
    plain = pd.DataFrame({"a": [1, 2, 3]}, index=pd.RangeIndex(10, 40, 10, name="row"))
    found = shared_store.get(shared_store.put("where/range", plain), where="a <> 2")
    pd.testing.assert_frame_equal(found, pd.DataFrame({"a": [1, 3]}, index=pd.RangeIndex(2, name="row")))


def test_mistakes_are_told(shared_store: Store) -> None:
    reference = shared_store.put("where/mistakes", pl.DataFrame({"fare": [1.5], "name": ["x"]}))
    for where, kind, message, hint in [
        ("fare >", InvalidInputError, "cannot be read", "double quotes"),
        ("fares > 1", ColumnNotFoundError, "no column `fares`", "`fare`"),
        ("fare > 'x'", InvalidInputError, "column `fare` has numbers", "a number"),
        ('name = "x"', UnsupportedError, "two columns", "single quotes"),
        ("lower(name) = 'x'", UnsupportedError, "function `lower`", "LIKE"),
    ]:
        with pytest.raises(kind, match=message) as caught:
            reference.scan(where=where).to_polars()
        assert hint in (caught.value.hint or ""), where
        # Told before anything is read, too.
        with pytest.raises(kind):
            _ = reference.scan(where=where).schema
    with pytest.raises(InvalidInputError, match="where: int is no condition"):
        reference.scan(where=5)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="where: this result is no table"):
        shared_store.get(shared_store.put("where/json", {"a": 1}), where="a = 1")


def test_bloom_filters_change_nothing_but_the_bytes_that_are_read(shared_store: Store, table: pa.Table) -> None:
    plain = shared_store.put("where/plain", table, serializer="parquet")
    blooms = Parquet(bloom_filters=["tailnum", "flight"])
    reference = shared_store.put("where/blooms", table, serializer=blooms)
    assert reference.size > plain.size
    for where in ["tailnum = 'N14228'", "tailnum = 'N1422'", "flight IN (1545, -3)", "NOT (flight = 1545) AND day = 3"]:
        expected = shared_store.scan(plain, where=where).to_arrow()
        assert shared_store.scan(reference, where=where).to_arrow().equals(expected)
    assert shared_store.url is not None
    folder = pathlib.Path(urllib.parse.unquote(shared_store.url.removeprefix("file://")))
    file = folder / json.loads(reference.json())["parts"][0]["path"]
    found = duckdb.sql(f"SELECT count(*) FROM read_parquet('{file}') WHERE tailnum = 'N14228'").fetchall()
    assert found == [(table.filter(pc.field("tailnum") == "N14228").num_rows,)]
    with pytest.raises(InvalidInputError, match="no column `nowhere`"):
        shared_store.put("where/none", table, serializer=Parquet(bloom_filters=["nowhere"]))
