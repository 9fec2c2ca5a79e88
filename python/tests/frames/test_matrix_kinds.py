"""Every kind of frame, on every storage and by every serializer, comes back as the same kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
from arrow_samples import REFUSED_BY_PARQUET, SAMPLES, SERIALIZERS, table_of
from exact import assert_same_polars, assert_same_relation, assert_same_table
from round_trip import assert_same

from coldframe import Store
from coldframe.errors import UnsupportedError

_KEYS = (f"kinds/{number}" for number in itertools.count())


class Stream:
    """An object that has `__arrow_c_stream__` and nothing else."""

    def __init__(self, table: pa.Table | pa.RecordBatchReader) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


class Array:
    """An object that has `__arrow_c_array__` and nothing else."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self._batch.__arrow_c_array__(requested_schema)


def _plain() -> pa.Table:
    """Types that every kind of Arrow frame holds in the same way."""
    columns = {
        f"{name} {pattern}": column
        for name, array in SAMPLES.items()
        if name not in REFUSED_BY_PARQUET
        for pattern, column in zip(("none", "some", "all"), table_of(array).columns, strict=True)
    }
    return pa.table(columns).replace_schema_metadata({"origin": "test", "ü": "é"})


PLAIN = _plain()
CHUNKS = pa.concat_tables([PLAIN.slice(1, 4), PLAIN.slice(5, 0), PLAIN.slice(5, 3)])
BATCH = PLAIN.combine_chunks().to_batches()[0]


def _batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    yield from table.to_batches()


KINDS: dict[str, tuple[Callable[[pa.Table], Any], type]] = {
    "Table": (lambda table: table, pa.Table),
    "RecordBatch": (lambda table: table.combine_chunks().to_batches()[0], pa.RecordBatch),
    "RecordBatchReader": (lambda table: table.to_reader(), pa.RecordBatchReader),
    "InMemoryDataset": (lambda table: pyarrow.dataset.dataset(table), pa.Table),
    "Scanner": (lambda table: pyarrow.dataset.dataset(table).scanner(), pa.Table),
    "list of batches": (lambda table: table.to_batches(), pa.RecordBatchReader),
    "tuple of batches": (lambda table: tuple(table.to_batches()), pa.RecordBatchReader),
    "generator of tables": (lambda table: iter([table.slice(0, 2), table.slice(2)]), pa.RecordBatchReader),
    "generator of batches": (_batches, pa.RecordBatchReader),
    "generator of arrays": (lambda table: map(Array, table.to_batches()), pa.RecordBatchReader),
    "stream": (Stream, pa.Table),
    "array": (lambda table: Array(table.combine_chunks().to_batches()[0]), pa.Table),
}
"""How each kind is made of a table, and what it comes back as."""


def _table(value: Any) -> pa.Table:
    if isinstance(value, pa.RecordBatchReader):
        return value.read_all()
    return pa.Table.from_batches([value]) if isinstance(value, pa.RecordBatch) else value


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_arrow_frame_comes_back(local_store: Store, kind: str, serializer: str) -> None:
    make, expected = KINDS[kind]
    reference = local_store.put("a/b", make(CHUNKS), serializer=serializer, strict=True)
    returned = local_store.get(reference)
    assert type(returned) is expected
    assert_same_table(CHUNKS, _table(returned))
    assert reference.rows == CHUNKS.num_rows


def test_the_values_are_on_every_storage(store: Store) -> None:
    for serializer in SERIALIZERS:
        for frame in (PLAIN, PLAIN.slice(0, 0)):
            reference = store.put("a/b", frame, serializer=serializer, strict=True)
            assert_same_table(frame, store.get(reference))


@pytest.mark.parametrize(
    "kind", ["Table", "RecordBatch", "RecordBatchReader", "stream", "array", "generator of batches"]
)
def test_a_kind_comes_back_without_rows(shared_store: Store, kind: str) -> None:
    empty = BATCH.slice(0, 0)

    def reader() -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(empty.schema, [empty])

    make: Callable[[], Any] = {
        "Table": lambda: pa.Table.from_batches([empty]),
        "RecordBatch": lambda: empty,
        "RecordBatchReader": reader,
        "stream": lambda: Stream(reader()),
        "array": lambda: Array(empty),
        "generator of batches": lambda: iter([empty]),
    }[kind]
    for serializer in ("parquet", "arrow"):
        value = make()
        returned = shared_store.get(shared_store.put(next(_KEYS), value, serializer=serializer, strict=True))
        assert type(returned) is KINDS[kind][1]
        assert_same_table(pa.Table.from_batches([empty]), _table(returned))


FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(
        {"a": [1, 2], "b": ["x", None], "c": [0.5, -0.0]}, index=pd.Index(["k", "l"], name="key")
    ),
    "polars": lambda: pl.DataFrame({"a": [1, None], "b": ["x", None], "c": [0.5, -0.0], "d": [[1], None]}),
    "polars lazy": lambda: pl.LazyFrame({"a": [1, None], "b": ["x", None]}),
    "pyarrow": lambda: pa.table({"a": [1, None], "b": ["x", None]}),
    "duckdb": lambda: duckdb.sql("select 1 as a, null::text as b union all select null, 'x' order by 1"),
}


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("kind", FRAMES)
def test_a_library_gets_its_own_frame_back(store: Store, kind: str, serializer: str) -> None:
    value = FRAMES[kind]()
    reference = store.put("a/b", value, serializer=serializer, strict=True)
    for returned in (store.get(reference), store.get("a/b"), store.get(reference.compact()), reference.get()):
        assert type(returned) is type(value)
        assert_same_frame(FRAMES[kind](), returned)


def assert_same_frame(left: Any, right: Any) -> None:
    """Fails unless both are the same frame of the same library."""
    if isinstance(left, pd.DataFrame):
        assert_same(left, right)
    elif isinstance(left, pa.Table):
        assert_same_table(left, right)
    elif isinstance(left, pl.LazyFrame):
        assert_same_polars(left.collect(), right.collect())
    elif isinstance(left, pl.DataFrame):
        assert_same_polars(left, right)
    else:
        assert_same_relation(left, right)


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_rows_without_columns_are_counted(shared_store: Store, serializer: str) -> None:
    for value in (
        pa.table({"a": [1, 2]}).select([]),
        pa.record_batch({"a": [1, 2]}).select([]),
        pa.table({"a": pa.array([], pa.int8())}).select([]),
        pa.schema([]).empty_table(),
    ):
        returned = shared_store.get(shared_store.put(next(_KEYS), value, serializer=serializer, strict=True))
        assert (type(returned), returned.num_rows, returned.num_columns) == (type(value), value.num_rows, 0)
    for frame in (pl.DataFrame(height=3), pl.DataFrame()):
        assert (
            shared_store.get(shared_store.put(next(_KEYS), frame, serializer=serializer, strict=True)).shape
            == frame.shape
        )
    for labelled in (pd.DataFrame(index=range(3)), pd.DataFrame(index=["a", "b"]), pd.DataFrame()):
        assert_same(
            labelled, shared_store.get(shared_store.put(next(_KEYS), labelled, serializer=serializer, strict=True))
        )


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_names_of_columns_come_back(shared_store: Store, serializer: str) -> None:
    names = [
        "",
        "ü",
        "a.b",
        "a b",
        "A",
        "a",
        "\U0001f600",
        "x" * 500,
        "e\u0301",
        "é",
        "a\nb",
        "`",
        '"',
        "__index_level_0__",
    ]
    columns = [pa.array([at, None]) for at in range(len(names))]
    for table in (pa.table(columns, names), pa.table(columns[:3], ["a", "b", "a"])):
        assert_same_table(
            table, shared_store.get(shared_store.put(next(_KEYS), table, serializer=serializer, strict=True))
        )
    frame = pl.DataFrame(dict(zip(names, columns, strict=True)))
    assert_same_polars(
        frame, shared_store.get(shared_store.put(next(_KEYS), frame, serializer=serializer, strict=True))
    )


def test_names_with_a_nul_are_refused(shared_store: Store) -> None:
    table = pa.table({"sound": [1], "a\0b": [1]})
    nested = pa.table({"a": pa.array([[{"x\0y": 1}]])})
    frame = pl.DataFrame({"a\0b": [1]})
    values: list[Any] = [frame, frame.lazy(), iter([frame]), pl.DataFrame({"a": [{"x\0y": 1}]})]
    values.append(pd.DataFrame({"a\0b": [1]}))
    # Of an object that gives Arrow alone, the name is cut before anyone sees it.
    told = {name: make for name, (make, _) in KINDS.items() if name not in ("stream", "array", "generator of arrays")}
    values += [make(one) for one in (table, nested) for make in told.values()]
    key = next(_KEYS)
    for value in values:
        with pytest.raises(UnsupportedError, match="NUL"):
            shared_store.put(key, value)
    assert not shared_store.exists(key)


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_nullability_and_metadata_of_fields_come_back(shared_store: Store, serializer: str) -> None:
    inner = pa.field("inner", pa.int8(), nullable=False, metadata={"unit": "m", "": ""})
    schema = pa.schema(
        [
            pa.field("never null", pa.int64(), nullable=False, metadata={"ü": "\U0001f600", "PARQUET:field_id": "7"}),
            pa.field("nested", pa.struct([inner]), metadata={"k": "v"}),
            pa.field("list", pa.list_(inner)),
        ],
        metadata={"k": "v", "pandas": "no JSON"},
    )
    table = pa.table(
        [pa.array([1]), pa.array([{"inner": 1}], schema.field(1).type), pa.array([[1]], schema.field(2).type)],
        schema=schema,
    )
    assert_same_table(table, shared_store.get(shared_store.put(next(_KEYS), table, serializer=serializer, strict=True)))


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_very_long_texts_and_many_rows_come_back(local_store: Store, serializer: str) -> None:
    texts = ["x" * 3_000_000, "", None, "ü" * 700_000, "\0" * 10]
    table = pa.table(
        {"text": texts, "view": pa.array(texts, pa.string_view()), "lists": [[0] * 100_000, None, [], [1], None]}
    )
    assert_same_table(table, local_store.get(local_store.put("long", table, serializer=serializer, strict=True)))
    numbers = pa.table({"n": pa.array(range(150_000)), "t": pa.array([None, "a"] * 75_000)})
    returned = local_store.get(local_store.put("many", numbers, serializer=serializer, strict=True))
    assert_same_table(numbers, returned)
    one = numbers.to_batches()[0]
    batch = local_store.get(local_store.put("many", one, serializer=serializer, strict=True))
    assert type(batch) is pa.RecordBatch
    assert batch.equals(one, check_metadata=True)


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_misaligned_buffers_come_back(shared_store: Store, serializer: str) -> None:
    for name in (
        "int16",
        "int64 beyond floats",
        "float64",
        "decimal128",
        "decimal256",
        "timestamp ns UTC",
        "month_day_nano",
    ):
        aligned = SAMPLES[name]
        if name in REFUSED_BY_PARQUET and "parquet" in serializer:
            continue
        odd = pa.py_buffer(b"\1" + aligned.buffers()[1].to_pybytes())[1:]
        array = pa.Array.from_buffers(aligned.type, len(aligned), [None, odd])
        assert odd.address % 2 == 1
        for value in (pa.table({"a": array}), pa.record_batch({"a": array})):
            returned = shared_store.get(shared_store.put(next(_KEYS), value, serializer=serializer, strict=True))
            assert_same_table(pa.table({"a": aligned}), _table(returned))


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_misaligned_offsets_come_back(shared_store: Store, serializer: str) -> None:
    offsets = pa.py_buffer(b"\0" + pa.array([0, 1, 3], pa.int32()).buffers()[1].to_pybytes()[:12])[1:]
    texts = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"abc")])
    returned = shared_store.get(
        shared_store.put(next(_KEYS), pa.table({"t": texts}), serializer=serializer, strict=True)
    )
    assert returned["t"].to_pylist() == ["a", "bc"]
