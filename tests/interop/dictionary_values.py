"""Categories that are not plain text: those of pandas, of any type, and those of polars, whose text is views.

    python dictionary_values.py write LIBRARY FRAME.arrow   writes the library's frame as an Arrow IPC file
    python dictionary_values.py check LIBRARY FRAME.arrow   reads one that came back, and compares
    python dictionary_values.py open LIBRARY FILE.parquet   reads the bare data file with each library, and compares

LIBRARY is `pandas` or `polars`. In the bare file, categories of pandas that are no text are a plain column.
"""

import sys
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

ROWS = 1000
CATEGORIES: dict[str, Any] = {
    "number": np.array([30, -1, 2**60, 7]),
    "small": np.array([3, 1, 2, 255], dtype="uint8"),
    "real": np.array([0.5, -2.25, 1e300, 7.0]),
    "truth": np.array([True, False]),
    "day": pd.to_datetime(["2024-03-01", "2023-01-01", "2025-12-31"]).as_unit("us"),
    "at": pd.to_datetime(["2024-03-31 02:30", "2023-01-01 00:00", "2023-01-01 00:01"], utc=True).tz_convert("Europe/Berlin").as_unit("ns"),
    "took": pd.to_timedelta([90, 5, 7], unit="s").as_unit("us"),
    "nothing": pd.Index([], dtype="object"),
}


def pandas_frame() -> pd.DataFrame:
    numbers = np.arange(ROWS)
    columns = {}
    for name, categories in CATEGORIES.items():
        # The last category is used by no row.
        used = max(len(categories) - 1, 1)
        codes = np.where(numbers % 5 == 4, -1, (numbers // 3) % used) if len(categories) else np.full(ROWS, -1)
        columns[name] = pd.Categorical.from_codes(codes, categories=categories, ordered=name == "number")
    return pd.DataFrame(columns)


def polars_frame() -> pl.DataFrame:
    words = ["żółć", "a category that is longer than twelve bytes", "", "b"]
    sparse = pl.Categories("sparse", "test", pl.UInt16)
    # Other frames of the process use the categories as well, and more of them.
    _others = pl.Series([f"unused {number}" for number in range(500)], dtype=pl.Categorical(sparse))
    chosen = [None if row % 7 == 0 else words[row * 3 % 4] for row in range(ROWS)]
    return pl.DataFrame(
        {
            "free": pl.Series(chosen, dtype=pl.Categorical),
            "sparse": pl.Series(chosen, dtype=pl.Categorical(sparse)),
            "fixed": pl.Series(chosen, dtype=pl.Enum(["unused", *reversed(words)])),
            "row": range(ROWS),
        }
    )


def write(library: str, target: str) -> None:
    if library == "polars":
        polars_frame().write_ipc(target, compat_level=pl.CompatLevel.newest())
        return
    table = pa.Table.from_pandas(pandas_frame())
    with pa.ipc.new_file(target, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)


def check(library: str, path: str) -> None:
    if library == "polars":
        found = pl.read_ipc(path)
        assert found.schema == polars_frame().schema, found.schema
        assert found.equals(polars_frame())
        return
    # Not by pandas, since pyarrow gives it categories without their time zone.
    expected = pa.Table.from_pandas(pandas_frame())
    with pa.OSFile(path) as file:
        found = pa.ipc.open_file(file).read_all()
    assert found.schema.equals(expected.schema, check_metadata=True), found.schema
    for name in expected.column_names:
        whole, wanted = found[name].combine_chunks(), expected[name].combine_chunks()
        assert whole.dictionary.equals(wanted.dictionary) and whole.indices.equals(wanted.indices), name


def open_bare(library: str, path: str) -> None:
    if library == "polars":
        expected = polars_frame()
        found = pl.read_parquet(path)
        assert found["fixed"].dtype == expected["fixed"].dtype, found.schema
        assert isinstance(found["free"].dtype, pl.Categorical), found.schema
        texts = {name: expected[name].cast(pl.String).to_list() for name in ("free", "sparse", "fixed")}
        pandas = pd.read_parquet(path)
        for name, words in texts.items():
            assert found[name].cast(pl.String).to_list() == words
            assert pq.read_table(path)[name].to_pylist() == words
            assert [None if pd.isna(word) else word for word in pandas[name]] == words
            assert [row[0] for row in duckdb.sql(f"select {name} from '{path}'").fetchall()] == words
        return
    expected = pandas_frame()
    plain = {
        name: pa.array(column.astype(column.cat.categories.dtype))
        for name, column in expected.items()
        if name not in ("number", "small", "truth", "nothing")
    }
    for name in ("number", "small", "truth"):
        values = [None if pd.isna(value) else value for value in expected[name]]
        plain[name] = pa.array(values, pa.array(expected[name].cat.categories).type)
    plain["nothing"] = pa.nulls(ROWS)
    found = pq.read_table(path)
    for name, column in plain.items():
        assert found[name].type == column.type, (name, found[name].type, column.type)
        assert found[name].combine_chunks().equals(column), name
    assert pd.read_parquet(path).shape == expected.shape
    assert pl.read_parquet(path)["real"].to_list() == plain["real"].to_pylist()
    assert pl.read_parquet(path)["at"].dtype == pl.Datetime("ns", "Europe/Berlin")
    reals = [row[0] for row in duckdb.sql(f"select real from '{path}'").fetchall()]
    assert reals == plain["real"].to_pylist()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", library, target]:
            write(library, target)
        case ["check", library, path]:
            check(library, path)
        case ["open", library, path]:
            open_bare(library, path)
        case _:
            sys.exit(__doc__)
