"""Fingerprints computed row by row, as the format's page tells them, without any of coldframe.

It is slow and plain on purpose: whoever writes another implementation can read every byte that is hashed. Run as a
program it writes `fixtures/fingerprint`.
"""

from __future__ import annotations

import decimal
import json
import math
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

FIXTURES = Path(__file__).parent.parent.parent / "fixtures" / "fingerprint"
_EXACT = decimal.Context(prec=100)
_UNITS = ("s", "ms", "us", "ns")
_FLOATS = {"float16": ("<e", "007e"), "float32": ("<f", "0000c07f"), "float64": ("<d", "000000000000f87f")}


def digest(data: bytes) -> bytes:
    """XXH3-128 with seed 0, in its canonical form: 16 bytes, big-endian."""
    return xxhash.xxh3_128_digest(data)


def number(value: int) -> bytes:
    """A length, count or row number: 8 bytes, little-endian."""
    return value.to_bytes(8, "little")


def text(value: str) -> bytes:
    """UTF-8 with its length before it."""
    data = value.encode()
    return number(len(data)) + data


@dataclass
class Node:
    """One node of a type: what it was given, and what is hashed of it."""

    name: str
    slots: int = 0
    streams: dict[str, bytearray] = field(default_factory=dict)
    children: list[tuple[bytes, Node]] = field(default_factory=list)

    @property
    def record(self) -> bytes:
        """What the node's digest is the hash of."""
        streams = b"".join(number(len(stream)) + digest(bytes(stream)) for stream in self.streams.values())
        children = b"".join(label + digest(child.record) for label, child in self.children)
        return text(self.name) + number(self.slots) + streams + children

    def described(self) -> dict[str, Any]:
        """All of it, for people."""
        return {
            "type": self.name,
            "slots": self.slots,
            "streams": {name: bytes(stream).hex() for name, stream in self.streams.items()},
            "children": [child.described() for _, child in self.children],
            "record": self.record.hex(),
            "digest": digest(self.record).hex(),
        }


def storage(kind: pa.DataType) -> pa.DataType:
    """The type without extensions, dictionaries and run ends around it."""
    if isinstance(kind, pa.BaseExtensionType):
        return storage(kind.storage_type)
    if isinstance(kind, (pa.DictionaryType, pa.RunEndEncodedType)):
        return storage(kind.value_type)
    return kind


def is_text(kind: pa.DataType) -> bool:
    """Whether it is text of any layout."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_binary(kind: pa.DataType) -> bool:
    """Whether it is binary of any layout and no fixed width."""
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether it is a list of any layout and no fixed length."""
    return isinstance(kind, (pa.ListType, pa.LargeListType, pa.ListViewType, pa.LargeListViewType))


def node_of(kind: pa.DataType) -> Node:
    """The node of a type, which was given nothing yet."""
    kind = storage(kind)
    nulls = {"nulls": bytearray()}
    lengths = {**nulls, "lengths": bytearray()}
    if pa.types.is_null(kind):
        return Node("null")
    if is_text(kind) or is_binary(kind):
        return Node("utf8" if is_text(kind) else "binary", streams={**lengths, "bytes": bytearray()})
    if is_list(kind):
        return Node("list", streams=lengths, children=[(b"", node_of(kind.value_type))])
    if isinstance(kind, pa.MapType):
        entries = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        return Node("list", streams=lengths, children=[(b"", node_of(entries))])
    if isinstance(kind, pa.FixedSizeListType):
        name = f"fixed_size_list({kind.list_size})"
        return Node(name, streams=nulls, children=[(b"", node_of(kind.value_type))])
    if isinstance(kind, pa.StructType):
        return Node("struct", streams=nulls, children=[(text(child.name), node_of(child.type)) for child in kind])
    if isinstance(kind, pa.UnionType):
        members = [kind.field(place) for place in range(kind.num_fields)]
        labels = [struct.pack("<b", code) for code in kind.type_codes]
        children = [
            (label + text(member.name), node_of(member.type)) for label, member in zip(labels, members, strict=True)
        ]
        return Node("union", streams={**nulls, "type ids": bytearray()}, children=children)
    return Node(flat_name(kind), streams={**nulls, "values": bytearray()})


def flat_name(kind: pa.DataType) -> str:
    """The text of a type of a fixed width."""
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_fixed_size_binary(kind):
        return f"fixed_size_binary({kind.byte_width})"
    if pa.types.is_interval(kind):
        return "interval(month_day_nano)"
    if pa.types.is_timestamp(kind):
        return f"timestamp({kind.unit})" if kind.tz is None else f"timestamp({kind.unit},{kind.tz})"
    for name, is_it in (
        ("duration", pa.types.is_duration),
        ("time32", pa.types.is_time32),
        ("time64", pa.types.is_time64),
    ):
        if is_it(kind):
            assert kind.unit in _UNITS
            return f"{name}({kind.unit})"
    names = {pa.float16(): "float16", pa.float32(): "float32", pa.float64(): "float64"}
    names |= {pa.date32(): "date32", pa.date64(): "date64"}
    return names.get(kind) or str(kind)


def take(node: Node, scalar: Any) -> None:
    """Gives the next slot to a node."""
    while isinstance(scalar, (pa.ExtensionScalar, pa.DictionaryScalar, pa.RunEndEncodedScalar)) and scalar.is_valid:
        scalar = scalar.value
    slot = node.slots
    node.slots += 1
    if node.name == "null":
        return
    kind = storage(scalar.type)
    # A union has no nulls of its own: a null in it is one of its members.
    if not scalar.is_valid and not (isinstance(kind, pa.UnionType) and scalar.type == kind):
        node.streams["nulls"] += number(slot)
        return
    if node.name in ("utf8", "binary"):
        data = scalar.as_buffer().to_pybytes()
        node.streams["lengths"] += number(len(data))
        node.streams["bytes"] += data
    elif node.name == "list":
        node.streams["lengths"] += number(len(scalar.values))
        for place in range(len(scalar.values)):
            take(node.children[0][1], scalar.values[place])
    elif node.name.startswith("fixed_size_list"):
        for place in range(kind.list_size):
            take(node.children[0][1], scalar.values[place])
    elif node.name == "struct":
        for place, (_, child) in enumerate(node.children):
            take(child, scalar[place])
    elif node.name == "union":
        code = struct.pack("<b", scalar.type_code)
        node.streams["type ids"] += code
        place = kind.type_codes.index(scalar.type_code)
        member = pa.scalar(None, kind.field(place).type) if scalar.value is None else scalar.value
        take(node.children[place][1], member)
    else:
        node.streams["values"] += value_bytes(kind, scalar)


def value_bytes(kind: pa.DataType, scalar: Any) -> bytes:
    """One value of a fixed width, as it is hashed."""
    name = flat_name(kind)
    if name == "bool":
        return b"\1" if scalar.as_py() else b"\0"
    if name in _FLOATS:
        form, not_a_number = _FLOATS[name]
        value = float(scalar.as_py())
        return bytes.fromhex(not_a_number) if math.isnan(value) else struct.pack(form, value)
    if pa.types.is_decimal(kind):
        unscaled = int(scalar.as_py().scaleb(kind.scale, _EXACT))
        return unscaled.to_bytes(16 if kind.precision <= 38 else 32, "little", signed=True)
    if pa.types.is_fixed_size_binary(kind):
        return bytes(scalar.as_py())
    if pa.types.is_interval(kind):
        return struct.pack("<iiq", *scalar.as_py())
    value = scalar.value if hasattr(scalar, "value") else scalar.as_py()
    return int(value).to_bytes(kind.bit_width // 8, "little", signed=not pa.types.is_unsigned_integer(kind))


def columns_of(table: pa.Table) -> list[Node]:
    """The node of each column, which was given all rows."""
    nodes = []
    for column in table.columns:
        node = node_of(column.type)
        for chunk in column.chunks:
            for row in range(len(chunk)):
                take(node, chunk[row])
        nodes.append(node)
    return nodes


def described(table: pa.Table) -> dict[str, Any]:
    """Every byte that is hashed for a table, and its fingerprint."""
    columns = []
    record = b"fp1" + number(table.num_rows) + number(table.num_columns)
    for name, node in zip(table.column_names, columns_of(table), strict=True):
        column = text(name) + digest(node.record)
        record += digest(column)
        columns.append({"name": name, "record": column.hex(), "digest": digest(column).hex(), "node": node.described()})
    fingerprint = f"fp1:{digest(record).hex()}"
    return {"fingerprint": fingerprint, "rows": table.num_rows, "record": record.hex(), "columns": columns}


def fingerprint(table: pa.Table) -> str:
    """The fingerprint of a table."""
    found: str = described(table)["fingerprint"]
    return found


def fingerprint_of_json(canonical: str) -> str:
    """The fingerprint of a JSON value, of which the canonical text is given."""
    return f"fp1:{digest(canonical.encode()).hex()}"


JSON_VALUES = {
    "null": "null",
    ' { "rate" : 0.50, "on" : true, "é" : [ ] } ': '{"on":true,"rate":0.5,"é":[]}',
    "[1e21, 1e19, -0.0, 1.0, 9007199254740992, 0.000001, 1e-7]": (
        "[1e+21,10000000000000000000,0,1,9007199254740992,0.000001,1e-7]"
    ),
    '{"\\ufb33":1,"\\ud83d\\ude00":2}': '{"😀":2,"\ufb33":1}',
    '"\\u0001\\n\\"\\\\\\/\\u007f€"': '"\\u0001\\n\\"\\\\/\x7f€"',
}
"""JSON texts, and the canonical text of each as RFC 8785 has it."""


def vectors() -> dict[str, pa.Table]:
    """The tables of the fixtures, small enough to be read by people."""
    from frames.arrow_samples import SAMPLES, some_null

    def group(*names: str) -> pa.Table:
        chosen = {name: array for name, array in SAMPLES.items() if name.startswith(names)}
        arrays = {name: pa.concat_arrays([some_null(array)] * 9).slice(0, 9) for name, array in chosen.items()}
        return pa.table(arrays)

    return {
        "one_column": pa.table({"town": ["Cork", None, "", "Ystad"]}),
        "no_rows": pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.list_(pa.string()))}),
        "numbers": group("bool", "float16", "float32", "float64", "int8", "int64", "uint16", "uint64", "null"),
        "times": group("date", "time32", "time64", "timestamp us", "duration ns", "month_day_nano"),
        "decimals": group("decimal"),
        "text": group("string", "large_string", "binary", "large_binary", "fixed_binary"),
        "lists": group("list", "large_list", "fixed_list"),
        "structs": group("struct", "map"),
        "encoded": group("dictionary", "run ends", "union"),
    }


def write_fixtures(folder: Path) -> None:
    """Writes each table as an Arrow file, and beside it every byte that is hashed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in vectors().items():
        with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        text = json.dumps(described(table), indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n")
    values = [
        {"text": given, "canonical": canonical, "fingerprint": fingerprint_of_json(canonical)}
        for given, canonical in JSON_VALUES.items()
    ]
    (folder / "json_values.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write_fixtures(FIXTURES)
    sys.exit()
