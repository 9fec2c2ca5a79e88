"""Measures the peak memory of puts and gets, each in a process of its own, above what the frames themselves take.

    python benches/memory.py [FOLDER] [CASE…]

Cases: pandas, strings, arrow, reader, reader of 1 GB, reader of 10 GB, lazy. `FOLDER` needs some gigabytes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MEGABYTE = 1e6


def resident(field: str = "VmRSS") -> float:
    """What the process holds (VmRSS) or held at most (VmHWM), in bytes."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{field}:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) * 1024


def measure(what: str, work: Callable[[], object], held: float = 0.0) -> object:
    """Runs `work` and prints its time, and its peak above what was resident before; `held` bytes more are its result's."""
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    extra = (resident("VmHWM") - before - held) / MEGABYTE
    print(f"{what:<28} {seconds:6.2f} s   {extra:8.0f} MB above the frames", flush=True)
    return result


def numbers(rows: int):
    """A pandas frame of eight numeric columns."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    columns = {f"f{i}": random.normal(size=rows).round(3) for i in range(4)}
    columns |= {f"i{i}": random.integers(0, 10_000, size=rows) for i in range(4)}
    return pd.DataFrame(columns)


def texts(rows: int):
    """A pandas frame with texts, a category and times."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    names = np.array([f"customer {i:06d}" for i in range(50_000)])
    return pd.DataFrame(
        {
            "name": pd.Series(names[random.integers(0, len(names), rows)], dtype="str"),
            "city": pd.Categorical.from_codes(random.integers(0, 3, rows), ["Oslo", "Rome", "Lima"]),
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(random.integers(0, 10**9, rows), unit="ms"),
            "fare": random.normal(size=rows),
        }
    )


def pandas_case(folder: str, make: Callable[[int], object], rows: int, serializer: str) -> None:
    import coldframe

    frame = make(rows)
    size = int(frame.memory_usage(deep=True).sum())  # type: ignore[attr-defined]
    print(f"a pandas frame of {size / MEGABYTE:,.0f} MB, {serializer}")
    store = coldframe.Store(folder, durable=False)
    store.put("warm", frame.head(1000), serializer=serializer)  # type: ignore[attr-defined]
    store.get("warm")
    reference = measure("put", lambda: store.put("bench", frame, serializer=serializer))
    del frame
    back = measure("get", lambda: reference.get(), held=size)  # type: ignore[attr-defined]
    assert len(back) == rows  # type: ignore[arg-type]


def long_reader(rows: int):
    """A reader of two columns that makes its batches as they are taken."""
    import numpy as np
    import pyarrow as pa

    schema = pa.table({"a": [1], "b": [1.5]}).schema
    batch_rows = 65_536

    def batches():
        random = np.random.default_rng(7)
        for _ in range(rows // batch_rows):
            values = {"a": random.integers(0, 10**6, batch_rows), "b": random.normal(size=batch_rows)}
            yield pa.record_batch(values, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def told_peak() -> None:
    print(f"{'the process holds at most':<28} {resident('VmHWM') / MEGABYTE:20,.0f} MB", flush=True)


def reader_case(folder: str, rows: int) -> None:
    import coldframe

    print(f"a RecordBatchReader of {rows * 16 / MEGABYTE:,.0f} MB")
    store = coldframe.Store(folder, durable=False)
    reference = measure("put", lambda: store.put("bench", long_reader(rows)))
    told_peak()
    measure("batches()", lambda: sum(batch.num_rows for batch in reference.batches()))  # type: ignore[attr-defined]
    told_peak()


def lazy_case(folder: str, rows: int) -> None:
    # Written by another process, whose leftovers would count here.
    run_alone("prepare", folder)
    import polars as pl

    import coldframe

    store = coldframe.Store(folder, durable=False)
    part = next(Path(folder).rglob("*.parquet"))
    print(f"a LazyFrame of {rows * 16 / MEGABYTE:,.0f} MB, over a Parquet file")
    frame = pl.scan_parquet(part).with_columns(c=pl.col("b").sqrt()).drop("b")
    measure("put", lambda: store.put("again", frame))
    told_peak()


def prepare(folder: str, rows: int) -> None:
    import coldframe

    coldframe.Store(folder, durable=False).put("bench", long_reader(rows))


def run_alone(case: str, folder: str) -> None:
    environment = os.environ | {"COLDFRAME_BENCH_CASE": case}
    subprocess.run([sys.executable, __file__, folder], env=environment, check=True)


CASES: dict[str, Callable[[str], None]] = {
    "pandas": lambda folder: pandas_case(folder, numbers, 16_000_000, "parquet"),
    "strings": lambda folder: pandas_case(folder, texts, 20_000_000, "parquet"),
    "arrow": lambda folder: pandas_case(folder, numbers, 16_000_000, "arrow"),
    "reader": lambda folder: reader_case(folder, 312_500_000),
    "reader of 1 GB": lambda folder: reader_case(folder, 62_500_000),
    "reader of 10 GB": lambda folder: reader_case(folder, 625_000_000),
    "lazy": lambda folder: lazy_case(folder, 312_500_000),
    "prepare": lambda folder: prepare(folder, 312_500_000),
}


def main() -> None:
    if os.environ.get("COLDFRAME_BENCH_CASE"):
        CASES[os.environ["COLDFRAME_BENCH_CASE"]](sys.argv[1])
        return
    chosen = sys.argv[2:] or [case for case in CASES if case != "prepare"]
    for case in chosen:
        with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
            run_alone(case, folder)


if __name__ == "__main__":
    main()
