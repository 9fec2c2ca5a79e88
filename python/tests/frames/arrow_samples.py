"""Arrow arrays of every type, with the values that are lost most easily."""

from __future__ import annotations

import datetime
import decimal
import struct
import uuid
from typing import Any

import pyarrow as pa

D = decimal.Decimal
TEXTS = ["", "a\0b", "ü€😀👩‍👩‍👧", "é\u0301", "\ufeff x\n", "longer than the twelve bytes of a view"]
SERIALIZERS = ["parquet", "parquet/none", "arrow", "arrow/lz4", "compressed/parquet"]
NOT_A_NUMBER = struct.unpack("<d", bytes.fromhex("efbeadde0000f87f"))[0]
"""A NaN with bits of its own."""

_LIST = [[1, 2], [], [None, 2**62], [3]]
_STRUCT = pa.struct([("a", pa.int64()), ("b", pa.struct([("c", pa.string()), ("d", pa.list_(pa.float64()))]))])
_STRUCTS = [
    {"a": 2**60 + 1, "b": {"c": "x", "d": [-0.0, float("nan"), None]}},
    {"a": None, "b": None},
    {"a": 1, "b": {"c": None, "d": None}},
    {"a": 2, "b": {"c": "", "d": []}},
]


def _integers() -> dict[str, pa.Array]:
    arrays = {}
    for bits in (8, 16, 32, 64):
        signed = [-(2 ** (bits - 1)), 0, 2 ** (bits - 1) - 1, 1]
        arrays[f"int{bits}"] = pa.array(signed, getattr(pa, f"int{bits}")())
        arrays[f"uint{bits}"] = pa.array([0, 2**bits - 1, 2 ** (bits - 1), 1], getattr(pa, f"uint{bits}")())
    arrays["int64 beyond floats"] = pa.array([2**53 + 1, -(2**53) - 1, 2**63 - 1, 3])
    return arrays


def _times() -> dict[str, pa.Array]:
    edges = [-(2**63) + 1, 2**63 - 1, 1, 0]
    arrays = {
        "date32": pa.array([-(2**31), 2**31 - 1, 0, 19_782], pa.date32()),
        "date64": pa.array(
            [datetime.date(1, 1, 1), datetime.date(9999, 12, 31), datetime.date(1969, 12, 31)], pa.date64()
        ),
        "time32 s": pa.array([0, 86_399, 1], pa.time32("s")),
        "time32 ms": pa.array([0, 86_399_999, 1], pa.time32("ms")),
        "time64 us": pa.array([0, 86_399_999_999, 1], pa.time64("us")),
        "time64 ns": pa.array([0, 86_399_999_999_999, 1], pa.time64("ns")),
        "month_day_nano": pa.array([(1, -2, 3), (-1, 2, -3)], pa.month_day_nano_interval()),
    }
    for unit in ("s", "ms", "us", "ns"):
        arrays[f"duration {unit}"] = pa.array(edges, pa.duration(unit))
        for zone in (None, "UTC", "Europe/Berlin", "+05:30"):
            arrays[f"timestamp {unit} {zone}"] = pa.array(edges, pa.timestamp(unit, zone))
    return arrays


def _decimals() -> dict[str, pa.Array]:
    return {
        "decimal32": pa.array([D("-99999.9999"), D("0.0001"), D(0)], pa.decimal32(9, 4)),
        "decimal32 one digit": pa.array([D(9), D(-9)], pa.decimal32(1, 0)),
        "decimal64": pa.array([D("-9" * 1 + "9" * 15 + ".99"), D("0.01")], pa.decimal64(18, 2)),
        "decimal128": pa.array([D("9" * 38), D("-" + "9" * 38), D(0)], pa.decimal128(38, 0)),
        "decimal128 small": pa.array([D("1.50"), D("-0.01")], pa.decimal128(5, 2)),
        "decimal128 negative scale": pa.array([D("15E2"), D("-1E2")], pa.decimal128(5, -2)),
        "decimal256": pa.array([D("9" * 66 + "." + "9" * 10), D("-1.0000000001")], pa.decimal256(76, 10)),
    }


def _texts() -> dict[str, pa.Array]:
    data = [b"", b"\0", b"\0\xff\xfe\0", b"longer than the twelve bytes of a view"]
    return {
        "string": pa.array(TEXTS),
        "large_string": pa.array(TEXTS, pa.large_string()),
        "string_view": pa.array(TEXTS, pa.string_view()),
        "binary": pa.array(data),
        "large_binary": pa.array(data, pa.large_binary()),
        "binary_view": pa.array(data, pa.binary_view()),
        "fixed_binary": pa.array([b"\0\0\0", b"\xff\0a"], pa.binary(3)),
        "fixed_binary empty": pa.array([b"", b""], pa.binary(0)),
    }


def _nested() -> dict[str, pa.Array]:
    def map_of(kind: Any) -> pa.DataType:
        return pa.map_(pa.string(), kind)

    return {
        "list": pa.array(_LIST),
        "large_list": pa.array(_LIST, pa.large_list(pa.int64())),
        "list_view": pa.array(_LIST, pa.list_view(pa.int64())),
        "large_list_view": pa.array(_LIST, pa.large_list_view(pa.int64())),
        "fixed_list": pa.array([[1, None], [3, 4]], pa.list_(pa.int16(), 2)),
        "fixed_list empty": pa.array([[], []], pa.list_(pa.int16(), 0)),
        "fixed_list of structs": pa.array(
            [[{"a": 1}, None], None], pa.list_(pa.struct([("a", pa.int8())]), 2)
        ).drop_null(),
        "struct flat": pa.array(
            [{"a": 1, "b": "x"}, {"a": None, "b": ""}], pa.struct([("a", pa.int8()), ("b", pa.string())])
        ),
        "list of lists": pa.array([[["a"], None, []], [[None, ""]], []], pa.list_(pa.list_(pa.string()))),
        "list with names": pa.array([[1], []], pa.list_(pa.field("inner", pa.int32(), nullable=False))),
        "struct": pa.array(_STRUCTS, _STRUCT),
        "struct without fields": pa.array([{}, {}], pa.struct([])),
        "struct with odd names": pa.array([{"": 1, "ü.x": 2}], pa.struct([("", pa.int8()), ("ü.x", pa.int8())])),
        "list of structs": pa.array([_STRUCTS, [], _STRUCTS[:1]], pa.list_(_STRUCT)),
        "map": pa.array([[("a", 1), ("b", None)], [], [("a", 1), ("a", 2)]], map_of(pa.int64())),
        "map of lists": pa.array([[("a", [1.5, None])], [("b", None)]], map_of(pa.list_(pa.float32()))),
        "map of maps": pa.array([[("a", [("x", 1)])], [("b", [])]], map_of(map_of(pa.int8()))),
    }


def _dictionaries() -> dict[str, pa.Array]:
    def made(indices: list[int], values: pa.Array, ordered: bool = False, kind: Any = None) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(indices, kind or pa.int32()), values, ordered=ordered)

    text = pa.array(["b", "a", "unused"])
    return {
        "dictionary text": made([1, 0, 1], text),
        "dictionary ordered": made([1, 0, 1], text, True),
        "dictionary int8": made([1, 0], text, kind=pa.int8()),
        "dictionary uint16": made([1, 0], text, kind=pa.uint16()),
        "dictionary large text": made([1, 0], text.cast(pa.large_string()), kind=pa.int64()),
        "dictionary binary": made([1, 0], pa.array([b"\0", b"\xff", b""])),
        "dictionary int": made([1, 0], pa.array([3, 1, 2**60])),
        "dictionary float": made([1, 0], pa.array([0.5, -0.0, 7.0])),
        "dictionary timestamp": made([1, 0], pa.array([3, 1, 2], pa.timestamp("ns", "Asia/Tokyo"))),
        "dictionary bool": made([1, 0], pa.array([True, False])),
    }


def _extensions() -> dict[str, pa.Array]:
    documents = pa.array(['{"a": 1}', "[]"])
    return {
        "uuid": pa.ExtensionArray.from_storage(
            pa.uuid(), pa.array([uuid.UUID(int=5).bytes, uuid.UUID(int=2**128 - 1).bytes], pa.binary(16))
        ),
        "json": pa.ExtensionArray.from_storage(pa.json_(), documents),
        "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, -3], pa.int8())),
        "opaque": pa.ExtensionArray.from_storage(pa.opaque(pa.string(), "geometry", "acme"), documents),
        "tensor": pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.float32(), (2, 2)), pa.array([[1, 2, 3, 4]], pa.list_(pa.float32(), 4))
        ),
    }


def _encoded() -> dict[str, pa.Array]:
    codes, offsets = pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32())
    return {
        "run ends": pa.RunEndEncodedArray.from_arrays([2, 3, 5], ["a", None, "b"]),
        "run ends int16": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int16()), [1.5, None]),
        "union sparse": pa.UnionArray.from_sparse(codes, [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])]),
        "union dense": pa.UnionArray.from_dense(codes, offsets, [pa.array([1, 2]), pa.array(["a"])]),
    }


SAMPLES: dict[str, pa.Array] = {
    "null": pa.nulls(3),
    "bool": pa.array([True, False, True]),
    "float16": pa.array([1.5, float("nan"), -0.0, float("-inf")], pa.float16()),
    "float32": pa.array([1.5, float("nan"), -0.0, 1e-45, float("inf")], pa.float32()),
    "float64": pa.array([1.5, float("nan"), -0.0, NOT_A_NUMBER, 5e-324, float("inf")]),
    **_integers(),
    **_times(),
    **_decimals(),
    **_texts(),
    **_nested(),
    **_dictionaries(),
    **_extensions(),
    **_encoded(),
}
"""Arrays without nulls on their outermost level, by a name for people."""

REFUSED_BY_PARQUET = {
    "month_day_nano",
    "decimal32 one digit",
    "decimal128 negative scale",
    "fixed_binary empty",
    "struct without fields",
    "run ends",
    "run ends int16",
    "union sparse",
    "union dense",
}
"""What Parquet cannot hold."""


def some_null(array: pa.Array) -> pa.Array:
    """The values with nulls before, between and behind. Unions have no nulls of their own."""
    kind = array.type
    if pa.types.is_union(kind) or pa.types.is_run_end_encoded(kind):
        return array
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, some_null(array.storage))
    rows = [None, *(at for row in range(len(array)) for at in (row, None))]
    if "view" in str(kind):
        values = array.to_pylist()
        return pa.array([None if row is None else values[row] for row in rows], kind)
    return array.take(pa.array(rows, pa.int64()))


def all_null(array: pa.Array) -> pa.Array:
    """Three nulls of the same type; a dictionary keeps its values."""
    if isinstance(array.type, pa.DictionaryType):
        return pa.DictionaryArray.from_arrays(
            pa.nulls(3, array.type.index_type), array.dictionary, ordered=array.type.ordered
        )
    if isinstance(array.type, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(array.type, pa.nulls(3, array.type.storage_type))
    return pa.nulls(3, array.type)


def table_of(array: pa.Array, rows: int = 12) -> pa.Table:
    """A table of three columns: without nulls, with some, and with nothing else."""
    columns = {"none": array, "some": some_null(array), "all": all_null(array)}
    return pa.table({name: _repeated(column, rows) for name, column in columns.items()})


def _repeated(array: pa.Array, rows: int) -> pa.Array:
    return pa.concat_arrays([array] * -(-rows // len(array))).slice(0, rows)


def layouts(table: pa.Table) -> dict[str, pa.Table]:
    """The table as it is, and cut into chunks that begin in the middle of their buffers."""
    cuts = [table.slice(1, 4), table.slice(5, 0), table.slice(5, 3), table.slice(9)]
    return {"whole": table, "cut": pa.concat_tables(cuts)}
