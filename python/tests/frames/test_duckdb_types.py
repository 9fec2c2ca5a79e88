"""Relations of DuckDB with types that Arrow does not know."""

from __future__ import annotations

import warnings
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import coldframe
from coldframe.errors import ColdframeError, LossyWarning, UnsupportedError
from coldframe.frames.duckdb_types import restored

EXPRESSIONS = {
    "huge": "340::hugeint",
    "greatest huge": "99999999999999999999999999999999999999::hugeint",
    "least huge": "-99999999999999999999999999999999999999::hugeint",
    "unsigned huge": "99999999999999999999999999999999999999::uhugeint",
    "sum": "list_sum([1, 2])",
    "time with zone": "'01:02:03.000004+02:30'::timetz",
    "enum": "'it''s'::enum('b', 'it''s')",
    "uuid": "'fd85c8eb-ab13-4300-a6f6-a4ac76e75296'::uuid",
    "json": """'{"a": 1}'::json""",
    "bit": "'101'::bit",
    "huge nested": "[1::hugeint, null]",
    "struct": """{'a b': 'b'::enum('b', 'a'), 'q"': '0101'::bit}""",
    "map": "map{'k': 'fd85c8eb-ab13-4300-a6f6-a4ac76e75296'::uuid, 'l': null}",
    "array": "['01:02:03+02'::timetz, null]::timetz[2]",
    "deep": "[{'a': map{1: ['1'::bit]}}]",
    "struct with a size": "{'size': '1'::bit, 'child': 2::hugeint}",
    "decimal": "1.5::decimal(10, 2)",
    "text": "'x'",
}


@pytest.mark.parametrize("serializer", ["parquet", "arrow"])
@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_a_type_comes_back_without_a_loss(tmp_path: Path, expression: str, serializer: str) -> None:
    put = duckdb.sql(f'select {expression} as "its ""x""" union all select null order by 1 nulls last')
    store = coldframe.Store(tmp_path)
    store.put("k", put, serializer=serializer, strict=True)
    back = store.get("k")
    assert (back.columns, list(map(str, back.types))) == (put.columns, list(map(str, put.types)))
    assert back.fetchall() == put.fetchall()
    assert back.fetchall() == put.fetchall()


def test_a_sum_warns_of_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coldframe.Store(tmp_path).put("k", duckdb.sql("select sum(i) as total from range(3) t(i)"))
    assert coldframe.Store(tmp_path).get("k").types == ["HUGEINT"]


@pytest.mark.parametrize(
    "expression",
    [
        "340282366920938463463374607431768211455::uhugeint",
        "170141183460469231731687303715884105727::hugeint",
        "[{'a': 340282366920938463463374607431768211455::uhugeint}]",
    ],
)
def test_what_has_no_room_is_refused_by_name(tmp_path: Path, expression: str) -> None:
    store = coldframe.Store(tmp_path)
    with pytest.raises(ColdframeError) as caught:
        store.put("k", duckdb.sql(f"select {expression} as wide"))
    told = str(caught.value)
    assert "column `wide`" in told
    assert "cast the column to VARCHAR" in told
    assert not store.exists("k")


def test_some_columns_and_rows_have_their_types(tmp_path: Path) -> None:
    store = coldframe.Store(tmp_path)
    store.put("k", duckdb.sql("select i::hugeint a, i::int b, uuid() c from range(9) t(i)"))
    assert store.scan("k", columns=["c", "a"], limit=2).to_duckdb().types == ["UUID", "HUGEINT"]
    assert store.scan("k").head(3).aggregate("sum(b)").fetchall() == [(3,)]
    assert store.get("k", columns=["b"]).types == ["INTEGER"]


def test_names_that_differ_by_case_alone_keep_their_values(tmp_path: Path) -> None:
    put = duckdb.from_arrow(pa.table({"x": [1, 2]})).project('7::hugeint as "a", x as "A", uuid() as "b"')
    store = coldframe.Store(tmp_path)
    store.put("k", put)
    assert store.reference("k").to_arrow().select([0, 1]).to_pydict() == {"a": [7, 7], "A": [1, 2]}
    assert [row[:2] for row in store.get("k").fetchall()] == [(7, 1), (7, 2)]


@pytest.mark.parametrize("serializer", ["parquet", "arrow"])
@pytest.mark.parametrize("inside", ["'101'::bit", "[1::uhugeint]", "'01:02:03+02'::timetz"])
def test_a_union_of_what_arrow_does_not_hold_is_refused(tmp_path: Path, inside: str, serializer: str) -> None:
    store = coldframe.Store(tmp_path)
    with pytest.raises(UnsupportedError, match="column `u`: Arrow does not hold") as caught:
        store.put("k", duckdb.sql(f"select [union_value(k := {inside})] as u"), serializer=serializer)
    assert "VARCHAR" in (caught.value.hint or "")


def test_a_value_without_room_far_down_the_stream_is_refused_by_name(tmp_path: Path) -> None:
    wide = "case i when 299999 then 340282366920938463463374607431768211455::uhugeint else i::uhugeint end"
    store = coldframe.Store(tmp_path)
    with pytest.raises(ColdframeError, match="column `wide`: a UHUGEINT of more than 38 digits"):
        store.put("k", duckdb.sql(f"select {wide} as wide from range(300000) t(i)"))
    assert not store.exists("k")


@pytest.mark.parametrize(
    "wanted",
    [
        "INT) AS a, (SELECT content FROM read_text('/etc/hostname')) AS b, CAST(#1 AS INT",
        "INTEGER; drop table trips",
        "no_such_type",
        "",
        7,
        None,
    ],
)
def test_a_reference_brings_no_sql_along(wanted: object) -> None:
    relation = duckdb.sql("select 'x' as a")
    if wanted is None:
        assert restored(relation, {"a": wanted}).types == relation.types
        return
    with pytest.raises(
        UnsupportedError, match="column `a`: the reference gives it a type that this DuckDB does not know"
    ):
        restored(relation, {"a": wanted})


def test_an_enum_too_long_for_the_reference_is_a_named_loss(tmp_path: Path) -> None:
    store = coldframe.Store(tmp_path)
    values = ", ".join(f"'value {number}'" for number in range(2000))
    with pytest.warns(LossyWarning, match="column `e`: its type"):
        store.put("k", duckdb.sql(f"select 'value 7'::enum({values}) as e"))
    assert store.get("k").fetchall() == [("value 7",)]


@pytest.mark.parametrize("nested", [False, True])
def test_float16_names_the_column_and_the_way_out(tmp_path: Path, nested: bool) -> None:
    column = pa.array([[1.5]], pa.list_(pa.float16())) if nested else pa.array([1.5], pa.float16())
    store = coldframe.Store(tmp_path)
    store.put("k", pa.table({"n": [1], "half": column}))
    with pytest.raises(UnsupportedError, match="column `half`: DuckDB has no float16") as caught:
        store.reference("k").to_duckdb()
    assert "scan(columns=" in (caught.value.hint or "")
    assert store.scan("k", columns=["n"]).to_duckdb().fetchall() == [(1,)]
