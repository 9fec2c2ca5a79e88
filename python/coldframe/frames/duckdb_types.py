"""Types of DuckDB that Arrow does not know: what they travel as, and how they become the same again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# As Arrow, DuckDB gives other values for these: wrapped round, without the zone, in its own packing.
_CARRIERS = {
    "HUGEINT": "DECIMAL(38,0)",
    "UHUGEINT": "DECIMAL(38,0)",
    "TIME WITH TIME ZONE": "VARCHAR",
    "BIT": "VARCHAR",
}
# Their values are right as Arrow, and only their type is lost.
_OTHERS = ("UUID", "JSON")

NO_ROOM = "of more than 38 digits cannot be stored"
NO_ROOM_HINT = "cast the column to VARCHAR or DOUBLE"

_LONGEST = 1024
_LONGEST_OF_ALL = 8192
"""Characters of types that a reference has room for."""


@dataclass(frozen=True)
class Crossing:
    """How a relation crosses to Arrow and back."""

    projection: str | None
    """What is to be selected on the way in; None if the columns can go as they are."""
    types: dict[str, str]
    """The types to cast back to, by column."""
    losses: tuple[dict[str, str], ...]
    """The columns whose types cannot be kept."""


def crossing(columns: Iterable[str], types: Iterable[Any]) -> Crossing:
    """How columns of these DuckDB types cross: what is exact as Arrow stays as it is."""
    selected, kept, losses = [], {}, []
    room = _LONGEST_OF_ALL
    for column, kind in zip(columns, types, strict=True):
        text, carrier = str(kind), _carrier(kind)
        selected.append(quoted(column) if carrier is None else _checked(column, text, carrier))
        if carrier is None and not _holds_others(kind):
            continue
        if len(text) <= min(_LONGEST, room):
            kept[column] = text
            room -= len(text)
        else:
            loses = f"its type of {len(text)} characters ({text[:40]}…): it comes back as text or numbers"
            losses.append({"column": column, "loses": loses})
    needed = any(_carrier(kind) is not None for kind in types)
    return Crossing(", ".join(selected) if needed else None, kept, tuple(losses))


def restored(relation: Any, types: dict[str, str]) -> Any:
    """The relation with its columns cast back to these types."""
    selected, changed = [], False
    for column, kind in zip(relation.columns, relation.types, strict=True):
        wanted = types.get(column)
        if wanted is None or wanted == str(kind):
            selected.append(quoted(column))
        else:
            selected.append(f"CAST({quoted(column)} AS {wanted}) AS {quoted(column)}")
            changed = True
    return relation.project(", ".join(selected)) if changed else relation


def quoted(name: str) -> str:
    """The name of a column, as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def _checked(column: str, kind: str, carrier: str) -> str:
    """A column as another type, with an error that names it where that would be another value."""
    name = quoted(column)
    carried = f"TRY_CAST({name} AS {carrier})"
    told = f"column `{column}`: a {kind} {NO_ROOM}; {NO_ROOM_HINT}"
    text = told.replace("'", "''")
    return (
        f"CASE WHEN CAST({carried} AS {kind}) IS DISTINCT FROM {name} THEN error('{text}') ELSE {carried} END AS {name}"
    )


def _carrier(kind: Any, nested: bool = False) -> str | None:
    """The type that a column travels as; None if it can go as it is."""
    text = str(kind)
    if text in _CARRIERS:
        return _CARRIERS[text]
    if nested and kind.id == "enum":
        # Parquet has no dictionaries inside other types.
        return "VARCHAR"
    if kind.id not in ("list", "array", "struct", "map"):
        return None
    inner = {name: _carrier(child, nested=True) for name, child in _children(kind)}
    if not any(inner.values()):
        return None
    as_text = {name: inner[name] or str(child) for name, child in _children(kind)}
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quoted(name)} {child}' for name, child in as_text.items())})"
    if kind.id == "map":
        return f"MAP({as_text['key']}, {as_text['value']})"
    size = dict(kind.children)["size"] if kind.id == "array" else ""
    return f"{as_text['child']}[{size}]"


def _children(kind: Any) -> list[tuple[str, Any]]:
    """The types inside a type, by name; of an array without its size, which is a number."""
    return [(name, child) for name, child in kind.children if kind.id != "array" or name == "child"]


def _holds_others(kind: Any) -> bool:
    if kind.id == "enum" or str(kind) in _OTHERS:
        return True
    if kind.id not in ("list", "array", "struct", "map", "union"):
        return False
    return any(_holds_others(child) for name, child in _children(kind))
