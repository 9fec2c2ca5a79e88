"""Frames as bytes without a store: exact, plain files, checked, and nothing stays behind."""

from __future__ import annotations

import datetime
import gc
import io
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from arrow_samples import REFUSED_BY_PARQUET, SAMPLES, table_of
from exact import assert_same_polars, assert_same_relation, assert_same_table
from round_trip import assert_same
from support import LIMIT, forked, output

import coldframe
from coldframe import Store
from coldframe.errors import (
    DamagedError,
    InputError,
    InvalidInputError,
    LossyError,
    MissingSerializerError,
    UnsupportedError,
    WrongTypeError,
)
from coldframe.inline import Encoded, decode, encode

ROWS = 50
SERIALIZERS = ("parquet", "parquet/none", "arrow", "arrow/lz4")


def _pandas() -> pd.DataFrame:
    index = pd.MultiIndex.from_product([["a", "b"], range(ROWS // 2)], names=["letter", None])
    frame = pd.DataFrame(
        {
            "float": np.where(np.arange(ROWS) % 7 == 0, np.nan, np.arange(ROWS) / 3),
            "category": pd.Categorical(["x", "y"] * (ROWS // 2), categories=["y", "x", "unused"], ordered=True),
            "zoned": pd.date_range("2024-03-30", periods=ROWS, freq="h", tz="Europe/Vienna"),
            "nullable": pd.array([None, 2**62] * (ROWS // 2), dtype="Int64"),
            "object": [{"deep": [1, None]}, {"deep": []}] * (ROWS // 2),
            5: pd.period_range("2020-01", periods=ROWS, freq="M"),
        },
    ).set_index(index)
    frame.attrs = {"origin": "test"}
    return frame


def _polars() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "enum": pl.Series(["low", "high"] * (ROWS // 2), dtype=pl.Enum(["high", "low", "unused"])),
            "category": pl.Series(["x", None] * (ROWS // 2), dtype=pl.Categorical),
            "zoned": pl.Series([datetime.datetime(2024, 3, 31, 1)] * ROWS).dt.replace_time_zone("Europe/Vienna"),
            "struct": [{"a": [1.5, None, float("nan")], "b": "ü"}, None] * (ROWS // 2),
        }
    )


def _arrow() -> pa.Table:
    columns = {
        f"{name} {pattern}": column
        for name, array in SAMPLES.items()
        if name not in REFUSED_BY_PARQUET
        for pattern, column in zip(("none", "some", "all"), table_of(array).columns, strict=True)
    }
    return pa.table(columns).replace_schema_metadata({"origin": "test", "ü": "é"})


ARROW = _arrow()


def _relation() -> duckdb.DuckDBPyRelation:
    return duckdb.connect().sql("select range::hugeint as huge, ('x' || range)::varchar as name from range(100)")


class Stream:
    """An object that has `__arrow_c_stream__` and nothing else."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return ARROW.__arrow_c_stream__(requested_schema)


def _same_tables(left: Any, right: Any) -> None:
    def table(value: Any) -> pa.Table:
        if isinstance(value, pa.RecordBatchReader):
            return value.read_all()
        return pa.Table.from_batches([value]) if isinstance(value, pa.RecordBatch) else pa.table(value)

    assert_same_table(table(left), table(right))


def _same_lazy(left: pl.LazyFrame, right: pl.LazyFrame) -> None:
    assert_same_polars(left.collect(), right.collect())
    name = right.collect_schema().names()[0]
    assert_same_polars(left.select(name).head(3).collect(), right.select(name).head(3).collect())


KINDS: dict[str, tuple[Callable[[], Any], type, Callable[[Any, Any], None]]] = {
    "pandas": (_pandas, pd.DataFrame, assert_same),
    "pandas without rows": (lambda: _pandas().iloc[:0], pd.DataFrame, assert_same),
    "pandas without columns": (lambda: _pandas()[[]], pd.DataFrame, assert_same),
    "pandas, wide": (lambda: pd.DataFrame(np.arange(5_000.0).reshape(10, 500)), pd.DataFrame, assert_same),
    "polars": (_polars, pl.DataFrame, assert_same_polars),
    "polars without rows": (lambda: _polars().clear(), pl.DataFrame, assert_same_polars),
    "LazyFrame": (lambda: _polars().lazy(), pl.LazyFrame, _same_lazy),
    "Table": (lambda: ARROW, pa.Table, _same_tables),
    "Table without rows": (lambda: ARROW.slice(0, 0), pa.Table, _same_tables),
    "Table, wide": (
        lambda: pa.table({f"column {at}": [at, None] for at in range(500)}),
        pa.Table,
        _same_tables,
    ),
    "RecordBatch": (lambda: ARROW.combine_chunks().to_batches()[0], pa.RecordBatch, _same_tables),
    "RecordBatchReader": (lambda: ARROW.to_reader(), pa.RecordBatchReader, _same_tables),
    "stream": (Stream, pa.Table, _same_tables),
    "list of batches": (lambda: ARROW.to_batches(), pa.RecordBatchReader, lambda _, back: _same_tables(ARROW, back)),
    "relation": (_relation, duckdb.DuckDBPyRelation, assert_same_relation),
}
"""How each kind is made, what it comes back as, and what tells whether that is the same."""


def _encoded(value: Any, serializer: Any = "parquet") -> Encoded:
    encoded = encode(value, serializer, strict=True)
    assert encoded is not None
    return encoded


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_comes_back(kind: str, serializer: str) -> None:
    make, expected, same = KINDS[kind]
    encoded = _encoded(make(), serializer)
    # As somebody else would keep it, who does not keep the order of names.
    reference = json.loads(json.dumps(encoded.reference, sort_keys=True))
    returned = decode(encoded.data, reference)
    assert type(returned) is expected
    same(make(), returned)


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("kind", ["pandas", "polars", "Table", "relation"])
def test_it_is_the_file_that_a_put_writes(local_store: Store, tmp_path: Path, kind: str, serializer: str) -> None:
    encoded = _encoded(KINDS[kind][0](), serializer)
    put = json.loads(local_store.put("key", KINDS[kind][0](), serializer=serializer).json())
    (part,) = put["parts"]
    assert encoded.data == (tmp_path / "store" / part["path"]).read_bytes()
    for told in ("serializer", "rows", "size", "schema", "source", "lossy"):
        assert encoded.reference.get(told) == put.get(told)
    assert "storage" not in encoded.reference


def test_the_bytes_are_plain_files() -> None:
    table = pa.table({"n": [1, 2, None], "text": ["a", "ü", ""]})
    parquet, arrow = _encoded(table, "parquet").data, _encoded(table, "arrow").data
    assert parquet[:4] == parquet[-4:] == b"PAR1"
    assert arrow[:6] == arrow[-6:] == b"ARROW1"
    assert pyarrow.parquet.read_table(io.BytesIO(parquet)).to_pydict() == table.to_pydict()
    assert pa.ipc.open_file(arrow).read_all().to_pydict() == table.to_pydict()
    assert pl.read_parquet(io.BytesIO(parquet)).to_dict(as_series=False) == table.to_pydict()
    assert pl.read_ipc(io.BytesIO(arrow)).to_dict(as_series=False) == table.to_pydict()


def test_large_frames_are_whole() -> None:
    # More than one part of an upload, many pieces, and several batches.
    numbers = np.random.default_rng(7).random((400_000, 6))
    frame = pl.DataFrame(numbers, schema=list("abcdef"))
    for serializer in SERIALIZERS:
        encoded = _encoded(frame, serializer)
        assert len(encoded.data) == encoded.reference["size"] > 12_000_000
        assert_same_polars(frame, decode(encoded.data, encoded.reference))


def _positions(size: int) -> Iterator[int]:
    """The first and the last bytes, and some fifty between them."""
    yield from {0, 1, 4, *range(0, size, size // 50 + 1), size - 9, size - 5, size - 1}


@pytest.mark.parametrize("kind", ["pandas", "polars", "LazyFrame", "RecordBatchReader", "relation"])
@pytest.mark.parametrize("serializer", ["parquet", "arrow"])
def test_a_changed_byte_is_found_before_anything_is_made_of_it(kind: str, serializer: str) -> None:
    encoded = _encoded(KINDS[kind][0](), serializer)
    for at, bit in zip(_positions(len(encoded.data)), itertools.cycle([1, 0x80])):
        damaged = bytearray(encoded.data)
        damaged[at] ^= bit
        with pytest.raises(DamagedError, match="^decode: the bytes are not those that were written") as caught:
            decode(bytes(damaged), encoded.reference)
        assert caught.value.hint is not None
        assert "compute the result again" in caught.value.hint


@pytest.mark.parametrize("serializer", ["parquet", "arrow"])
def test_bytes_that_are_too_few_or_too_many(serializer: str) -> None:
    encoded = _encoded(_polars(), serializer)
    size = len(encoded.data)
    for data in (b"", encoded.data[:1], encoded.data[: size // 2], encoded.data[:-1], encoded.data + b"\0"):
        with pytest.raises(DamagedError, match=f"^decode: there are {len(data)} bytes, and {size} were written"):
            decode(data, encoded.reference)


def test_the_reference_of_another_table() -> None:
    one, other = (_encoded(pl.DataFrame({"n": [number]}), "arrow") for number in (1, 2))
    assert len(one.data) == len(other.data)
    with pytest.raises(DamagedError, match="the bytes are not those") as caught:
        decode(one.data, other.reference)
    assert "hand in the reference that was made together with these bytes" in str(caught.value)


def test_what_is_no_reference_to_these_bytes() -> None:
    encoded = _encoded(_polars().lazy())
    (part,) = encoded.reference["parts"]
    compact = {name: encoded.reference[name] for name in ("type", "format", "key", "version", "write")}
    wrong: list[tuple[Any, type[Exception], str]] = [
        ({}, InvalidInputError, "no reference"),
        ([], WrongTypeError, "a dict is expected"),
        ({"type": object()}, InvalidInputError, "it is no JSON"),
        (compact, InvalidInputError, "not to one file"),
        ({**encoded.reference, "parts": []}, InvalidInputError, "not to one file"),
        ({**encoded.reference, "parts": [part, part]}, InvalidInputError, "not to one file"),
        ({**encoded.reference, "parts": [{**part, "path": "data/a/b"}]}, InvalidInputError, "does not lie"),
        ({**encoded.reference, "serializer": {"type": "arrow"}}, DamagedError, "the file: "),
        ({**encoded.reference, "rows": 7}, DamagedError, "it says another number"),
        ({**encoded.reference, "schema": _encoded(_pandas()).reference["schema"]}, DamagedError, "schema"),
    ]
    for reference, expected, message in wrong:
        with pytest.raises(expected, match=message) as caught:
            decode(encoded.data, reference)
        assert str(caught.value).startswith("decode: ")
        assert "inline@1" not in str(caught.value)


def test_bytes_of_every_type_are_read() -> None:
    encoded = _encoded(ARROW)
    data = encoded.data
    around = memoryview(b"before" + data + b"behind")
    for given in (memoryview(data), memoryview(data).cast("c"), bytearray(data), around[6:-6]):
        assert_same_table(ARROW, decode(given, encoded.reference))
    with pytest.raises(DamagedError):
        decode(memoryview(data)[::-1], encoded.reference)
    with pytest.raises(WrongTypeError, match="^decode: data: bytes are expected, and this is a str"):
        decode("text", encoded.reference)  # type: ignore[arg-type]


def test_what_is_no_frame() -> None:
    for value in (None, True, 1, "text", b"bytes", [], [1], {"a": 1}, {"a": ARROW}, (1,), object(), pd.DataFrame):
        assert encode(value) is None
    for series in (pd.Series([1]), pl.Series([1]), pa.array([1])):
        with pytest.raises(WrongTypeError, match="^encode: value: .* is one column"):
            encode(series)


def test_serializers_that_are_chosen() -> None:
    def chosen(serializer: Any) -> Any:
        return _encoded(ARROW, serializer).reference["serializer"]

    assert chosen("parquet") == chosen(coldframe.Parquet()) == {"type": "parquet"}
    assert chosen({"type": "parquet", "compression": "gzip"})["compression"] == "gzip"
    assert chosen(coldframe.Parquet(level=3)) == {"type": "parquet", "compression": "zstd", "level": 3}
    assert chosen(coldframe.Arrow("lz4")) == chosen("arrow/lz4") == {"type": "arrow", "compression": "lz4"}


def test_serializers_that_do_not_fit() -> None:
    for name in ("json", "bytes", "pickle", coldframe.Compressed("json")):
        with pytest.raises(InvalidInputError, match=r"^encode: serializer: .* holds no tables"):
            encode(ARROW, name)
    for compressed in ("compressed/parquet", coldframe.Compressed("arrow"), {"type": "compressed", "inner": "arrow"}):
        with pytest.raises(InvalidInputError, match=r"^encode: serializer: a `compressed` file"):
            encode(ARROW, compressed)
    with pytest.raises(InvalidInputError, match="^encode: `zip` is no codec"):
        encode(ARROW, "parquet/zip")
    with pytest.raises(MissingSerializerError):
        encode(ARROW, "nobody")
    with pytest.raises(InvalidInputError):
        encode(ARROW, strict=1)  # type: ignore[arg-type]


def test_losses_are_told_or_refused() -> None:
    kind = pa.map_(pa.string(), pa.int64(), keys_sorted=True)
    table = pa.table({"m": pa.array([[("a", 1)]], kind)})
    with pytest.warns(coldframe.LossyWarning, match="^encode loses: column `m`: that the keys") as warned:
        encoded = encode(table)
    assert [warning.filename for warning in warned] == [__file__]
    assert encoded is not None
    assert encoded.reference["lossy"][0]["column"] == "m"
    assert decode(encoded.data, encoded.reference).to_pydict() == table.to_pydict()
    with pytest.raises(LossyError, match="^encode: this would be lost on the way and back: column `m`") as caught:
        encode(table, strict=True)
    assert caught.value.hint is not None
    assert "or encode without strict" in caught.value.hint


def test_losses_that_only_the_data_shows() -> None:
    batches = [
        pa.record_batch({"d": pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(values))})
        for values in (["a", "b"], ["b", "c"])
    ]
    with pytest.warns(coldframe.LossyWarning, match="^encode lost: column `d`"):
        encoded = encode(pa.Table.from_batches(batches), "parquet")
    assert encoded is not None
    assert decode(encoded.data, encoded.reference)["d"].to_pylist() == ["a", "b", "b", "c"]


def test_a_frame_that_takes_several_files_is_refused() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, 400, 100):
            values = pa.array([f"value {number}" for number in range(start, start + 100)])
            indices = pa.array(range(100), pa.int8())
            yield pa.record_batch({"d": pa.DictionaryArray.from_arrays(indices, values)})

    with pytest.raises(UnsupportedError, match="^encode: the table takes more than one file") as caught:
        encode(batches(), "arrow")
    assert caught.value.hint is not None
    assert "put it into a store" in caught.value.hint


def test_what_an_input_raises_comes_out() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": [1]})
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        encode(broken())
    reader = ARROW.to_reader()
    reader.read_all()
    with pytest.raises(InvalidInputError, match="^encode: .*can be read only once"):
        encode(reader)
    bad = pl.LazyFrame({"n": ["x"]}).select(pl.col("n").cast(pl.Int64))
    with pytest.raises((InputError, pl.exceptions.PolarsError)):
        encode(bad)


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("kind", ["LazyFrame", "RecordBatchReader", "relation", "Table", "pandas"])
def test_a_frame_keeps_its_bytes_alive(kind: str, serializer: str) -> None:
    make, _, same = KINDS[kind]

    def returned() -> Any:
        encoded = _encoded(make(), serializer)
        return decode(encoded.data, encoded.reference)

    frames = [returned() for _ in range(5)]
    gc.collect()
    for frame in frames:
        same(make(), frame)


@pytest.mark.parametrize("kind", ["Table", "RecordBatchReader", "LazyFrame", "relation"])
def test_the_bytes_are_not_copied_and_let_go_of(kind: str) -> None:
    make, _, same = KINDS[kind]
    encoded = _encoded(make())
    data = encoded.data
    before = sys.getrefcount(data)
    for given in (data, memoryview(data)):
        returned = decode(given, encoded.reference)
        if kind != "Table":
            assert sys.getrefcount(data) > before
        same(make(), returned)
    del given
    # One that is given up before it was read.
    returned = decode(data, encoded.reference)
    del returned
    gc.collect()
    # Another thread lets go of them, and nothing else has to be called for that.
    deadline = time.monotonic() + LIMIT
    while sys.getrefcount(data) > before:
        assert time.monotonic() < deadline, "the bytes are kept"
        time.sleep(0.001)


def test_threads_do_not_meet() -> None:
    def there_and_back(number: int) -> None:
        frame = pl.DataFrame({"n": range(number, number + 1_000), "text": [f"{number}"] * 1_000})
        encoded = _encoded(frame, SERIALIZERS[number % len(SERIALIZERS)])
        assert_same_polars(frame, decode(encoded.data, encoded.reference))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(there_and_back, range(200)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_works() -> None:
    # No library but pyarrow, whose threads are not needed here, works in a child of a process that has used it.
    table = pa.table({"n": range(1_000)})
    encoded = _encoded(table)

    def work() -> None:
        assert decode(encoded.data, encoded.reference).equals(table)
        assert _encoded(table).data == encoded.data

    forked(work)
    assert decode(encoded.data, encoded.reference).equals(table)


def _resident() -> int:
    """The bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="what is resident stands in /proc")
def test_nothing_stays_behind() -> None:
    # Were the files kept, they would be 240 MB in the end.
    rows = 15_000
    table = pa.table({"n": np.random.default_rng(7).random(rows)})

    def there_and_back(times: int) -> None:
        for number in range(times):
            encoded = _encoded(table.to_reader() if number % 3 else table, SERIALIZERS[number % len(SERIALIZERS)])
            returned = decode(encoded.data, encoded.reference)
            # Some readers are given up before their end.
            assert number % 3 == 1 or pa.table(returned).num_rows == rows

    there_and_back(200)
    before = _resident()
    there_and_back(2_000)
    assert _resident() - before < 60_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="the most that was resident stands in /proc")
@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_a_file_lies_in_memory_once(serializer: str) -> None:
    code = """
        import sys
        import numpy, pyarrow
        from coldframe.inline import encode

        def resident(most):
            with open("/proc/self/status") as told:
                return next(int(line.split()[1]) * 1024 for line in told if line.startswith(most))

        table = pyarrow.table({name: numpy.random.default_rng(7).random(4_000_000) for name in "abcdef"})
        encode(table.slice(0, 10), sys.argv[1])
        before = resident("VmRSS")
        size = len(encode(table, sys.argv[1]).data)
        print((resident("VmHWM") - before) / size)
    """
    # What is being encoded comes on top, and is bounded: the file has nearly 200 MB.
    assert 0.9 < float(output(code, serializer)) < 1.7


def test_nothing_else_is_imported() -> None:
    code = "import sys, coldframe.inline; print({'pandas', 'polars', 'pyarrow', 'prefect'} & sys.modules.keys())"
    assert output(code).strip() == "set()"
