"""Tables that did not come from pandas become what pyarrow makes of them, but integers with nulls stay exact."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from coldframe.frames.pandas import assemble, stored_columns

POLARS = {"library": "polars", "kind": "DataFrame", "version": "1.35.0"}
NEW = int(pd.__version__.split(".")[0]) >= 3


def assembled(table: pa.Table, rows_per_batch: int = 2) -> pd.DataFrame:
    """The frame of a table that arrives in small batches."""
    return assemble(table.schema, table.to_batches(max_chunksize=rows_per_batch), table.num_rows, POLARS, None)


ARRAYS: dict[str, pa.Array] = {
    "int8": pa.array([1, 2, 3], pa.int8()),
    "uint64": pa.array([1, 2, 2**64 - 1], pa.uint64()),
    "float16": pa.array(np.array([1.5, 2, 3], "float16")),
    "float null": pa.array([1.5, None, 3.0]),
    "bool": pa.array([True, False, True]),
    "large string": pa.array(["a", None, "c"], pa.large_string()),
    "string": pa.array(["a", None, "c"]),
    "binary": pa.array([b"a", None, b"c"]),
    "date": pa.array([datetime.date(2024, 1, 1), None, datetime.date(1, 1, 1)]),
    "time": pa.array([datetime.time(1), None, datetime.time(2)]),
    "timestamp": pa.array([1, None, 3], pa.timestamp("us")),
    "timestamp s": pa.array([1, None, 3], pa.timestamp("s")),
    "zone": pa.array([1, None, 3], pa.timestamp("ms", "Europe/Berlin")),
    "offset": pa.array([1, None, 3], pa.timestamp("ns", "+05:30")),
    "utc": pa.array([1, None, 3], pa.timestamp("us", "UTC")),
    "duration": pa.array([1, None, 3], pa.duration("ms")),
    "decimal": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal(2)], pa.decimal128(10, 2)),
    "null": pa.nulls(3),
    "list": pa.array([[1, 2], None, []]),
    "struct": pa.array([{"a": 1}, None, {"a": None}]),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "dictionary": pa.array(["b", None, "a"]).dictionary_encode(),
    "dictionary of integers": pa.array([3, None, 1]).dictionary_encode(),
    "dictionary uint8": pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.uint8()), ["b", "a"]),
    "fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_type_becomes_what_pyarrow_makes_of_it(name: str) -> None:
    table = pa.table({"x": ARRAYS[name]})
    expected = table.to_pandas(integer_object_nulls=True)
    result = assembled(table)
    if not NEW and name in ("zone", "offset"):
        # For pandas 2, pyarrow takes the time zones of pytz.
        result["x"], expected["x"] = result["x"].dt.tz_convert("UTC"), expected["x"].dt.tz_convert("UTC")
    pd.testing.assert_frame_equal(result, expected, check_exact=True, check_column_type=False)


def test_integers_and_booleans_with_nulls_stay_exact() -> None:
    table = pa.table({"i": [2**60 + 1, None, 5], "u": pa.array([None, 1, 2], pa.uint8()), "b": [True, False, None]})
    expected = pd.DataFrame(
        {
            "i": pd.array([2**60 + 1, None, 5], dtype="Int64"),
            "u": pd.array([None, 1, 2], dtype="UInt8"),
            "b": pd.array([True, False, None], dtype="boolean"),
        }
    )
    for rows in (1, 2, 3):
        pd.testing.assert_frame_equal(assembled(table, rows), expected)


BIG = 2**53 + 1
NESTED = {
    "struct": pa.array([{"x": BIG}, {"x": None}, None]),
    "list": pa.array([[BIG, None], [BIG], None]),
    "large list": pa.array([[BIG, None], None], pa.large_list(pa.int64())),
    "fixed list": pa.array([[BIG, None], None], pa.list_(pa.int64(), 2)),
    "unsigned": pa.array([[2**64 - 1, None]], pa.list_(pa.uint64())),
    "booleans": pa.array([[True, None]]),
    "list of lists": pa.array([[[BIG, None], None], None]),
    "list of structs": pa.array([[{"x": BIG}, {"x": None}]]),
    "struct of lists": pa.array([{"x": [BIG, None]}]),
    "map": pa.array([[("k", BIG), ("l", None)]], pa.map_(pa.string(), pa.int64())),
}


def plain(value: Any) -> Any:
    """Nested values as Python's own, NumPy arrays as lists."""
    if isinstance(value, (list, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("rows", [1, 3])
def test_nested_integers_with_nulls_stay_exact(name: str, rows: int) -> None:
    table = pa.table({"x": NESTED[name]})
    result = [plain(value) for value in assembled(table, rows)["x"]]
    # Unlike ==, their text tells an integer from a float.
    assert repr(result) == repr(table["x"].to_pylist())


def test_string_views_are_strings() -> None:
    table = pa.table({"x": pa.array(["a", None, "a rather long string"], pa.string_view())})
    expected = pd.DataFrame({"x": pd.Series(["a", None, "a rather long string"], dtype="str" if NEW else object)})
    pd.testing.assert_frame_equal(assembled(table), expected)


def test_dictionaries_that_differ_from_batch_to_batch_become_one() -> None:
    def coded(codes: list[int | None], values: list[Any]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(values))

    parts = [
        coded([0, 1, None], ["a", "b"]),
        coded([0, 1, 2], ["b", "c", "a"]),
        coded([0, 1, 2], ["c", "c", None]),
        coded([], ["unused"]),
        coded([None], []),
    ]
    schema = pa.schema([("x", parts[0].type)])
    batches = [pa.record_batch([part], schema=schema) for part in parts]
    result = assemble(schema, batches, 10, POLARS, None)["x"]
    assert list(result.astype(object).where(result.notna(), None)) == [
        "a",
        "b",
        None,
        "b",
        "c",
        "a",
        "c",
        "c",
        None,
        None,
    ]
    assert result.cat.categories.is_unique
    first_is_odd = assemble(schema, batches[2:], 4, POLARS, None)["x"]
    assert list(first_is_odd.astype(object).where(first_is_odd.notna(), None)) == ["c", "c", None, None]


def test_more_categories_than_the_codes_of_the_first_batch_hold() -> None:
    schema = pa.schema([("x", pa.dictionary(pa.int8(), pa.string()))])
    parts = [[f"{part}-{i}" for i in range(100)] for part in range(5)]
    batches = [
        pa.record_batch([pa.array(part).dictionary_encode().cast(schema[0].type)], schema=schema) for part in parts
    ]
    result = assemble(schema, batches, 500, POLARS, None)
    assert list(result["x"]) == [value for part in parts for value in part]


def test_the_index_of_a_table_that_pyarrow_made_of_a_frame_comes_back() -> None:
    frame = pd.DataFrame({"x": [1, 2, 3], "s": ["a", None, "c"]}, index=pd.Index([5, 6, 7], name="id"))
    table = pa.Table.from_pandas(frame)
    result = assemble(table.schema, table.to_batches(), 3, {"library": "pyarrow", "kind": "Table"}, None)
    pd.testing.assert_frame_equal(result, table.to_pandas())
    assert stored_columns(table.schema, {"library": "pyarrow"}, ["s"]) == ["s", "id"]


def test_no_columns_and_no_rows() -> None:
    result = assemble(pa.schema([]), [], 0, POLARS, None)
    assert result.shape == (0, 0)
    table = pa.table({"x": pa.array([], pa.int64()), "d": pa.array([], pa.dictionary(pa.int32(), pa.string()))})
    # Without a batch pyarrow forgets that the categories are text.
    pd.testing.assert_frame_equal(assembled(table), table.to_pandas(), check_categorical=False, check_dtype=False)


def test_columns_chosen_of_a_whole_schema_and_batches_that_have_them_elsewhere() -> None:
    table = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [0.5, 1.0, 1.5]})
    for batches in (table.to_batches(), table.select(["c", "b"]).to_batches()):
        result = assemble(table.schema, batches, 3, POLARS, ["c", "b"])
        assert list(result.columns) == ["b", "c"]
        assert list(result["b"]) == ["x", "y", "z"]
        assert list(result["c"]) == [0.5, 1.0, 1.5]


def test_columns_of_the_same_name_stay_two() -> None:
    table = pa.Table.from_arrays([pa.array([1, 2]), pa.array(["x", "y"])], names=["a", "a"])
    result = assembled(table)
    assert list(result.columns) == ["a", "a"]
    assert [list(result.iloc[:, at]) for at in (0, 1)] == [[1, 2], ["x", "y"]]
