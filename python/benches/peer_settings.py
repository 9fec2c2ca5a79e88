"""What `peers.py` measures: how each library writes a table, reads it whole, and reads some of its rows."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer_tables import Condition


@dataclass(frozen=True)
class Setting:
    """`write` takes an Arrow table, or a pandas frame if `pandas`; modules are imported before the clock starts."""

    name: str
    modules: tuple[str, ...]
    write: Callable[[Any, Path], object]
    read: Callable[[Path], Any]
    some: Callable[[Path, Condition], Any] | None = None
    pandas: bool = False

    @property
    def is_ours(self) -> bool:
        return self.name.startswith("coldframe")


def filters(condition: Condition) -> list[tuple[str, str, Any]]:
    """As pyarrow takes them."""
    low, high = condition.bounds()
    if low == high:
        return [(condition.column, "==", low)]
    return [(condition.column, ">=", low), (condition.column, "<=", high)]


def coldframe_setting(serializer: str) -> Setting:
    def store(path: Path):
        import coldframe

        return coldframe.Store(path, durable=False)

    return Setting(
        f"coldframe `{serializer}`",
        ("coldframe", "coldframe.frames.arrow", "pyarrow"),
        lambda table, path: store(path).put("peers", table, serializer=serializer),
        lambda path: store(path).scan("peers").to_arrow(),
        lambda path, condition: store(path).scan("peers", where=condition.sql()).to_arrow(),
    )


def pyarrow_parquet(name: str, **options: Any) -> Setting:
    def write(table, path: Path) -> None:
        from pyarrow import parquet

        parquet.write_table(table, path, **options)

    def read(path: Path, condition: Condition | None = None):
        from pyarrow import parquet

        return parquet.read_table(path, filters=None if condition is None else filters(condition))

    return Setting(f"pyarrow Parquet, {name}", ("pyarrow.parquet", "pyarrow.dataset"), write, read, read)


def pyarrow_ipc(name: str, compression: str | None = None, *, mapped: bool = False) -> Setting:
    def write(table, path: Path) -> None:
        import pyarrow as pa

        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema, options=options) as writer:
            writer.write_table(table)

    def read(path: Path):
        import pyarrow as pa

        return pa.ipc.open_file((pa.memory_map if mapped else pa.OSFile)(str(path))).read_all()

    def some(path: Path, condition: Condition):
        from pyarrow import dataset, parquet

        expression = parquet.filters_to_expression(filters(condition))
        return dataset.dataset(path, format="ipc").to_table(filter=expression)

    modules = ("pyarrow.ipc", "pyarrow.dataset", "pyarrow.parquet")
    return Setting(f"pyarrow IPC, {name}", modules, write, read, None if mapped else some)


def polars_parquet(compression: Any) -> Setting:
    def write(table, path: Path) -> None:
        import polars as pl

        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        frame.write_parquet(path, compression=compression)

    def read(path: Path):
        import polars as pl

        return pl.read_parquet(path)

    def some(path: Path, condition: Condition):
        import polars as pl

        low, high = condition.bounds()
        column = pl.col(condition.column)
        chosen = column == low if low == high else (column >= low) & (column <= high)
        return pl.scan_parquet(path).filter(chosen).collect()

    return Setting(f"polars Parquet, {compression}", ("polars", "pyarrow"), write, read, some)


def duckdb_parquet(compression: str) -> Setting:
    def write(table, path: Path) -> None:
        import duckdb

        connection = duckdb.connect()
        connection.register("result", table)
        connection.execute(f"COPY result TO '{path}' (FORMAT parquet, COMPRESSION {compression})")

    def read(path: Path, condition: Condition | None = None):
        import duckdb

        where = "" if condition is None else f" WHERE {condition.sql()}"
        return duckdb.connect().sql(f"FROM read_parquet('{path}'){where}").to_arrow_table()

    return Setting(f"DuckDB Parquet, {compression}", ("duckdb", "pyarrow"), write, read, read)


def pandas_parquet() -> Setting:
    def read(path: Path, condition: Condition | None = None):
        import pandas as pd

        return pd.read_parquet(path, filters=None if condition is None else filters(condition))

    modules = ("pandas", "pyarrow.parquet", "pyarrow.dataset")
    return Setting("pandas to_parquet", modules, lambda frame, path: frame.to_parquet(path), read, read, pandas=True)


def pickled(name: str, *, pandas: bool) -> Setting:
    def write(value: object, path: Path) -> None:
        with path.open("wb") as file:
            pickle.dump(value, file, protocol=5)

    def read(path: Path):
        with path.open("rb") as file:
            return pickle.load(file)

    return Setting(f"pickle, {name}", ("pandas", "pyarrow") if pandas else ("pyarrow",), write, read, pandas=pandas)


ALL = [
    *map(coldframe_setting, ("parquet(fast)", "parquet", "parquet(small)", "arrow/lz4", "arrow")),
    pyarrow_parquet("snappy"),
    pyarrow_parquet("zstd", compression="zstd"),
    pyarrow_ipc("none"),
    pyarrow_ipc("none, mapped", mapped=True),
    pyarrow_ipc("lz4", "lz4"),
    polars_parquet("zstd"),
    polars_parquet("lz4"),
    duckdb_parquet("zstd"),
    pandas_parquet(),
    pickled("pyarrow table", pandas=False),
    pickled("pandas frame", pandas=True),
]
SETTINGS = {setting.name: setting for setting in ALL}
