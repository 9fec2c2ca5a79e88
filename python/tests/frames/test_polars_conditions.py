"""Conditions of polars queries are handed on to the scan, and never change what a query gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from typing import Any

import polars as pl
import pytest

from coldframe import ResultReference, Scan, Store
from coldframe.frames.polars_conditions import condition

NAN = float("nan")
FRAME = pl.DataFrame(
    {
        "a": [1, -7, None, 2**62, 0],
        "small": pl.Series([1, None, -3, 127, 0], dtype=pl.Int8),
        "f": [NAN, 0.5, None, float("inf"), -0.0],
        "single": pl.Series([NAN, 0.1, None, -1.0, 0.0], dtype=pl.Float32),
        "s": ["ab", "a%b", None, "it's", "żółw"],
        "b": [True, False, None, True, False],
        "d": [date(2026, 1, 1), date(1969, 12, 31), None, date(9999, 12, 31), date(2000, 2, 29)],
        "t": [datetime(2026, 1, 1, 12, 30, 0, 5), None, datetime(1969, 12, 31, 23), datetime(2000, 1, 1), None],
        "z": pl.Series(
            [datetime(2026, 1, 1, tzinfo=timezone.utc), None, None, None, None], dtype=pl.Datetime("ms", "UTC")
        ),
        "e": pl.Series(["x", "y", None, "x", "y"], dtype=pl.Enum(["y", "x"])),
        'odd "name"': [1, 2, 3, 4, None],
        "l": [[1], [], None, [2], [None]],
    }
)
a_, f_, s_, d_, t_ = (pl.col(name) for name in ("a", "f", "s", "d", "t"))

HANDED_ON = [
    a_ > 0,
    pl.lit(0) > a_,
    a_ == -7,
    (a_ != 1) & (f_ < 0.75),
    f_ > 0.1,
    f_ >= 0.5,
    ~(f_ > 0.1),
    ~(f_ <= 0.1),
    f_ != 0.0,
    pl.col("single") >= pl.lit(0.1, dtype=pl.Float32),
    (a_ > 0) | a_.is_null(),
    a_.is_between(-7, 1),
    a_.is_in([1, 5, -7]),
    s_.is_in(["ab", "it's"]),
    ~s_.is_in(["ab"]),
    s_ == "it's",
    s_ >= "b",
    s_.str.starts_with("a%"),
    s_.is_not_null() & pl.col("b"),
    ~pl.col("b"),
    pl.col("b") == pl.lit(False),
    d_ >= date(2000, 2, 29),
    t_ < datetime(2026, 1, 1, 12, 30, 0, 6),
    t_ == datetime(1969, 12, 31, 23),
    pl.col("l").is_null(),
    pl.col('odd "name"') <= 2,
    pl.col("small") < 5,
]
NOT_ALL_OF_IT = [
    (a_ * 2 > 1) & (s_ == "ab"),
    (s_.str.len_chars() > 1) & f_.is_not_null(),
]
KEPT_BACK = [
    a_ * 2 > 1,
    (a_ > 0) | (s_.str.len_chars() > 3),
    ~((a_ > 0) & (s_.str.len_chars() > 3)),
    a_ > f_,
    a_ > 1.5,
    f_ == NAN,
    f_ > NAN,
    a_.is_in([1, None]),
    a_.eq_missing(1),
    pl.col("e") > "y",
    s_.str.contains("a"),
    pl.lit(True),
    d_.dt.year() == 2026,
    pl.struct("a", "s").map_elements(lambda row: row["a"] == 1, return_dtype=pl.Boolean),
]


@pytest.fixture(scope="module", params=["parquet", "arrow"])
def reference(request: pytest.FixtureRequest, shared_store: Store) -> ResultReference:
    return shared_store.put(f"conditions/{request.param}", FRAME, serializer=request.param)


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The conditions that scans were handed."""
    found: list[str | None] = []
    original: Callable[..., Iterator[Any]] = Scan._each

    def each(self: Scan, columns: Any, limit: Any = None, where: str | None = None) -> Iterator[Any]:
        found.append(where)
        return original(self, columns, limit, where)

    monkeypatch.setattr(Scan, "_each", each)
    return found


@pytest.mark.parametrize("predicate", [*HANDED_ON, *NOT_ALL_OF_IT], ids=str)
def test_what_can_be_written_is_handed_on(
    reference: ResultReference, handed: list[str | None], predicate: pl.Expr
) -> None:
    found = reference.lazy().filter(predicate).collect()
    assert found.equals(FRAME.filter(predicate), null_equal=True)
    assert handed[-1], "nothing was handed on"
    kept = reference.scan(where=handed[-1]).to_polars()
    if not any(predicate is other for other in NOT_ALL_OF_IT):
        assert kept.equals(found), handed[-1]


@pytest.mark.parametrize("predicate", KEPT_BACK, ids=str)
@pytest.mark.filterwarnings("ignore::polars.exceptions.PolarsInefficientMapWarning")
def test_what_cannot_be_written_is_filtered_all_the_same(
    reference: ResultReference, handed: list[str | None], predicate: pl.Expr
) -> None:
    found = reference.lazy().filter(predicate).collect()
    assert found.equals(FRAME.filter(predicate), null_equal=True)
    assert not any(handed)


def test_rows_are_counted_before_or_after_as_the_query_says(reference: ResultReference) -> None:
    whole, lazy = FRAME, reference.lazy()
    assert lazy.head(3).filter(a_ > 0).collect().equals(whole.head(3).filter(a_ > 0))
    assert lazy.filter(a_ > 0).head(1).collect().equals(whole.filter(a_ > 0).head(1))
    assert lazy.filter(a_ > 0).select(pl.len()).collect().item() == 2
    assert lazy.filter(s_ == "ab").select("d").collect().equals(whole.filter(s_ == "ab").select("d"))
    cut = reference.scan(where="a <> 0 -- all but one", limit=2)
    assert cut.lazy().filter(a_ < 0).collect()["a"].to_list() == [-7]
    last = reference.scan(where="a <> 0", tail=2).lazy()
    assert last.collect()["a"].to_list() == [-7, 2**62]
    assert last.head(1).collect()["a"].to_list() == [-7]
    both = reference.scan(where="a <> 0 OR b -- either").lazy().filter(a_ > 0, s_ == "ab")
    assert both.collect()["a"].to_list() == [1]


def test_what_is_no_expression_of_this_kind_is_nothing() -> None:
    assert condition(pl.col("unknown") > pl.lit(5, dtype=pl.Int64), FRAME.schema) is None
    assert condition(a_ > pl.lit(5, dtype=pl.Int64), FRAME.schema) == '"a" > 5'
    assert condition(s_ == pl.lit("\0"), FRAME.schema) is None
    deep = a_ > pl.lit(0, dtype=pl.Int64)
    for _ in range(30):
        deep = ~deep
    assert condition(deep, FRAME.schema) is None
