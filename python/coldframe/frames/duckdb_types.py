"""Types of DuckDB that Arrow does not know: what they travel as, and how they become the same again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from coldframe.errors import UnsupportedError

_DECIMAL = "DECIMAL(38,0)"
_GREATEST = "9" * 38

# As Arrow, DuckDB gives other values for these: wrapped round, without the zone, in its own packing.
_CARRIERS = {
    "HUGEINT": _DECIMAL,
    "UHUGEINT": _DECIMAL,
    "TIME WITH TIME ZONE": "VARCHAR",
    "BIT": "VARCHAR",
}
# Their values are right as Arrow, and only their type is lost.
_OTHERS = ("UUID", "JSON")
_NESTED = ("list", "array", "struct", "map", "union")

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
    """How columns of these DuckDB types cross: what is exact as Arrow stays as it is.

    Raises UnsupportedError for a union that holds what Arrow does not: it can be neither cast nor checked.
    """
    selected, kept, losses, needed = [], {}, [], False
    room = _LONGEST_OF_ALL
    for position, (column, kind) in enumerate(zip(columns, types, strict=True), 1):
        text, carrier = str(kind), _carrier(kind)
        if _is_inexact_union(kind):
            raise UnsupportedError(
                f"column `{column}`: Arrow does not hold what lies in this {text[:200]}",
                hint="cast the column to VARCHAR, or take the members of the union as columns of their own",
            )
        needed = needed or carrier is not None
        # By position, because names may be there twice, and differ by case alone.
        place = f"#{position}" if carrier is None else _carried(f"#{position}", column, text, carrier)
        selected.append(f"{place} AS {quoted(column)}")
        if carrier is None and not _holds_others(kind):
            continue
        if len(text) <= min(_LONGEST, room) and _is_type(text):
            kept[column] = text
            room -= len(text)
        else:
            loses = f"its type of {len(text)} characters ({text[:40]}…): it comes back as text or numbers"
            losses.append({"column": column, "loses": loses})
    return Crossing(", ".join(selected) if needed else None, kept, tuple(losses))


def restored(relation: Any, types: Mapping[str, Any]) -> Any:
    """The relation with its columns cast back to these types.

    Raises UnsupportedError for what is no type: references come from elsewhere, and must not bring SQL along.
    """
    selected, changed = [], False
    for position, (column, kind) in enumerate(zip(relation.columns, relation.types, strict=True), 1):
        wanted = types.get(column)
        if wanted is None or wanted == str(kind):
            selected.append(f"#{position} AS {quoted(column)}")
        elif not _is_type(wanted):
            raise UnsupportedError(
                f"column `{column}`: the reference gives it a type that this DuckDB does not know",
                hint="read it with to_arrow(), or with the version of DuckDB that it was put with",
            )
        else:
            selected.append(f"CAST(#{position} AS {wanted}) AS {quoted(column)}")
            changed = True
    return relation.project(", ".join(selected)) if changed else relation


def _is_type(text: object) -> bool:
    """Whether a text is the name of a type exactly as DuckDB itself writes it, and nothing besides."""
    import duckdb

    if not isinstance(text, str):
        return False
    try:
        return str(duckdb.sqltype(text)) == text
    except duckdb.Error:
        return False


def quoted(name: str) -> str:
    """The name of a column, as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def _carried(place: str, column: str, kind: str, carrier: str) -> str:
    """A column as another type, with an error that names it where that would be another value."""
    if _DECIMAL not in carrier:
        return f"CAST({place} AS {carrier})"
    told = f"column `{column}`: a {kind} {NO_ROOM}; {NO_ROOM_HINT}"
    fails = f"error('{told.replace(chr(39), chr(39) * 2)}')"
    if carrier == _DECIMAL:
        # As exact as the check below, and ten times as fast.
        least = "0" if kind == "UHUGEINT" else f"-{_GREATEST}"
        fits = f"{place} BETWEEN {least}::{kind} AND {_GREATEST}::{kind}"
        return f"CASE WHEN {fits} THEN CAST({place} AS {carrier}) WHEN {place} IS NULL THEN NULL ELSE {fails} END"
    tried = f"TRY_CAST({place} AS {carrier})"
    return f"CASE WHEN CAST({tried} AS {kind}) IS DISTINCT FROM {place} THEN {fails} ELSE {tried} END"


def _is_inexact_union(kind: Any) -> bool:
    if kind.id == "union":
        return any(_is_inexact(child) for _, child in kind.children)
    return kind.id in _NESTED and any(_is_inexact_union(child) for _, child in _children(kind))


def _is_inexact(kind: Any) -> bool:
    return str(kind) in _CARRIERS or (kind.id in _NESTED and any(_is_inexact(child) for _, child in _children(kind)))


def _carrier(kind: Any, nested: bool = False) -> str | None:
    """The type that a column travels as; None if it can go as it is."""
    text = str(kind)
    if text in _CARRIERS:
        return _CARRIERS[text]
    if nested and kind.id == "enum":
        # Parquet has no dictionaries inside other types.
        return "VARCHAR"
    if kind.id not in _NESTED or kind.id == "union":
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
    if kind.id not in _NESTED:
        return False
    return any(_holds_others(child) for name, child in _children(kind))
