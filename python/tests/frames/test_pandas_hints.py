"""The conversions that errors about pandas frames tell can be done, word by word."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coldframe import Store
from coldframe.errors import InvalidInputError, LossyError, UnsupportedError, WrongTypeError


def _objects(*values: Any) -> pd.Series:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return pd.Series(array, dtype=object)


def _with_index(*levels: list[Any]) -> pd.DataFrame:
    index = pd.Index(_objects(*levels[0])) if len(levels) == 1 else pd.MultiIndex.from_arrays(levels)
    return pd.DataFrame({"x": [1, 2]}, index=index)


_FRAMES = {
    "int label": (pd.DataFrame({0: _objects(1, "a")}), "df[0] = df[0].astype(str)"),
    "tuple label": (pd.DataFrame({("a", 1): _objects(1, "a")}), "df[('a', 1)] = df[('a', 1)].astype(str)"),
    "label with a backtick": (pd.DataFrame({"a`b": _objects(1, "a")}), "df['a`b'] = df['a`b'].astype(str)"),
    "dict": (pd.DataFrame({"a": _objects({"x": 1}, {"x": "a"})}), "df['a'] = df['a'].map(str)"),
    "list in a dict": (pd.DataFrame({"a": _objects({"x": [1, "a"]})}), "df['a'] = df['a'].map(str)"),
    "tuple in a list": (pd.DataFrame({"a": _objects([(1,)])}), "df['a'] = df['a'].map(str)"),
    "big integer in a list": (pd.DataFrame({"a": _objects([10**80])}), "df['a'] = df['a'].map(str)"),
    "big integer": (pd.DataFrame({"a": _objects(10**80)}), "df['a'] = df['a'].astype(str)"),
    "tuple": (pd.DataFrame({"a": _objects((1, 2))}), "df['a'] = df['a'].map(list)"),
    "categories": (
        pd.DataFrame({"a": pd.Categorical(_objects(1, "a"), ordered=True, categories=["a", 1])}),
        "df['a'] = df['a'].cat.rename_categories(str)",
    ),
    "tuples as categories": (
        pd.DataFrame({"a": pd.Categorical(_objects((1, 2), (3, 4)))}),
        "df['a'] = df['a'].cat.rename_categories(str)",
    ),
    "index": (_with_index([1, "a"]), "df.index = df.index.map(str)"),
    "categories of the index": (
        pd.DataFrame({"x": [1, 2]}, index=pd.CategoricalIndex(_objects(1, "a"))),
        "df.index = df.index.map(str)",
    ),
    "level of the index": (
        _with_index([1, 2], [1, "a"]),
        "df.index = df.index.set_levels(df.index.levels[1].map(str), level=1)",
    ),
    "only level of the index": (
        pd.DataFrame({"x": [1, 2]}, index=pd.MultiIndex.from_arrays([_objects(1, "a")])),
        "df.index = df.index.set_levels(df.index.levels[0].map(str), level=0)",
    ),
}


@pytest.mark.parametrize("name", _FRAMES)
def test_a_frame_can_be_put_once_the_hint_is_followed(local_store: Store, name: str) -> None:
    frame, step = _FRAMES[name]
    with pytest.raises(InvalidInputError) as raised:
        local_store.put("x", frame)
    assert step.partition(" = ")[2] in str(raised.value)
    df = frame.copy()
    exec(step, {"df": df})  # What the error said.
    back = local_store.put("x", df, strict=True).get()
    pd.testing.assert_frame_equal(df, back)
    if name == "categories":
        assert list(back["a"].cat.categories) == ["a", "1"]
        assert back["a"].cat.ordered


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"a": np.int64(3)}, 'metadata["a"]: a numpy.int64'),
        ({"a": [{"b": (1,)}]}, 'metadata["a"][0]["b"]: a tuple'),
        ({1: 2}, "metadata: 1 is a key"),
        ({"a": float("nan")}, 'metadata["a"]: JSON has no nan'),
    ],
)
def test_errors_about_metadata_name_it_and_no_serializer(local_store: Store, metadata: Any, path: str) -> None:
    with pytest.raises(UnsupportedError) as raised:
        local_store.put("x", {"a": 1}, metadata=metadata)
    assert path in str(raised.value)
    assert "serializer" not in str(raised.value)
    assert "str keys" in str(raised.value.hint)


def test_the_hint_of_a_strict_put_fits_what_is_lost(local_store: Store) -> None:
    sparse = pd.DataFrame({"x": pd.arrays.SparseArray([0.0, 1.0, 0.0])})
    with pytest.raises(LossyError) as raised:
        local_store.put("x", sparse, strict=True)
    assert 'serializer="pickle" keeps' in str(raised.value.hint)
    local_store.put("x", sparse, serializer="pickle", strict=True)


def test_the_hint_of_a_strict_json_put_does_not_send_to_arrow(local_store: Store) -> None:
    pytest.importorskip("pydantic")
    with pytest.raises(LossyError) as raised:
        local_store.put("x", {"at": datetime.date(2024, 1, 1)}, serializer="json", strict=True)
    assert "arrow" not in str(raised.value)
    assert 'serializer="pickle"' in str(raised.value.hint)
    local_store.put("x", {"at": datetime.date(2024, 1, 1)}, serializer="pickle", strict=True)


def test_a_message_tells_no_expression_of_a_column_that_is_none(local_store: Store) -> None:
    with pytest.raises(WrongTypeError) as raised:
        local_store.put("x", pd.DataFrame({"a": _objects({"x": {1, 2}})}))
    assert not re.search(r"None|\.map\(sorted\)", str(raised.value))
