"""Measures a large pandas frame on its way through a Prefect task, by Prefect's default serializer and by coldframe's.

    python benches/prefect_results.py [FOLDER] [DATA…] [--repeat N]

Data: numbers (5 floats, 5 small integers), mixed (6 floats, 4 integers, 2 texts), both about 1 GB. Each write, and each
read of what was written, is a process of its own: the task that makes the frame, and the same call again, a cache hit.
`write` is from when the frame exists until the task has returned; `read` is the whole call. Memory is the greatest, above
the same process before it held anything. `FOLDER` needs some gigabytes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERIALIZERS = ("pickle", "coldframe")
GIGABYTE = 1e9


def resident(field: str = "VmRSS") -> int:
    """What the process holds (VmRSS) or held at most (VmHWM), in bytes."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def make(data: str, scale: float):
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    rows = int((12_500_000 if data == "numbers" else 8_000_000) * scale)
    floats, integers = (5, 5) if data == "numbers" else (6, 4)
    columns = {f"f{i}": random.normal(size=rows) for i in range(floats)}
    columns |= {f"i{i}": random.integers(0, 1000, size=rows) for i in range(integers)}
    if data == "mixed":
        words = np.array([f"customer {i:05d}" for i in range(20_000)])
        columns |= {f"s{i}": pd.Series(words[random.integers(0, len(words), rows)], dtype="str") for i in range(2)}
    return pd.DataFrame(columns, copy=False)


def step(data: str, serializer: str, scale: float, folder: str) -> None:
    """One process: makes the frame and persists it, or reads it if it is there."""
    import pandas  # noqa: F401
    import pyarrow  # noqa: F401
    from prefect import flow, task
    from prefect.cache_policies import INPUTS

    import coldframe.prefect  # noqa: F401

    found: dict[str, float] = {}

    @task(
        cache_policy=INPUTS,
        result_serializer=serializer,
        result_storage=Path(folder),
        cache_result_in_memory=False,
        persist_result=True,
    )
    def created(data: str, scale: float):
        frame = make(data, scale)
        found["size"] = int(frame.memory_usage(deep=True).sum())
        forget_peak()
        found["began"] = time.perf_counter()
        return frame

    @flow
    def measured() -> None:
        idle = resident()
        forget_peak()
        began = time.perf_counter()
        frame = created(data, scale)
        found["seconds"] = time.perf_counter() - found.pop("began", began)
        found["memory"] = resident("VmHWM") - idle
        assert len(frame) > 0

    measured()
    print("FOUND " + json.dumps(found))


def run_step(data: str, serializer: str, scale: float, folder: str) -> dict[str, float]:
    environment = os.environ | {"COLDFRAME_BENCH_STEP": json.dumps([data, serializer, scale, folder])}
    done = subprocess.run([sys.executable, __file__], env=environment, check=True, capture_output=True, text=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("FOUND "))
    return json.loads(line.removeprefix("FOUND "))


def measure(data: str, serializer: str, scale: float, parent: str | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        write = run_step(data, serializer, scale, folder)
        read = run_step(data, serializer, scale, folder)
        records = [path.stat().st_size for path in Path(folder).iterdir() if path.is_file()]
        stored = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    assert "size" not in read, "the second call was no cache hit"
    return {
        "frame GB": write["size"] / GIGABYTE,
        "write s": write["seconds"],
        "write GB": write["memory"] / GIGABYTE,
        "read s": read["seconds"],
        "read GB": read["memory"] / GIGABYTE,
        "record B": max(records),
        "stored MB": stored / 1e6,
    }


def environment_of_prefect(folder: str) -> None:
    defaults = {
        "PREFECT_HOME": folder,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def main() -> None:
    if os.environ.get("COLDFRAME_BENCH_STEP"):
        data, serializer, scale, folder = json.loads(os.environ["COLDFRAME_BENCH_STEP"])
        step(data, serializer, scale, folder)
        return
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", nargs="?")
    arguments.add_argument("data", nargs="*", default=["numbers", "mixed"])
    arguments.add_argument("--repeat", type=int, default=1)
    arguments.add_argument("--scale", type=float, default=1.0)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as home:
        environment_of_prefect(home)
        for data in chosen.data or ["numbers", "mixed"]:
            medians: dict[str, dict[str, float]] = {}
            for serializer in SERIALIZERS:
                runs = [measure(data, serializer, chosen.scale, chosen.folder) for _ in range(chosen.repeat)]
                medians[serializer] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
                told = "  ".join(f"{name} {value:,.2f}" for name, value in medians[serializer].items())
                print(f"{data:<8} {serializer:<10} {told}", flush=True)
            ratios = {
                name: medians["pickle"][name] / medians["coldframe"][name]
                for name in ("write s", "read s", "write GB", "read GB")
            }
            print(
                f"{data:<8} {'ratio':<10} " + "  ".join(f"{name} {value:.1f}" for name, value in ratios.items()),
                flush=True,
            )


if __name__ == "__main__":
    main()
