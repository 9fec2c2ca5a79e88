"""Polars frames of every type, by every serializer, come back exactly or are refused with a reason."""

from __future__ import annotations

import datetime
import decimal
import itertools
from typing import Any

import polars as pl
import pytest
from arrow_samples import NOT_A_NUMBER, SERIALIZERS, TEXTS
from exact import assert_same_polars

from coldframe import Store
from coldframe.errors import LossyError, UnsupportedError

_KEYS = (f"polars/{number}" for number in itertools.count())
D = decimal.Decimal
_STRUCT = pl.Struct({"a": pl.Int64, "b": pl.Struct({"c": pl.String, "d": pl.List(pl.Float64)})})
_STRUCTS = [{"a": 2**60 + 1, "b": {"c": "x", "d": [-0.0, float("nan"), None]}}, {"a": None, "b": None}]


def _numbers() -> dict[str, pl.Series]:
    found = {}
    for bits in (8, 16, 32, 64):
        found[f"Int{bits}"] = pl.Series([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 0], dtype=getattr(pl, f"Int{bits}"))
        found[f"UInt{bits}"] = pl.Series([0, 2**bits - 1, 1], dtype=getattr(pl, f"UInt{bits}"))
    for dtype in (pl.Float16, pl.Float32, pl.Float64):
        found[str(dtype)] = pl.Series([1.5, float("nan"), -0.0, 0.0, float("-inf"), NOT_A_NUMBER], dtype=dtype)
    found["Boolean"] = pl.Series([True, False])
    found["Decimal"] = pl.Series([D("1.50"), D("-0.01")], dtype=pl.Decimal(10, 2))
    found["Decimal wide"] = pl.Series([D("9" * 38), D("-" + "9" * 38)], dtype=pl.Decimal(38, 0))
    return found


def _times() -> dict[str, pl.Series]:
    edges = pl.Series([-(2**63) + 1, 2**63 - 1, 0, 1])
    found = {
        "Date": pl.Series([datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]),
        "Time": pl.Series([0, 86_399_999_999_999]).cast(pl.Time),
    }
    for unit in ("ms", "us", "ns"):
        found[f"Duration {unit}"] = edges.cast(pl.Duration(unit))
        for zone in (None, "UTC", "Europe/Berlin"):
            found[f"Datetime {unit} {zone}"] = edges.cast(pl.Datetime(unit, zone))
    return found


def _nested() -> dict[str, pl.Series]:
    return {
        "List": pl.Series([[1, None], [], [2**62]]),
        "List of lists": pl.Series([[["a"], None, []], []]),
        "List of structs": pl.Series([_STRUCTS, []], dtype=pl.List(_STRUCT)),
        "Array": pl.Series([[1, 2], [3, None]], dtype=pl.Array(pl.Int8, 2)),
        "Array of arrays": pl.Series([[[1.5], [-0.0]], [[None], [2.5]]], dtype=pl.Array(pl.Float32, (2, 1))),
        "Array of structs": pl.Series([[{"a": 1}], [{"a": None}]], dtype=pl.Array(pl.Struct({"a": pl.Int8}), 1)),
        "Struct": pl.Series(_STRUCTS, dtype=_STRUCT),
        "Struct flat": pl.Series([{"": 1, "ü": "x"}, {"": None, "ü": ""}]),
    }


SAMPLES: dict[str, pl.Series] = {
    "String": pl.Series(TEXTS),
    "Binary": pl.Series([b"", b"\0", b"\0\xff\xfe\0", b"longer than the twelve bytes of a view"]),
    **_numbers(),
    **_times(),
    **_nested(),
}
DICTIONARIES: dict[str, pl.Series] = {
    "Categorical": pl.Series(["b", "a", "b"], dtype=pl.Categorical),
    "Enum": pl.Series(["b", "a"], dtype=pl.Enum(["b", "a", "unused", "ü"])),
    "Enum of many": pl.Series(["c7", "c299"], dtype=pl.Enum([f"c{at}" for at in range(300)])),
}


def _frame(values: pl.Series) -> pl.DataFrame:
    """Columns without nulls, with some, and with nothing else."""
    kind, rows = values.dtype, 9
    missing = pl.Series([None], dtype=kind)
    none = pl.concat([values] * rows)[:rows]
    some = pl.concat([missing, values, missing] * rows)[:rows]
    return pl.DataFrame({"none": none, "some": some, "all": pl.concat([missing] * rows)})


def _comes_back(store: Store, frame: pl.DataFrame, serializer: str) -> None:
    reference = store.put(next(_KEYS), frame, serializer=serializer, strict=True)
    returned = store.get(reference)
    assert type(returned) is pl.DataFrame
    assert_same_polars(frame, returned)
    reference = store.put(next(_KEYS), frame.lazy(), serializer=serializer, strict=True)
    returned = store.get(reference)
    assert type(returned) is pl.LazyFrame
    assert returned.collect_schema() == frame.schema
    assert_same_polars(frame, returned.collect())
    assert_same_polars(frame, store.scan(reference).head(frame.height))


def _layouts(frame: pl.DataFrame) -> list[pl.DataFrame]:
    cut = pl.concat([frame[1:4], frame[4:4], frame[5:]], rechunk=False)
    return [frame, frame[:0], cut, frame[2:7]]


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_type_comes_back(shared_store: Store, name: str, serializer: str) -> None:
    for frame in _layouts(_frame(SAMPLES[name])):
        _comes_back(shared_store, frame, serializer)


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("name", DICTIONARIES)
def test_categories_come_back(shared_store: Store, name: str, serializer: str) -> None:
    frame = _frame(DICTIONARIES[name])
    for cut in (frame, frame[:0], frame[2:7]):
        _comes_back(shared_store, cut, serializer)


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_columns_of_nulls_come_back(shared_store: Store, serializer: str) -> None:
    frame = pl.DataFrame({"null": [None, None], "nested": pl.Series([[None], []], dtype=pl.List(pl.Null))})
    _comes_back(shared_store, frame, serializer)


@pytest.mark.parametrize(
    ("series", "found"),
    [
        (pl.Series([1], dtype=pl.Int128), "Int128"),
        (pl.Series([1], dtype=pl.UInt128), "UInt128"),
        (pl.Series([[1]], dtype=pl.List(pl.Int128)), "Int128"),
        (pl.Series([[1]], dtype=pl.Array(pl.Int128, 1)), "Int128"),
        (pl.Series([{"a": 1}], dtype=pl.Struct({"a": pl.Int128})), "Int128"),
        (pl.Series([object()], dtype=pl.Object), "Object"),
    ],
)
def test_what_only_polars_has_is_refused(shared_store: Store, series: pl.Series, found: str) -> None:
    frame = pl.DataFrame({"sound": [1], "odd ü": series})
    key = next(_KEYS)
    for value in (frame, frame.lazy()):
        for serializer in ("parquet", "arrow"):
            with pytest.raises(UnsupportedError, match="column `odd ü`") as caught:
                shared_store.put(key, value, serializer=serializer)
            assert found in str(caught.value)
            assert caught.value.hint
    assert not shared_store.exists(key)


@pytest.mark.parametrize("inner", [pl.Array(pl.Int8, 0), pl.Array(pl.Int8, (2, 0)), pl.Array(pl.Int8, (0, 2))])
def test_arrays_without_items_are_refused(shared_store: Store, inner: Any) -> None:
    for kind in (inner, pl.List(inner), pl.Struct({"a": inner})):
        for value in (pl.DataFrame(schema={"odd": kind}), pl.LazyFrame(schema={"odd": kind})):
            with pytest.raises(UnsupportedError, match="column `odd`"):
                shared_store.put(next(_KEYS), value)


def test_a_struct_without_fields_is_refused_by_parquet(shared_store: Store) -> None:
    frame = pl.DataFrame({"odd": pl.Series([{}, {}], dtype=pl.Struct({}))})
    with pytest.raises(UnsupportedError, match="column `odd`"):
        shared_store.put(next(_KEYS), frame)
    _comes_back(shared_store, frame, "arrow")


def test_a_lazy_frame_that_fails_leaves_nothing(shared_store: Store) -> None:
    def fail(value: Any) -> Any:
        raise ZeroDivisionError("by design")

    lazy = pl.LazyFrame({"a": [1, 2]}).with_columns(pl.col("a").map_elements(fail, return_dtype=pl.Int64))
    key = next(_KEYS)
    with pytest.raises(Exception, match="by design"):
        shared_store.put(key, lazy)
    assert not shared_store.exists(key)


def test_a_strict_put_refuses_dictionaries_in_lists(shared_store: Store) -> None:
    frame = pl.DataFrame({"c": pl.Series([["a"], ["b"]], dtype=pl.List(pl.Enum(["a", "b"])))})
    key = next(_KEYS)
    with pytest.raises((LossyError, UnsupportedError), match="column `c`"):
        shared_store.put(key, frame, strict=True)
    assert not shared_store.exists(key)
    _comes_back(shared_store, frame, "arrow")
