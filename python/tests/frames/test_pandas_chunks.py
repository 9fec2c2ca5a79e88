"""Iterators of pandas frames: what comes back, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import coldframe
from coldframe.errors import ColdframeError


@pytest.fixture
def store() -> coldframe.Store:
    """A store in memory."""
    return coldframe.Store("memory://")


def back(store: coldframe.Store, *chunks: Any) -> pd.DataFrame:
    """What chunks come back as."""
    return store.put("chunks", iter(chunks)).to_pandas()


def refused(store: coldframe.Store, chunks: Sequence[Any], *words: str) -> None:
    """Asserts that chunks are refused in these words, and that nothing is stored."""
    with pytest.raises(ColdframeError) as raised:
        store.put("chunks", iter(chunks))
    for word in ("put chunks", *words):
        assert word in str(raised.value)
    assert not store.exists("chunks")


def column(*values: Any, dtype: Any = None) -> pd.DataFrame:
    """A frame of one column, `a`."""
    return pd.DataFrame({"a": pd.Series(list(values), dtype=dtype)})


def days(zone: str | None) -> pd.DataFrame:
    """A frame of one time."""
    return pd.DataFrame({"a": pd.to_datetime(["2024-01-01"]).tz_localize(zone)})


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (column(True), column(2), ("is int64", "bool")),
        (column(1), column(2.5), ("is float64", "int64", "'a': 'float64'")),
        (column(1), column(None, 2, dtype="float64"), ("'a': 'Int64'",)),
        (column(1.5), column(2**53 + 1), ("is int64", "float64")),
        (column("x"), column(2), ("is int64",)),
        (days(None), days("Asia/Tokyo"), ("Asia/Tokyo", "datetime64")),
        (days("Europe/Berlin"), days("UTC"), ("UTC", "Europe/Berlin")),
        (column(None, dtype=object), column("x"), ("object, where all of it is missing", "read_csv", "'a': 'str'")),
        (column(np.nan), column("x"), ("float64, where all of it is missing", "'a': 'str'")),
        (column([1], dtype=object), column(["x"], dtype=object), ("object of list", "int64", "string")),
    ],
)
def test_another_type_is_refused(
    store: coldframe.Store, first: pd.DataFrame, second: pd.DataFrame, words: tuple[str, ...]
) -> None:
    refused(store, [first, first, second], "chunk 3", "column `a`", *words)


def test_other_columns_and_other_things_are_refused(store: coldframe.Store) -> None:
    one = column(1)
    refused(store, [one, one.assign(b=2)], "chunk 2", "column 'b' is not in the first chunk")
    refused(store, [one.assign(b=2), one], "chunk 2", "column 'b' of the first chunk is missing")
    refused(store, [one, one["a"]], "chunk 2", "Series", "DataFrame")
    refused(store, [one, "text"], "chunk 2", "str")
    refused(store, [one, column(1, "x", dtype=object)], "chunk 2", "column `a` holds int and str")
    for series in (one["a"], pa.array([1])):
        refused(store, [series], "no batch of a table")


def test_a_missing_value_of_another_kind_is_refused(store: coldframe.Store) -> None:
    words = column(b"x", None, dtype=object)
    refused(store, [words, column(b"x", pd.NA, dtype=object)], "chunk 2", "column `a`", "as NA", "as None")
    assert back(store, words, words)["a"].tolist() == [b"x", None, b"x", None]
    words = column("x", dtype=object)
    refused(coldframe.Store("memory://"), [words, column(None, "x", dtype=object)], "as nan", ".notna(), float('nan'))")
    returned = back(store, words, column(float("nan"), "x", dtype=object))["a"].tolist()
    assert repr(returned) == "['x', nan, 'x']"


def test_hints_name_labels_and_the_index_as_a_program_does(store: coldframe.Store) -> None:
    refused(store, [pd.DataFrame([[1]]), pd.DataFrame([[0.5]])], "dtype={0: 'float64'}", "chunk[0].astype('float64')")
    numbers, texts = pd.DataFrame({"a": [1]}, index=[7]), pd.DataFrame({"a": [1]}, index=["x"])
    refused(store, [numbers, texts], "chunk 2", "chunk.index.astype(…)")


def test_read_csv_comes_back_as_the_whole_file(store: coldframe.Store) -> None:
    text = "a,b\n" + "".join(f"{at},{'x' if at < 3 else ''}\n" for at in range(7))
    for options in ({}, {"index_col": "a"}, {"dtype": "string"}):
        whole = pd.read_csv(io.StringIO(text), **options)
        returned = back(store, *pd.read_csv(io.StringIO(text), chunksize=3, **options))
        pd.testing.assert_frame_equal(returned, whole, check_exact=True)


def test_labels_and_index_come_back(store: coldframe.Store) -> None:
    tuples = pd.MultiIndex.from_tuples([("p", 1), ("q", 2)], names=["u", None])
    frames = {
        "int labels": pd.DataFrame(np.eye(4)),
        "label tuples": pd.DataFrame(np.ones((4, 2)), columns=tuples),
        "text index": pd.DataFrame({"a": range(4)}, index=pd.Index(list("wxyz"), name="k")),
        "unnamed index": pd.DataFrame({"a": range(4)}, index=[3, 1, 4, 1]),
        "index of tuples": pd.DataFrame({"a": range(4)}, index=pd.MultiIndex.from_product([[1, 2], ["x", "y"]])),
        "times": pd.DataFrame({"a": range(4)}, index=pd.date_range("2024", periods=4, freq="D", name="day")),
        "extension types": pd.DataFrame(
            {"a": pd.array([1, None, 3, 4], dtype="Int64"), "b": pd.period_range("2024", periods=4, freq="M")}
        ),
    }
    for name, frame in frames.items():
        returned = back(store, frame[:2], frame[2:])
        pd.testing.assert_frame_equal(returned, frame, check_exact=True, obj=name)


def test_a_range_that_is_not_from_zero_comes_back_by_its_numbers(store: coldframe.Store) -> None:
    frame = pd.DataFrame({"a": range(100)})
    returned = back(store, frame[50:60], frame[70:80])
    assert returned.index.tolist() == [*range(50, 60), *range(70, 80)]
    refused(store := coldframe.Store("memory://"), [frame[:10], frame[20:30]], "chunk 2", "reset_index(drop=True)")
    assert back(store, frame[:10], frame[10:20]).index.equals(pd.RangeIndex(20))
    assert back(store, frame[:10], frame[:10]).index.equals(pd.RangeIndex(20))


def test_categories_are_united_unless_ordered(store: coldframe.Store) -> None:
    letters = [f"{at:03}" for at in range(300)]
    chunks = [pd.DataFrame({"a": pd.Categorical(part)}) for part in (["x", None], letters, ["x", "001"])]
    with pytest.warns(coldframe.errors.LossyWarning, match="column `a`: the order of its dictionary"):
        returned = back(store, *chunks)["a"]
    assert returned.dtype.categories.tolist() == ["x", *letters]
    assert returned.astype(object).where(returned.notna(), None).tolist() == ["x", None, *letters, "x", "001"]
    ordered = [pd.DataFrame({"a": pd.Categorical([text], ordered=True)}) for text in "xy"]
    refused(coldframe.Store("memory://"), ordered, "chunk 2", "column `a`", "ordered categories")


def test_columns_in_another_order_and_chunks_without_rows(store: coldframe.Store) -> None:
    first = pd.DataFrame({"a": [1], "b": ["x"]})
    returned = back(store, first, first[:0], first[["b", "a"]], first.astype(object)[:0])
    pd.testing.assert_frame_equal(returned, pd.concat([first, first], ignore_index=True))


def test_it_is_read_as_a_stream_and_tells_its_losses(store: coldframe.Store) -> None:
    frame = column(1.5).astype(pd.SparseDtype("float64"))
    with pytest.warns(coldframe.errors.LossyWarning, match="sparse"):
        reference = store.put("chunks", iter([frame, frame]))
    returned = reference.get()
    assert isinstance(returned, pa.RecordBatchReader)
    assert returned.read_all()["a"].to_pylist() == [1.5, 1.5]
    assert isinstance(reference.head(1), pd.DataFrame)
    refused(coldframe.Store("memory://"), [column(1.5), frame], "chunk 2", "column `a`")
