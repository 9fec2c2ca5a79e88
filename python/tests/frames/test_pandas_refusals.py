"""What pandas frames cannot be stored exactly is refused or named, and how that reads."""

from __future__ import annotations

import datetime
import decimal
import io
import re
import struct
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from round_trip import round_trip, through_ipc

from coldframe.frames.pandas import assemble, prepare, stored_columns

D = decimal.Decimal


class Thing:
    """Nothing that Arrow knows."""


def _objects(*values: Any) -> pd.DataFrame:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return pd.DataFrame({"x": pd.Series(array, dtype=object)})


REFUSED = [
    (
        _objects("a", 1),
        TypeError,
        r"column `x` holds int and str: convert it with df\['x'\].astype\(str\), or put it with serializer='pickle'",
    ),
    (_objects("a", 1.5, None), TypeError, "column `x` holds float and str"),
    (_objects(True, 1), TypeError, "column `x` holds bool and int"),
    (_objects(1, 2.5), TypeError, "column `x` holds float and int"),
    (_objects(b"a", "a"), TypeError, "column `x` holds bytes and str"),
    (_objects(Thing()), TypeError, "column `x` holds objects of type .*Thing, which no Arrow type holds"),
    (_objects((1, 2), (3, 4)), TypeError, r"column `x` holds objects of type tuple.*\.map\(list\)"),
    (_objects({1}), TypeError, r"type set.*\.map\(sorted\)"),
    (_objects(1j), TypeError, "type complex.*two columns"),
    (_objects({1: "a"}), TypeError, "a dict in column `x` has the key 1"),
    (_objects({}), TypeError, "empty dicts only"),
    (_objects([1, "a"]), TypeError, "a list in column `x` holds int and str"),
    (_objects({"k": [1, 2.5]}), TypeError, "a list in key `k` of a dict in column `x` holds float and int"),
    (_objects([Thing()]), TypeError, "a list in column `x` holds objects of type"),
    (_objects(np.zeros((2, 2)), np.zeros((2, 2))), TypeError, "column `x` holds arrays of 2 dimensions"),
    (_objects(np.zeros(2), np.zeros(2, "int8")), TypeError, "arrays of the types float64 and int8"),
    (_objects(10**80), ValueError, "column `x` holds an integer of more than 76 digits"),
    (_objects(D("NaN")), ValueError, "column `x` holds the decimal NaN"),
    (_objects(D("1E-80"), D(1)), ValueError, "need 81 digits"),
    (_objects(datetime.time(1, tzinfo=datetime.timezone.utc)), TypeError, "times with a time zone"),
    (
        _objects(datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)),
        TypeError,
        "several time zones",
    ),
    (pd.DataFrame({"x": [1j]}), TypeError, "column `x` holds complex numbers"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "several columns are called 'a'"),
    (pd.DataFrame({"x": pd.Categorical(["a", 1])}), TypeError, "the categories of column `x` holds? int and str"),
    (pd.DataFrame({"x": [1]}, index=pd.Index([Thing()])), TypeError, "the index holds objects of type"),
    (pd.DataFrame({Thing(): [1]}), TypeError, "which is not stored: rename it"),
    (pd.Series([1]), TypeError, "no pandas.DataFrame"),
]


@pytest.mark.parametrize(
    ("frame", "kind", "message"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_cannot_be_stored_is_refused_before_the_first_batch(frame: Any, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        prepare(frame)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\udc80", "column `x` holds a value that does not fit the Arrow type string"),
        (datetime.timedelta.max, "column `x` holds a value that does not fit"),
    ],
)
def test_a_value_that_does_not_fit_stops_the_batches(value: Any, message: str) -> None:
    prepared = prepare(_objects(value))
    with pytest.raises(ValueError, match=message):
        list(prepared.batches or ())


class Subclass(pd.DataFrame):
    """A frame of another library."""


LOST = [
    (_objects("a", None, np.nan), "x", "which missing values were None and which nan"),
    (_objects(D("1.5"), D("1.50")), "x", "how many digits each decimal had"),
    (_objects(D("-0.0"), D("1.5")), "x", "the sign of decimals that are minus zero"),
    (_objects(datetime.time(1, fold=1)), "x", "the fold"),
    (_objects(datetime.datetime(2024, 10, 27, 2, fold=1), None), "x", "the fold"),
    (_objects({"a": 1, "b": 2}, {"b": 1, "a": 2}), "x", "the order of the keys"),
    (_objects({"a": 1}, {"b": 2}), "x", "which keys a dict did not have"),
    (pd.DataFrame({"x": pd.arrays.SparseArray([0.0, 1.0, 0.0])}), "x", "its sparse storage"),
    (pd.DataFrame({"x": np.array([1, 2], dtype=">i4")}), "x", "its byte order"),
    (Subclass({"x": [1]}), "(frame)", "its class .*Subclass"),
    (
        pd.DataFrame({"x": [1, 2]}, index=pd.DatetimeIndex(["2024-01-01", "2024-01-02"], freq=pd.DateOffset(days=1))),
        "__index_level_0__",
        "its frequency",
    ),
]


@pytest.mark.parametrize(("frame", "column", "loss"), LOST, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_lost_is_named_and_nothing_else_is(frame: pd.DataFrame, column: str, loss: str) -> None:
    losses = prepare(frame).losses
    assert len(losses) == 1
    assert losses[0]["column"] == column
    assert re.search(loss, losses[0]["loses"])
    result = round_trip(frame)
    assert type(result) is pd.DataFrame
    if column == "x" and "keys" not in loss:
        assert [a == b or (pd.isna(a) and pd.isna(b)) for a, b in zip(result["x"], frame["x"])].count(False) == 0


def test_fewer_or_more_rows_than_announced_are_an_error() -> None:
    prepared = prepare(pd.DataFrame({"x": [1, 2, 3]}))
    schema, batches = through_ipc(prepared)
    with pytest.raises(ValueError, match="only 3 of the 4 rows"):
        assemble(schema, batches, 4, prepared.source, None)
    with pytest.raises(ValueError, match="more than the 2 rows"):
        assemble(schema, batches, 2, prepared.source, None)


def test_a_column_that_is_not_there_names_the_nearest() -> None:
    prepared = prepare(pd.DataFrame({"fare": [1], "distance": [2], 7: [3]}))
    with pytest.raises(KeyError, match="there is no column 'fair'; did you mean 'fare'"):
        stored_columns(prepared.schema, prepared.source, ["fair"])
    with pytest.raises(KeyError, match="there is no column 'q'; there are 'fare', 'distance', 7"):
        stored_columns(prepared.schema, prepared.source, ["q"])
    assert stored_columns(prepared.schema, prepared.source, [7]) == ["7"]


def test_a_type_of_a_later_version_is_an_error() -> None:
    schema = pa.schema([("x", pa.int64())])
    source = {"library": "pandas", "dtypes": {"x": {"hologram": 1}}}
    with pytest.raises(ValueError, match="column `x` was stored as .*hologram.*update coldframe"):
        assemble(schema, [], 0, source, None)


def test_a_zone_without_a_name_is_refused() -> None:
    zone = zoneinfo.ZoneInfo.from_file(io.BytesIO(_zone_bytes()))
    with pytest.raises(ValueError, match="column `x` has the time zone .* which has no name"):
        prepare(pd.DataFrame({"x": pd.DatetimeIndex(["2024-01-01"]).tz_localize(zone)}))


def _zone_bytes() -> bytes:
    header = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    body = struct.pack(">lbb", 3600, 0, 0) + b"XYZ\0"
    return header + body + header + body + b"\nXYZ-1\n"
