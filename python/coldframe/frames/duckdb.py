"""Relations of DuckDB: streamed in, and out as a relation that reads the stored table whenever it is executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coldframe.errors import InputError, UnsupportedError, WrongTypeError
from coldframe.frames.arrow import source
from coldframe.frames.duckdb_types import NO_ROOM, NO_ROOM_HINT, crossing, restored
from coldframe.frames.prepared import Prepared

if TYPE_CHECKING:
    import duckdb

    from coldframe.schema import Schema

_BATCH_ROWS = 64 * 1024


def prepare(value: Any) -> Prepared:
    """A relation on its way into a store. Raises WrongTypeError for a connection, which may hold no result."""
    if type(value).__name__ != "DuckDBPyRelation":
        raise WrongTypeError(
            f"value: a DuckDB {type(value).__name__} is no relation", hint="put connection.sql('select …')"
        )
    found = source(value)
    found["library"] = "duckdb"
    how = crossing(value.columns, value.types)
    if how.types:
        found["types"] = how.types
    if how.projection is not None:
        value = value.project(how.projection)
    return Prepared(source=found, stream=_reader(value), losses=how.losses)


def _reader(relation: Any) -> Any:
    """A stream of the relation's rows. DuckDB computes the first of them here."""
    import duckdb

    read = relation.to_arrow_reader if hasattr(relation, "to_arrow_reader") else relation.fetch_record_batch
    try:
        return read(_BATCH_ROWS)
    except duckdb.Error as error:
        told = " ".join(str(error).split())
        if NO_ROOM in told:
            # DuckDB puts the name of its exception in front.
            message = told[told.index("column `") :].removesuffix(NO_ROOM_HINT).removesuffix("; ")
            raise UnsupportedError(message, hint=NO_ROOM_HINT) from error
        raise InputError(
            f"DuckDB could not compute the relation: {told}",
            hint="mend the query, or first finish what its connection still reads",
        ) from error


def relation(
    stream: Any, connection: duckdb.DuckDBPyConnection | None, schema: Schema, source: dict[str, Any]
) -> duckdb.DuckDBPyRelation:
    """A relation over an object that gives an Arrow stream each time it is asked, with the DuckDB types of `source`.

    Raises UnsupportedError for a column of a type that DuckDB does not have or know.
    """
    import duckdb

    for name, kind in zip(schema.names, schema.types, strict=True):
        if "Float16" in kind:
            raise UnsupportedError(
                f"column `{name}`: DuckDB has no float16, and this column is {kind}",
                hint="leave it out with scan(columns=[…]), or read it with to_arrow() and cast it to float32",
            )
    types = source.get("types") if source.get("library") == "duckdb" else None
    types = types if isinstance(types, dict) else {}
    found: duckdb.DuckDBPyRelation = restored((connection or duckdb).from_arrow(stream), types)
    return found
