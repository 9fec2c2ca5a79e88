"""The handle that stands for a reader of batches once it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from coldframe import frames
from coldframe.errors import InputError
from coldframe.inline import Encoded
from coldframe.reference import ResultReference
from coldframe.scan import Scan

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow


class StoredBatches:
    """The record batches of a stored table, read anew each time they are asked for.

    It stands for a `pyarrow.RecordBatchReader` that a task returned, and reads like one; but as often as one likes, and
    by several at once. It has no position, and so no `read_next_batch`: `to_reader` gives a reader that has. Whatever
    takes Arrow streams takes it as well: `polars.DataFrame(batches)`.
    """

    __slots__ = ("_table",)

    def __init__(self, table: ResultReference | Encoded) -> None:
        self._table = table

    @property
    def reference(self) -> ResultReference | None:
        """Where the table lies; None if it lies in Prefect's record."""
        return self._table if isinstance(self._table, ResultReference) else None

    @property
    def schema(self) -> pyarrow.Schema:
        """The schema of the batches."""
        return frames.require("pyarrow", "to read batches").schema(self._table.scan())

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return self._table.rows or 0

    def __iter__(self) -> Iterator[pyarrow.RecordBatch]:
        return iter(self.to_reader())

    def to_reader(self) -> pyarrow.RecordBatchReader:
        """A new reader, from the first batch on."""
        return frames.require("pyarrow", "to read batches").RecordBatchReader.from_stream(self._table.scan())

    def read_all(self) -> pyarrow.Table:
        """All of it, as a table."""
        return self._table.scan().to_arrow()

    def read_pandas(self, **options: Any) -> pandas.DataFrame:
        """All of it, as a pandas DataFrame; `options` as of `pyarrow.Table.to_pandas`."""
        return self.read_all().to_pandas(**options)

    def cast(self, target_schema: pyarrow.Schema) -> pyarrow.RecordBatchReader:
        """A new reader whose batches have this schema."""
        return self.to_reader().cast(target_schema)

    def lazy(self) -> polars.LazyFrame:
        """A polars LazyFrame over the table: only the columns that a query needs are read."""
        return self._table.scan().lazy()

    def scan(self, columns: Sequence[Any] | None = None, **selection: Any) -> Scan:
        """Some columns and rows; see `ResultReference.scan`."""
        return self._table.scan(columns, **selection)

    def close(self) -> None:
        """Does nothing: there is nothing open. A RecordBatchReader has it."""

    def __enter__(self) -> StoredBatches:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.scan().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> Any:
        return self._table.scan().__arrow_c_schema__()

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredBatches, (self._table,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredBatches) and self._table == other._table

    def __hash__(self) -> int:
        table = self._table
        return hash(("StoredBatches", len(table.data) if isinstance(table, Encoded) else table))

    def __repr__(self) -> str:
        return f"StoredBatches({self._table})"


class LostBatches(StoredBatches):
    """Stands for a reader that was read, and could not be stored: whoever reads it is told, and gets no empty table."""

    __slots__ = ("_why",)

    def __init__(self, why: str) -> None:
        self._why = why

    @property
    def _table(self) -> Any:  # type: ignore[override]
        raise InputError(
            f"the batches were read to be stored, and that failed: {self._why}",
            hint="compute them again; `coldframe.prefect.put(reader)` in the task fails where it happens",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return LostBatches, (self._why,)

    def __repr__(self) -> str:
        return "LostBatches()"
