"""Frames of polars: DataFrames, which share their memory, and LazyFrames, which are streamed and never collected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from coldframe.errors import MissingLibraryError, UnsupportedError
from coldframe.frames.arrow import source
from coldframe.frames.names import refuse_nul
from coldframe.frames.prepared import Prepared

if TYPE_CHECKING:
    import polars

_BATCH_ROWS = 64 * 1024
"""Rows that a LazyFrame hands over at once."""


def prepare(frame: polars.DataFrame | polars.LazyFrame) -> Prepared:
    """A DataFrame or LazyFrame on its way into a store.

    Raises UnsupportedError for columns that polars alone can hold.
    """
    import polars

    if isinstance(frame, polars.DataFrame):
        check(frame.schema)
        return Prepared(source=source(frame), stream=frame, rows=frame.height)
    if not hasattr(frame, "collect_batches"):
        raise MissingLibraryError(
            f"value: polars {polars.__version__} cannot stream a LazyFrame",
            hint='pip install "polars>=1.34", or put value.collect()',
        )
    schema = frame.collect_schema()
    check(schema)
    batches = frame.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, lazy=True, engine="streaming")
    return Prepared(source=source(frame), schema=_Empty(polars.DataFrame(schema=schema)), frames=iter(batches))


def check(schema: polars.Schema) -> None:
    """Raises UnsupportedError for columns that cannot be stored and come back, naming the column and the way out."""
    for name, kind in schema.items():
        refuse_nul([name, *_names(kind)], name)
        if _without_items(kind):
            raise UnsupportedError(
                f"column `{name}`: {kind} has items of no size, which polars does not read back",
                hint=f'put value.drop("{name}"), or cast it to a List',
            )
        found = _private(kind)
        if found is None:
            continue
        way_out = (
            f'put value.drop("{name}"), or choose serializer="pickle"'
            if found == "Object"
            else f'cast it: value.with_columns(pl.col("{name}").cast(pl.Decimal(38, 0)))'
        )
        raise UnsupportedError(f"column `{name}`: {kind} holds {found}, which only polars has", hint=way_out)


def _private(kind: Any) -> str | None:
    """The type inside `kind` that Arrow does not have."""
    base = str(kind.base_type() if hasattr(kind, "base_type") else kind)
    if base in ("Object", "Int128", "UInt128"):
        return base
    inner = getattr(kind, "inner", None)
    if inner is not None:
        return _private(inner)
    fields = getattr(kind, "fields", None) or []
    return next((found for field in fields if (found := _private(field.dtype)) is not None), None)


def _names(kind: Any) -> list[str]:
    """The names of the fields inside `kind`."""
    inner = getattr(kind, "inner", None)
    found = [] if inner is None else _names(inner)
    for field in getattr(kind, "fields", None) or []:
        found += [field.name, *_names(field.dtype)]
    return found


def _without_items(kind: Any) -> bool:
    """Whether there are arrays of no items inside `kind`."""
    if 0 in (getattr(kind, "shape", None) or ()):
        return True
    fields = getattr(kind, "fields", None) or []
    inner = [getattr(kind, "inner", None), *(field.dtype for field in fields)]
    return any(_without_items(one) for one in inner if one is not None)


class _Empty:
    """The schema of a frame without rows."""

    def __init__(self, frame: polars.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_schema__(self) -> Any:
        from coldframe import _coldframe

        schema = _coldframe.Content.from_stream(self._frame).schema
        assert schema is not None, "a stream has a schema"
        return schema.__arrow_c_schema__()


Batches = Callable[[list[str] | None, int | None, str | None], Iterator[Any]]
"""Batches of some columns, of not many more than so many rows, and a condition in SQL for the rows that are wanted;
each is None for all."""


def lazy(empty: polars.DataFrame, batches: Batches, *, filters: bool = True) -> polars.LazyFrame:
    """A LazyFrame over a stored table: only the columns and rows that a query needs are read.

    `empty` has the table's schema and no rows. With `filters`, the conditions of a query are handed to `batches` where
    they can be written in SQL.
    """
    import polars
    from polars.io.plugins import register_io_source

    from coldframe.frames.polars_conditions import condition

    def read(
        with_columns: list[str] | None,
        predicate: polars.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[polars.DataFrame]:
        # A frame without columns does not know how many rows it has.
        wanted = with_columns if with_columns != [] else empty.columns[:1]
        # Where rows are counted, they are counted before the predicate.
        where = condition(predicate, empty.schema) if filters and n_rows is None and predicate is not None else None
        left = n_rows
        for batch in batches(wanted, n_rows, where):
            frame = polars.DataFrame(batch)
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            # Also where it was handed on: what polars keeps is what polars says.
            yield frame if predicate is None else frame.filter(predicate)

    return register_io_source(read, schema=empty.schema, is_pure=True)
