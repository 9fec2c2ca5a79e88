"""The schema of a stored table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coldframe import _coldframe


class Schema:
    """The columns of a table: names, Arrow types, and whether they may hold nulls.

    It has ``__arrow_c_schema__``: ``pyarrow.schema(reference.schema)`` takes it over whole. Without any library it can
    be looked at:

    >>> import coldframe, polars
    >>> reference = coldframe.Store("memory://").put("etl/trips", polars.DataFrame({"fare": [12.5]}))
    >>> reference.schema.names
    ['fare']
    >>> reference.schema["fare"]
    'Float64'
    """

    def __init__(self, native: _coldframe.Schema) -> None:
        self._native = native
        self._fields = native.fields()

    @property
    def names(self) -> list[str]:
        """The names of the columns, in their order."""
        return [name for name, _, _ in self._fields]

    @property
    def types(self) -> list[str]:
        """The Arrow types of the columns, as text."""
        return [kind for _, kind, _ in self._fields]

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> str:
        for other, kind, _ in self._fields:
            if other == name:
                return kind
        raise KeyError(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self._native == other._native

    __hash__ = None  # type: ignore[assignment]

    def __arrow_c_schema__(self) -> Any:
        return self._native.__arrow_c_schema__()

    def __repr__(self) -> str:
        from coldframe import card

        return card.schema_text(self._fields)

    def _repr_html_(self) -> str:
        from coldframe import card

        return card.schema_html(self._fields)
