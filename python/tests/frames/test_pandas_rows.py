"""Some rows and columns of a stored pandas frame: their labels, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import coldframe

WHOLE = pd.DataFrame({"a": range(100), "b": 1.5})
FRAMES = {
    "from 0": WHOLE,
    "part": WHOLE[50:60],
    "step and name": WHOLE.iloc[::7].rename_axis("row"),
    "backwards": WHOLE.iloc[::-1],
    "name of a number": WHOLE.rename_axis(7, axis=0),
    "no columns": WHOLE[20:40][[]],
    "text": WHOLE[:10].set_axis(list("abcdefghij"), axis=0),
}
ROWS: dict[str, tuple[dict[str, Any], Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "limit": ({"limit": 3}, lambda frame: frame.iloc[:3]),
    "offset": ({"offset": 4}, lambda frame: frame.iloc[4:]),
    "both": ({"offset": 2, "limit": 3}, lambda frame: frame.iloc[2:5]),
    "tail": ({"tail": 4}, lambda frame: frame.iloc[-4:]),
    "long tail": ({"tail": 1000}, lambda frame: frame),
    "beyond": ({"offset": 1000}, lambda frame: frame.iloc[1000:]),
    "none": ({"limit": 0}, lambda frame: frame.iloc[:0]),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", FRAMES)
def test_rows_keep_their_labels(name: str, rows: str) -> None:
    frame, (options, cut) = FRAMES[name], ROWS[rows]
    store = coldframe.Store("memory://")
    reference = store.put("rows", frame)
    returned = reference.scan(**options).to_pandas()
    pd.testing.assert_frame_equal(returned, cut(frame), check_exact=True, check_index_type=True)
    pd.testing.assert_frame_equal(reference.head(3), frame.head(3))
    if "a" in frame:
        pd.testing.assert_frame_equal(reference.scan(columns=["a"], **options).to_pandas(), cut(frame)[["a"]])


def test_a_range_of_another_table_is_not_believed() -> None:
    table = pa.Table.from_pandas(WHOLE[50:60])[5:8]
    reference = coldframe.Store("memory://").put("rows", table)
    assert reference.to_pandas().index.equals(pd.RangeIndex(3))
    assert reference.scan(offset=1).to_pandas()["a"].tolist() == [56, 57]


@pytest.mark.parametrize("kind", ["to_pandas", "to_arrow", "to_polars", "lazy", "to_duckdb", "frame"])
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_column_that_is_asked_for_twice_is_refused_alike(library: str, kind: str) -> None:
    frames = {"pandas": WHOLE, "polars": pl.DataFrame(WHOLE), "pyarrow": pa.table({"a": [1], "b": [2]})}
    store = coldframe.Store("memory://")
    store.put("rows", frames[library])
    with pytest.raises(coldframe.errors.InvalidInputError) as raised:
        getattr(store.scan("rows", columns=["a", "b", "a"]), kind)()
    assert str(raised.value) == "scan rows: column `a` is asked for twice\nhint: name each column once"


def test_labels_of_the_same_column_are_refused() -> None:
    store = coldframe.Store("memory://")
    store.put("rows", pd.DataFrame({1: [1], "b": [2]}))
    for columns in ([1, 1], [1, 1.0]):
        for kind in ("to_pandas", "to_arrow"):
            with pytest.raises(coldframe.errors.InvalidInputError, match="scan rows: column `1` is asked for twice"):
                getattr(store.scan("rows", columns=columns), kind)()
