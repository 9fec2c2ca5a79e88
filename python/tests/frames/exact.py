"""Comparisons of frames that forgive nothing: types, order, nulls, and the bits of floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import duckdb
    import polars as pl

_BITS = {pa.float16(): pa.uint16(), pa.float32(): pa.uint32(), pa.float64(): pa.uint64()}


def assert_same_table(left: pa.Table, right: pa.Table) -> None:
    """Fails unless both tables have the same schema with metadata, and the same rows."""
    assert left.schema.equals(right.schema, check_metadata=True), f"{left.schema}\nbecame\n{right.schema}"
    assert left.num_rows == right.num_rows
    right.validate(full=True)
    for at, name in enumerate(left.column_names):
        assert_same_array(one_array(left.column(at)), one_array(right.column(at)), name)


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The chunks as one array. Dictionaries must be the same in all chunks with rows."""
    if pa.types.is_dictionary(column.type) and column.num_chunks:
        chunks = [chunk for chunk in column.chunks if len(chunk)] or column.chunks[:1]
        assert all(chunk.dictionary.equals(chunks[0].dictionary) for chunk in chunks), "the dictionary changes"
        indices = pa.concat_arrays([chunk.indices for chunk in chunks])
        return pa.DictionaryArray.from_arrays(indices, chunks[0].dictionary, ordered=column.type.ordered)
    if column.num_chunks == 0:
        return pa.nulls(0, column.type)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def assert_same_array(left: pa.Array, right: pa.Array, place: str) -> None:
    """Fails unless both arrays have the same type, nulls and values, floats bit by bit."""
    assert left.type.equals(right.type), f"{place}: {left.type} became {right.type}"
    assert len(left) == len(right), f"{place}: {len(left)} values became {len(right)}"
    kind = left.type
    if isinstance(kind, pa.BaseExtensionType):
        assert_same_array(left.storage, right.storage, place)
        return
    if pa.types.is_run_end_encoded(kind):
        assert_same_array(pc.run_end_decode(left), pc.run_end_decode(right), place)
        return
    if pa.types.is_union(kind):
        assert left.type_codes.equals(right.type_codes), place
        assert repr(left.to_pylist()) == repr(right.to_pylist()), place
        return
    assert left.is_valid().equals(right.is_valid()), f"{place}: the nulls changed"
    if pa.types.is_dictionary(kind):
        assert_same_array(left.dictionary, right.dictionary, f"{place} (dictionary)")
        assert left.indices.equals(right.indices), f"{place}: the indices changed"
    elif pa.types.is_struct(kind):
        for at, (one, other) in enumerate(zip(left.flatten(), right.flatten(), strict=True)):
            assert_same_array(one, other, f"{place}.{kind.field(at).name}")
    elif pa.types.is_nested(kind):
        if pa.types.is_map(kind):
            left, right = _lists(left), _lists(right)
        assert pc.list_value_length(left).equals(pc.list_value_length(right)), f"{place}: lengths changed"
        assert_same_array(left.flatten(), right.flatten(), f"{place}[]")
    elif kind in _BITS:
        bits = [array.drop_null().view(_BITS[kind]) for array in (left, right)]
        assert bits[0].equals(bits[1]), f"{place}: {left} became {right}"
    else:
        assert left.equals(right), f"{place}: {left} became {right}"


def _lists(array: pa.MapArray) -> pa.ListArray:
    """The entries of maps as lists of structs."""
    return array.cast(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))


def assert_same_polars(left: pl.DataFrame, right: pl.DataFrame) -> None:
    """Fails unless both frames have the same schema and the same rows, floats bit by bit."""
    import polars as pl

    assert left.schema == right.schema, f"{left.schema} became {right.schema}"
    assert left.height == right.height
    assert left.equals(right, null_equal=True), f"{left} became {right}"
    for name in left.columns:
        _assert_same_series(left.get_column(name), right.get_column(name))
    assert isinstance(right, pl.DataFrame)


def _assert_same_series(left: Any, right: Any) -> None:
    import polars as pl

    kind, place = left.dtype, left.name
    assert left.is_null().equals(right.is_null()), f"{place}: the nulls changed"
    if kind.is_float():
        one, other = (series.drop_nulls().to_numpy().tobytes() for series in (left, right))
        assert one == other, f"{place}: {left} became {right}"
    elif isinstance(kind, (pl.List, pl.Array)):
        one, other = (
            series.drop_nulls().list if isinstance(kind, pl.List) else series.drop_nulls().arr
            for series in (left, right)
        )
        assert one.len().equals(other.len()), f"{place}: lengths changed"
        _assert_same_series(left.drop_nulls().explode(), right.drop_nulls().explode())
    elif isinstance(kind, pl.Struct):
        for field in kind.fields:
            _assert_same_series(left.struct.field(field.name), right.struct.field(field.name))


def assert_same_relation(left: duckdb.DuckDBPyRelation, right: duckdb.DuckDBPyRelation) -> None:
    """Fails unless both relations have the same columns, types and rows."""
    assert left.columns == right.columns
    assert list(map(str, left.types)) == list(map(str, right.types))
    assert repr(left.fetchall()) == repr(right.fetchall())
