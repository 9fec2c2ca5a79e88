"""Names of columns that cannot travel."""

from __future__ import annotations

from typing import Any

from coldframe.errors import UnsupportedError

_NUL = "\0"


def refuse_nul(names: list[str], column: str) -> None:
    """Raises UnsupportedError if one of the names of a column and its fields has a NUL character.

    Names go through Arrow's C interface, where a NUL ends them: what is behind it would be lost, and polars ends the
    process.
    """
    for name in names:
        if _NUL in name:
            place = f"column {column!r}" if name == column else f"column {column!r}: its field {name!r}"
            hint = "rename it: a NUL character ends a name in Arrow's C interface"
            raise UnsupportedError(f"{place}: the name has a NUL character", hint=hint)


def refuse_nul_in_schema(schema: Any) -> None:
    """The same for all columns of a pyarrow schema and the fields inside their types."""
    for field in schema:
        refuse_nul([field.name, *_inside(field.type)], field.name)


def _inside(kind: Any) -> list[str]:
    """The names of the fields inside a pyarrow type."""
    storage = getattr(kind, "storage_type", None)
    if storage is not None:
        return _inside(storage)
    value = getattr(kind, "value_type", None)
    found = [] if value is None else _inside(value)
    for at in range(kind.num_fields):
        field = kind.field(at)
        found += [field.name, *_inside(field.type)]
    return found
