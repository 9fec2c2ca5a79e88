"""Relations of DuckDB: streamed in, and out as a relation that reads the stored table whenever it is executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coldframe.errors import WrongTypeError
from coldframe.frames.arrow import source
from coldframe.frames.prepared import Prepared

if TYPE_CHECKING:
    import duckdb

_BATCH_ROWS = 64 * 1024


def prepare(value: Any) -> Prepared:
    """A relation on its way into a store. Raises WrongTypeError for a connection, which may hold no result."""
    if type(value).__name__ != "DuckDBPyRelation":
        raise WrongTypeError(
            f"value: a DuckDB {type(value).__name__} is no relation", hint="put connection.sql('select …')"
        )
    stream = (
        value.to_arrow_reader(_BATCH_ROWS)
        if hasattr(value, "to_arrow_reader")
        else value.fetch_record_batch(_BATCH_ROWS)
    )
    found = source(value)
    found["library"] = "duckdb"
    return Prepared(source=found, stream=stream)


def relation(stream: Any, connection: duckdb.DuckDBPyConnection | None) -> duckdb.DuckDBPyRelation:
    """A relation over an object that gives an Arrow stream each time it is asked."""
    import duckdb

    return (connection or duckdb).from_arrow(stream)
