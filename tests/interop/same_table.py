"""Opens the bare data files of several puts and compares each with the table that went in.

    python same_table.py CASES.json

CASES.json: {"expected": an Arrow IPC file, "cases": [{"name", "format": "parquet" | "arrow", "path"}]}
"""

import json
import sys

import duckdb
import polars as pl
import polars.testing
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

# Parquet has no type for seconds: without the Arrow schema in the footer, which pyarrow follows in other things, they are
# plain numbers.
SECONDS_IN_PARQUET = {pa.timestamp("s"): pa.int64(), pa.time32("s"): pa.int32()}
# Nor has it one for durations, and DuckDB does not look at the Arrow schema. It reads milliseconds as microseconds.
TYPES_IN_DUCKDB = {
    **SECONDS_IN_PARQUET,
    **{pa.duration(unit): pa.int64() for unit in ("s", "ms", "us", "ns")},
    pa.timestamp("ms"): pa.timestamp("us"),
}


def with_types(table: pa.Table, types: dict) -> pa.Table:
    fields = [field.with_type(types.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def without_dictionaries(table: pa.Table) -> pa.Table:
    """The same values, each dictionary column as what it stands for."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def read_with_pyarrow(case: dict) -> pa.Table:
    if case["format"] == "parquet":
        return pa.parquet.read_table(case["path"])
    with pa.memory_map(case["path"]) as file:
        return pa.ipc.open_file(file).read_all()


def assert_same_schema(found: pa.Schema, expected: pa.Schema) -> None:
    fields = {field.name: field for field in found}
    differing = [
        f"{fields.get(field.name)} instead of {field}" for field in expected if fields.get(field.name) != field
    ]
    assert found.equals(expected), f"the schema differs: {differing or (found.names, expected.names)}"


def assert_holds(found: dict | None, expected: dict | None, of: str) -> None:
    missing = {key: value for key, value in (expected or {}).items() if (found or {}).get(key) != value}
    assert not missing, f"metadata of {of} lost or changed: {missing}"


def bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats as integers of the same bits: what is not a number equals itself, and the zeros differ."""
    integers = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}.get(column.type)
    return pa.chunked_array([chunk.view(integers) for chunk in column.chunks]) if integers else column


def assert_same_values(found: pa.Table, expected: pa.Table) -> None:
    """The same values in the same order, whatever the chunks and the order of the dictionaries."""
    found, expected = (without_dictionaries(table).combine_chunks() for table in (found, expected))
    differing = [name for name in expected.column_names if not bits(found[name]).equals(bits(expected[name]))]
    assert found.num_rows == expected.num_rows and not differing, (
        f"{found.num_rows} rows, expected {expected.num_rows}; columns that differ: {differing}"
    )


def check_pyarrow(case: dict, expected: pa.Table) -> None:
    found = read_with_pyarrow(case)
    if case["format"] == "parquet":
        expected = with_types(expected, SECONDS_IN_PARQUET)
    assert_same_schema(found.schema, expected.schema)
    assert_holds(found.schema.metadata, expected.schema.metadata, "the schema")
    for position, field in enumerate(expected.schema):
        assert_holds(found.schema.field(position).metadata, field.metadata, f"field {field.name}")
    found.validate(full=True)
    assert_same_values(found, expected)


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Categories as text: two frames may number the same categories differently."""
    return frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))


def check_polars(case: dict, expected: pa.Table) -> None:
    read = pl.read_parquet if case["format"] == "parquet" else pl.read_ipc
    found = read(case["path"])
    polars.testing.assert_frame_equal(as_text(found), as_text(pl.from_arrow(expected)), check_exact=True)


def check_duckdb(case: dict, expected: pa.Table) -> None:
    """DuckDB reads Parquet itself; Arrow files it reads through pyarrow, since its own reader is an extension."""
    if case["format"] == "parquet":
        expected = with_types(expected, TYPES_IN_DUCKDB)
    with duckdb.connect() as connection:
        connection.register("expected", without_dictionaries(expected))
        if case["format"] == "parquet":
            query = "select * from read_parquet(?, hive_partitioning = false)"
            found = connection.sql(query, params=[case["path"]]).to_arrow_table()
        else:
            connection.register("found", without_dictionaries(read_with_pyarrow(case)))
            found = connection.sql("select * from found").to_arrow_table()
        wanted = connection.sql("select * from expected").to_arrow_table()
        assert_same_schema(found.schema, wanted.schema)
        assert_same_values(found, wanted)


def main(cases_file: str) -> int:
    with open(cases_file, encoding="utf-8") as file:
        cases = json.load(file)
    with pa.OSFile(cases["expected"]) as file:
        expected = pa.ipc.open_file(file).read_all()
    failures = 0
    for case in cases["cases"]:
        for check in (check_pyarrow, check_polars, check_duckdb):
            try:
                check(case, expected)
            except Exception as error:
                failures += 1
                print(f"{case['name']}: {check.__name__}: {type(error).__name__}: {error}")
    print(f"{len(cases['cases'])} files, {expected.num_rows} rows, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
