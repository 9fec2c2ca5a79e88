"""References: what a put returns, and what finds the same result again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from coldframe import _coldframe, drawing
from coldframe.errors import InvalidInputError, UnsupportedError, WrongTypeError
from coldframe.schema import Schema

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow

    from coldframe.scan import Scan
    from coldframe.store import Store


class ResultReference:
    """Key, version, storage and serializer of a result: whoever holds it gets the same result back, or a clear error.

    A put returns one. It travels as JSON (`json`, `from_json`), and by pickle. The *compact* form is below 1 KB for any
    table; what it leaves out is read from the storage when it is asked for. References are compared by value.

    >>> import coldframe
    >>> store = coldframe.Store("memory://")
    >>> reference = store.put("etl/settings", {"rate": 0.5})
    >>> reference
    ResultReference(etl/settings@1)
    >>> store.get(coldframe.ResultReference.from_json(reference.json()))
    {'rate': 0.5}
    """

    __slots__ = ("__weakref__", "_full", "_native", "_opens", "_store", "_value")

    def __init__(self, native: _coldframe.Reference, store: Store | None = None) -> None:
        self._native = native
        self._store = store
        #: The store that it was bound to when it was pickled, which is trusted already.
        self._opens: str | None = None
        self._full: dict[str, Any] | None = None
        self._value: Any = _NOTHING

    @classmethod
    def from_json(cls, text: str | bytes, store: Store | None = None) -> ResultReference:
        """Reads a reference, full or compact.

        It is read from `store`; without one only from a configured profile or from the configured default store, since
        it may come from anybody.

        Raises InvalidInputError if the text is no reference, UnsupportedError if a newer version wrote it.
        """
        if isinstance(text, (bytes, bytearray)):
            try:
                text = bytes(text).decode()
            except UnicodeDecodeError as error:
                raise InvalidInputError(f"text: it is no UTF-8, and so no JSON: {error}") from error
        if not isinstance(text, str):
            raise WrongTypeError(f"text: JSON is expected, and this is a {type(text).__qualname__}")
        return cls(_coldframe.Reference(text), store)

    def json(self) -> str:
        """The reference as JSON, without credentials."""
        return self._native.json()

    def compact(self) -> ResultReference:
        """The same reference without what was written: below 1 KB for any table."""
        compact = ResultReference(self._native.compact(), self._store)
        compact._opens = self._opens
        return compact

    @property
    def key(self) -> str:
        """The key."""
        return self._native.key

    @property
    def version(self) -> int:
        """The version of the key."""
        return self._native.version

    @property
    def storage(self) -> str | None:
        """Where the store lies, as a URL without credentials."""
        return self._native.storage

    @property
    def is_compact(self) -> bool:
        """Whether it is without what was written."""
        return self._native.is_compact

    @property
    def serializer(self) -> dict[str, Any]:
        """Name and settings of the serializer."""
        found: dict[str, Any] = self._fields()["serializer"]
        return found

    @property
    def rows(self) -> int | None:
        """The rows of a table; None for other values."""
        return self._fields().get("rows")

    @property
    def size(self) -> int:
        """The bytes of its files."""
        size: int = self._fields().get("size", 0)
        return size

    @property
    def fingerprint(self) -> str | None:
        """A hash of what the table or JSON value says; None where it was not computed. See `coldframe.fingerprint`."""
        return self._fields().get("fingerprint")

    @property
    def created(self) -> datetime:
        """When it was written, by the writer's clock."""
        return _time(self._fields()["created"])

    @property
    def expires(self) -> datetime | None:
        """When it will be refused from."""
        text = self._fields().get("expires")
        return None if text is None else _time(text)

    @property
    def title(self) -> str | None:
        """One line for people."""
        return self._fields().get("title")

    @property
    def description(self) -> str | None:
        """Some lines for people."""
        return self._fields().get("description")

    @property
    def metadata(self) -> dict[str, Any]:
        """What was attached."""
        return self._fields().get("metadata") or {}

    @property
    def source(self) -> dict[str, Any] | None:
        """The library and kind of frame that was put."""
        return self._fields().get("source")

    @property
    def lossy(self) -> list[dict[str, Any]]:
        """What the round trip loses; named before it was written."""
        return self._fields().get("lossy") or []

    @property
    def schema(self) -> Schema:
        """The schema of a table.

        Raises InvalidInputError if it is none.
        """
        schema = self._open().schema
        if schema is None:
            raise InvalidInputError("this result is not a table, and has no schema", subject=str(self))
        return Schema(schema)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a table."""
        schema = self.schema
        return self.rows or 0, len(schema)

    def get(
        self,
        columns: Sequence[Any] | None = None,
        *,
        cache: bool = False,
        check: bool = False,
        allow_pickle: bool = False,
        type: Any = None,
        progress: bool | None = None,
    ) -> Any:
        """The result, as the kind that was put; see `Store.get`.

        With `cache=True` the value is kept in this object, and the next `get(cache=True)` gives the same object, until
        `release`. By default it is read anew, so that a frame that somebody has changed is never handed out.

        Raises NotFoundError, GoneError with when and why, DamagedError; DeniedError for a reference from anybody that
        names a storage which is not configured.
        """
        if cache and columns is None and type is None and self._value is not _NOTHING:
            return self._value
        value = self.store.get(self, columns, check=check, allow_pickle=allow_pickle, type=type, progress=progress)
        if cache and columns is None and type is None:
            self._value = value
        return value

    def release(self) -> None:
        """Lets go of the value that `get(cache=True)` keeps."""
        self._value = _NOTHING

    def scan(
        self,
        columns: Sequence[Any] | None = None,
        *,
        where: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        tail: int | None = None,
        batch_rows: int | None = None,
        check: bool = False,
        progress: bool | None = None,
    ) -> Scan:
        """Some columns and rows of a table; see `Store.scan`."""
        return self.store.scan(
            self,
            columns,
            where=where,
            limit=limit,
            offset=offset,
            tail=tail,
            batch_rows=batch_rows,
            check=check,
            progress=progress,
        )

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a pandas DataFrame."""
        return self.scan().to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """The table as a polars DataFrame."""
        return self.scan().to_polars()

    def to_arrow(self) -> pyarrow.Table:
        """The table as a pyarrow table."""
        return self.scan().to_arrow()

    def to_duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
        """The table as a DuckDB relation, which reads it whenever it is executed."""
        return self.scan().to_duckdb(connection)

    def lazy(self) -> polars.LazyFrame:
        """A polars LazyFrame over the table: only the columns that a query needs are read."""
        return self.scan().lazy()

    def batches(self) -> Any:
        """The table as pyarrow record batches, read as they are taken."""
        return self.scan().batches()

    def head(self, rows: int = 5) -> Any:
        """The first rows, as the kind of frame that was put."""
        return self.scan().head(rows)

    @property
    def store(self) -> Store:
        """The store that it is read from.

        Raises DeniedError if it came from anybody and names a storage that is not configured.
        """
        if self._store is None:
            from coldframe.store import Store

            if self._opens is not None:
                if self._opens.startswith("memory:"):
                    raise UnsupportedError(
                        "the result lies in the memory of the process that put it",
                        hint="put what other processes read into a folder or an object store",
                        subject=str(self),
                    )
                self._store = Store(self._opens)
            else:
                self._store = Store._of(_coldframe.Store.of(self._native))
        return self._store

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.scan().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> Any:
        return self.schema.__arrow_c_schema__()

    def _open(self) -> _coldframe.Opened:
        return self.store._open(self)

    def _fields(self) -> dict[str, Any]:
        """The full reference's JSON; of a compact one it is read from the storage."""
        if self._full is None:
            native = self._open().reference if self._native.is_compact else self._native
            self._full = json.loads(native.json())
        return self._full

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultReference) and self._native == other._native

    def __hash__(self) -> int:
        return hash((self.key, self.version, self._native.write))

    def __reduce__(self) -> tuple[Any, ...]:
        # The store that it is bound to, and not the one that its text names: that may come from anybody.
        opens = self._opens if self._store is None else self._store._pickled_location()
        return _unpickled, (self.json(), opens)

    def __str__(self) -> str:
        return f"{self.key}@{self.version}"

    def __repr__(self) -> str:
        return f"ResultReference({self})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # Inside a list or dict, one line has to do.
        alone = len(getattr(printer, "stack", ())) <= 1
        printer.text(drawing.reference_text(self) if alone else repr(self))

    def _repr_html_(self) -> str:
        return drawing.reference_html(self)


_NOTHING = object()


def _unpickled(text: str, opens: str | None) -> ResultReference:
    reference = ResultReference.from_json(text)
    reference._opens = opens
    return reference


def _time(text: str) -> datetime:
    # Python 3.10 does not read the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
