"""Some columns and rows of a stored table, in whatever library they are wanted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from coldframe import frames
from coldframe.errors import (
    ColdframeError,
    ColumnNotFoundError,
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
)
from coldframe.progress import Progress
from coldframe.schema import Schema

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow

    from coldframe import _coldframe


class Scan:
    """Some columns and rows of a stored table. Nothing is read before they are asked for.

    It gives Arrow streams itself (``__arrow_c_stream__``), so that polars, pyarrow, DuckDB and others take it as it is,
    as often as they like:

    >>> import coldframe, polars
    >>> store = coldframe.Store("memory://")
    >>> reference = store.put("etl/trips", polars.DataFrame({"fare": [12.5, 7.0], "tip": [1, 0]}))
    >>> polars.DataFrame(store.scan("etl/trips", columns=["fare"])).shape
    (2, 1)

    With `where` it has only the rows for which a condition holds, written as in SQL; see `Store.scan`.

    What is read is checked; a damaged file raises DamagedError, or in a stream the consumer's own error. Of an
    uncompressed Arrow file on a local disk, which belongs to this user and which nobody else may write to, only the
    structure is checked and nothing is read before it is used, unless the scan was made with `check=True`.
    """

    def __init__(
        self,
        opener: Callable[[], _coldframe.Opened],
        name: str,
        *,
        columns: Sequence[Any] | None = None,
        where: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        tail: int | None = None,
        batch_rows: int | None = None,
        check: bool = False,
        progress: bool | None = None,
        again: Callable[[_coldframe.Opened], Any] | None = None,
    ) -> None:
        if isinstance(columns, (str, bytes)):
            raise InvalidInputError(f"columns: {columns!r} is one name, not several", hint=f"columns=[{columns!r}]")
        if where is not None and not isinstance(where, str):
            raise InvalidInputError(
                f"where: {type(where).__name__} is no condition", hint="""write it as text: where="fare > 10\""""
            )
        for what, rows in (("limit", limit), ("offset", offset), ("tail", tail), ("batch_rows", batch_rows)):
            if rows is not None and (not isinstance(rows, int) or rows < 0):
                raise InvalidInputError(f"{what}: {rows!r} is no number of rows")
        if batch_rows == 0:
            raise InvalidInputError("batch_rows: a batch of no rows would never come to an end")
        if tail is not None and (limit is not None or offset):
            raise InvalidInputError("tail: the last rows cannot be combined with limit or offset")
        self._opener = opener
        self._opened: _coldframe.Opened | None = None
        self._process = os.getpid()
        self._name = name
        self._columns = None if columns is None else list(columns)
        self._where = where
        self._limit = limit
        self._offset = offset
        self._tail = tail
        self._batch_rows = batch_rows
        self._check = check
        self._progress = progress
        #: What may be pickled, and scanned in another process.
        self._again = again

    def __reduce__(self) -> tuple[Any, ...]:
        if self._again is None:
            raise UnsupportedError("this scan belongs to this process", hint="pickle the reference, and scan it there")
        selection = {
            "where": self._where,
            "limit": self._limit,
            "offset": self._offset,
            "tail": self._tail,
            "batch_rows": self._batch_rows,
            "check": self._check,
        }
        return _scanned, (self._again(self._open()), self._columns, selection)

    def __repr__(self) -> str:
        from coldframe import card

        columns = None if self._columns is None else [str(column) for column in self._columns]
        return card.scan_text(
            {
                "result": self._name,
                "columns": columns,
                "where": self._where,
                "offset": self._offset,
                "limit": self._limit,
                "tail": self._tail,
            }
        )

    def _open(self) -> _coldframe.Opened:
        # What was opened before a fork belongs to the parent.
        if self._opened is None or self._process != os.getpid():
            opened = self._opener()
            if opened.kind != "table":
                raise InvalidInputError(
                    f"this result is not a table but {_spoken(opened.kind)}",
                    hint="read it with `get`",
                    subject=self._name,
                )
            self._opened, self._process = opened, os.getpid()
        return self._opened

    def _names(self) -> list[str] | None:
        """The stored names of the columns that were asked for."""
        if self._columns is None:
            return None
        if all(isinstance(column, str) for column in self._columns):
            known = Schema(self._schema()).names
            for at, column in enumerate(self._columns):
                if column not in known:
                    raise no_such_column(column, known, self._name)
                if column in self._columns[:at]:
                    hint = "name each column once"
                    raise InvalidInputError(
                        f"column `{column}` is asked for twice", hint=hint, operation="scan", subject=self._name
                    )
            return self._columns
        return self._stored_columns(*self._pandas(), index=False)

    def _stored_columns(self, schema: pyarrow.Schema, source: dict[str, Any], *, index: bool) -> list[str]:
        """The stored names of the labels that were asked for, with `index` those of a pandas index as well."""
        from coldframe.frames.pandas import stored_columns

        try:
            return stored_columns(schema, source, self._columns or [], index=index)
        except ColdframeError as error:
            error.operation, error.subject = "scan", self._name
            raise

    def _pandas(self) -> tuple[pyarrow.Schema, dict[str, Any]]:
        pyarrow = frames.require("pyarrow", "to read pandas frames")
        return pyarrow.schema(self._schema()), self._source()

    def _schema(self) -> _coldframe.Schema:
        schema = self._open().schema
        assert schema is not None, "what is opened here is a table"
        return schema

    def _source(self) -> dict[str, Any]:
        import json

        source: dict[str, Any] | None = json.loads(self._open().reference.json()).get("source")
        return source or {}

    def _selection(self, columns: list[str] | None) -> Selection:
        return Selection(columns, self._where, self._offset, self._limit, self._tail, self._batch_rows, self._check)

    def _collect(self) -> _coldframe.Table:
        opened = self._open()
        with _columns_told(), Progress(f"get {self._name}", self._rows(), self._progress) as progress:
            return opened.collect(self._selection(self._names()), progress)

    def _rows(self) -> int | None:
        """How many rows will come; None where only the data tells."""
        if self._where is not None:
            return None
        total = self._open().rows or 0
        if self._tail is not None:
            return min(self._tail, total)
        left = max(total - self._offset, 0)
        return left if self._limit is None else min(left, self._limit)

    def _first_row(self) -> int | None:
        """The number of the first row that will come, counted from 0; None where rows between are left out."""
        rows = self._rows()
        if rows is None:
            return None
        return self._offset if self._tail is None else (self._open().rows or 0) - rows

    @property
    def schema(self) -> Schema:
        """The schema of the columns that were asked for."""
        return Schema(self._batches(self._names(), limit=0).schema)

    @property
    def shape(self) -> tuple[int | None, int]:
        """Rows and columns; with `where`, None for the rows, which only the data tells."""
        return self._rows(), len(self.schema)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._batches(self._names()).__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> Any:
        return self.schema.__arrow_c_schema__()

    def _batches(
        self, columns: list[str] | None, limit: int | None = None, where: str | None = None
    ) -> _coldframe.Batches:
        """Batches of these columns; `limit` and `where` narrow what was asked for.

        Of the last rows that `where` keeps, all may come though `limit` is less, if it is not 0. `where` is for a scan
        that counts no rows.
        """
        selection = self._selection(columns)
        if where is not None:
            selection.where = where if selection.where is None else f"({selection.where}\n) AND ({where})"
        if limit == 0:
            selection.offset, selection.limit, selection.tail = 0, 0, None
        elif limit is not None and selection.tail is None:
            selection.limit = limit if selection.limit is None else min(limit, selection.limit)
        elif limit is not None and (first := self._first_row()) is not None:
            # The first of the last rows are rows by their number.
            kept = min(limit, self._rows() or 0)
            selection.offset, selection.limit, selection.tail = first, kept, None
        with _columns_told():
            return self._open().batches(selection)

    def _each(
        self, columns: list[str] | None, limit: int | None = None, where: str | None = None
    ) -> Iterator[_coldframe.Batch]:
        batches = self._batches(columns, limit, where)
        while (batch := batches.next()) is not None:
            yield batch

    def batches(self) -> Iterator[pyarrow.RecordBatch]:
        """The rows as pyarrow record batches of at most 65,536 rows, read as they are taken.

        >>> import coldframe, pyarrow
        >>> store = coldframe.Store("memory://")
        >>> reference = store.put("etl/trips", pyarrow.table({"fare": [12.5, 7.0]}))
        >>> sum(batch.num_rows for batch in store.scan("etl/trips").batches())
        2
        """
        otherwise = "hand the scan itself to a library that takes Arrow streams"
        library = frames.require("pyarrow", "for `batches()`", otherwise)
        for batch in self._each(self._names()):
            yield library.record_batch(batch)

    def to_arrow(self) -> pyarrow.Table:
        """The rows as a pyarrow table. What lies uncompressed on a local disk is mapped, not copied."""
        library = frames.require("pyarrow", "for `to_arrow()`", "use `to_polars()`")
        # `pyarrow.table` would import pandas, to see whether this is one of its frames.
        table: pyarrow.Table = library.RecordBatchReader.from_stream(self._collect()).read_all()
        return table

    def to_polars(self) -> polars.DataFrame:
        """The rows as a polars DataFrame."""
        library = frames.require("polars", "for `to_polars()`", "use `to_arrow()`")
        frame: polars.DataFrame = library.DataFrame(self._collect())
        return frame

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame.

        What pandas put comes back with its index, dtypes, labels and attributes. Integers and booleans of other
        libraries become pandas' nullable ones where they hold nulls, and objects inside lists, structs and maps, so
        that no value changes. A null among floats becomes NaN, as pandas has it, also beside a real NaN.

        With `where`, the rows that remain are in memory twice for a moment, and where the index was a RangeIndex they
        are numbered anew.
        """
        frames.require("pandas", "for `to_pandas()`", "use `to_arrow()`")
        library = frames.require("pyarrow", "for `to_pandas()`", "use `to_polars()`")
        from coldframe.frames.pandas import assemble

        names, (schema, source) = None, self._pandas()
        if self._columns is not None:
            names = self._stored_columns(schema, source, index=True)
            schema = library.schema([schema.field(name) for name in names], metadata=schema.metadata)
        rows, read = self._rows(), 0
        with Progress(f"get {self._name}", rows, self._progress) as progress:

            def taken() -> Iterator[pyarrow.RecordBatch]:
                nonlocal read
                stored = 0
                for batch in self._each(names):
                    rebuilt = library.record_batch(batch)
                    read += rebuilt.num_rows
                    stored += rebuilt.nbytes
                    yield rebuilt
                    progress(read, stored)

            batches: Iterable[pyarrow.RecordBatch] = taken()
            if rows is None:
                batches = list(batches)
                rows = sum(batch.num_rows for batch in batches)
            return assemble(schema, batches, rows, source, names, self._first_row(), self._open().rows)

    def to_duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
        """The rows as a DuckDB relation, of the default connection unless one is given.

        Each execution of the relation reads the stored rows again; nothing is kept in memory. Types that Arrow does
        not know (HUGEINT, ENUM, UUID, BIT, …) are cast back to what was put. Raises UnsupportedError for a float16.
        """
        frames.require("duckdb", "for `to_duckdb()`", "use `to_arrow()`")
        from coldframe.frames.duckdb import relation

        # Else a wrong column would be told by DuckDB, in its own words.
        self._names()
        self._open()
        return relation(self, connection, self.schema, self._source())

    def lazy(self) -> polars.LazyFrame:
        """A polars LazyFrame over the stored rows: only the columns and the first rows that a query needs are read.

        What a query filters by comparisons of columns with values is handed on, as if it were `where`, so that row
        groups without such rows are not read. The rows that come are those that polars keeps, in any case.

        >>> import coldframe, polars
        >>> store = coldframe.Store("memory://")
        >>> reference = store.put("etl/trips", polars.DataFrame({"fare": [12.5, 7.0], "tip": [1, 0]}))
        >>> reference.lazy().select(polars.col("fare").sum()).collect().item()
        19.5
        """
        polars = frames.require("polars", "for `lazy()`", "use `to_arrow()`")
        from coldframe.frames.polars import lazy

        names = self._names()
        empty = polars.DataFrame(self._batches(names, limit=0))

        def batches(columns: list[str] | None, rows: int | None, where: str | None) -> Iterator[_coldframe.Batch]:
            return self._each(names if columns is None else columns, rows, where)

        counted = self._limit is not None or self._offset or self._tail is not None
        return lazy(empty, batches, filters=not counted)

    def head(self, rows: int = 5) -> Any:
        """The first rows, as the kind of frame that was put."""
        limit = rows if self._limit is None else min(rows, self._limit)
        if self._tail is not None:
            raise InvalidInputError("head: the first of the last rows cannot be read", hint="take them from the frame")
        narrowed = Scan(
            self._open,
            self._name,
            columns=self._columns,
            where=self._where,
            limit=limit,
            offset=self._offset,
            check=self._check,
            progress=self._progress,
            again=self._again,
        )
        return narrowed.frame(eager=True)

    def frame(self, *, eager: bool = False) -> Any:
        """The rows as the kind of frame that was put: pandas, polars, pyarrow or DuckDB.

        A LazyFrame comes back as a LazyFrame, or with `eager` as a DataFrame. What no known library put comes back as a
        pyarrow table, or as a polars DataFrame where there is no pyarrow.
        """
        source = self._source()
        kind = (source.get("library"), source.get("kind"))
        if kind[0] == "pandas" and (eager or kind[1] != "RecordBatchReader"):
            return self.to_pandas()
        if kind[0] == "polars":
            return self.lazy() if kind[1] == "LazyFrame" and not eager else self.to_polars()
        if kind[0] == "duckdb":
            return self.to_duckdb()
        if kind in (("pyarrow", "RecordBatchReader"), ("pandas", "RecordBatchReader")) and not eager:
            return frames.require("pyarrow", "to read this result").RecordBatchReader.from_stream(self)
        if kind == ("pyarrow", "RecordBatch"):
            return self._one_batch()
        if kind[0] != "pyarrow" and not frames.is_installed("pyarrow") and frames.is_installed("polars"):
            return self.to_polars()
        return self.to_arrow()

    def _one_batch(self) -> pyarrow.RecordBatch:
        table = self.to_arrow().combine_chunks()
        batches = table.to_batches()
        if len(batches) == 1:
            return batches[0]
        pyarrow = frames.require("pyarrow", "to read this result")
        if table.num_rows == 0:
            from coldframe.frames.arrow import without_rows

            return without_rows(table)
        return pyarrow.record_batch(table.to_struct_array().combine_chunks())


def _scanned(what: Any, columns: list[Any] | None, selection: dict[str, Any]) -> Scan:
    scan: Scan = what.scan(columns, **selection)
    return scan


class Selection:
    """Which columns and rows the native part is to read."""

    __slots__ = ("batch_rows", "check", "columns", "limit", "offset", "tail", "where")

    def __init__(
        self,
        columns: list[str] | None,
        where: str | None,
        offset: int,
        limit: int | None,
        tail: int | None,
        batch_rows: int | None,
        check: bool,
    ) -> None:
        self.columns = columns
        self.where = where
        self.offset = offset
        self.limit = limit
        self.tail = tail
        self.batch_rows = batch_rows
        self.check = check


def no_such_column(column: str, known: Sequence[str], result: str) -> ColumnNotFoundError:
    """The error for a column that is not there, with the one that was probably meant."""
    import difflib

    near = difflib.get_close_matches(column, known, 1)
    listed = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    hint = f"did you mean `{near[0]}`?" if near else f"the columns are: {listed}"
    return ColumnNotFoundError(f"there is no column `{column}`", hint=hint, operation="scan", subject=result)


@contextlib.contextmanager
def _columns_told() -> Iterator[None]:
    """Lets an error say that a column is missing, where it is one of the condition's and nothing else is."""
    try:
        yield
    except NotFoundError as error:
        if type(error) is NotFoundError and error.message.startswith("there is no column `"):
            raise ColumnNotFoundError(
                error.message, hint=error.hint, operation=error.operation, subject=error.subject
            ) from None
        raise


def _spoken(kind: str) -> str:
    return {"json": "a JSON value", "literal": "a literal"}.get(kind, kind)
