"""What the benches beside peers have in common: one measured call, processes of their own, Markdown tables."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

MEGABYTE = 1e6
STEP = "COLDFRAME_BENCH_STEP"


def resident(field: str = "VmRSS") -> int:
    """What the process holds (VmRSS) or held at most (VmHWM), in bytes."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def processor_seconds() -> float:
    """What all threads of this process have used."""
    used = os.times()
    return used.user + used.system


def busy_seconds() -> float:
    """What all processes of the machine have used since it started."""
    first = Path("/proc/stat").read_text().splitlines()[0]
    user, nice, system, _idle, _waiting, interrupts, soft, stolen = map(int, first.split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def measured(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What `work` gives, and its seconds, CPU seconds, peak memory above before, and cores that others used meanwhile."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before, busy, used, began = resident(), busy_seconds(), processor_seconds(), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    used = processor_seconds() - used
    found = {
        "seconds": seconds,
        "cpu": used,
        "peak": (resident("VmHWM") - before) / MEGABYTE,
        "others": max(0.0, busy_seconds() - busy - used) / seconds,
    }
    return result, found


def touch(table: Any) -> int:
    """Reads a byte of every page of an Arrow table: one that is mapped is in memory only then."""
    import numpy as np

    chunks = (chunk for column in table.columns for chunk in column.chunks)
    buffers = (buffer for chunk in chunks for buffer in chunk.buffers() if buffer is not None and buffer.size)
    return sum(int(np.frombuffer(buffer, np.uint8)[::4096].sum()) for buffer in buffers)


def missing(modules: Iterable[str]) -> list[str]:
    """The modules that are not installed."""
    tops = dict.fromkeys(module.partition(".")[0] for module in modules)
    return [top for top in tops if importlib.util.find_spec(top) is None]


def left_out(name: str, modules: Iterable[str]) -> bool:
    """Whether something that it needs is not installed; says so."""
    absent = missing(modules)
    if absent:
        print(f"Left out: {name}, for want of {', '.join(absent)}.")
    return bool(absent)


def imported(modules: Iterable[str]) -> float:
    """Imports them, and says how many seconds that took."""
    began = time.perf_counter()
    for module in modules:
        importlib.import_module(module)
    return time.perf_counter() - began


def alone(script: str, step: Any) -> dict[str, Any]:
    """What `script` found in a process of its own, told what to do by `STEP`; it ends with `tell`."""
    environment = os.environ | {STEP: json.dumps(step)}
    # Modules that are compiled anew would be counted in the first call, which no installed package needs.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    return json.loads(lines[-1].removeprefix("FOUND "))


def tell(found: dict[str, Any]) -> None:
    print("FOUND " + json.dumps(found), flush=True)


def size_of(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median (least–greatest)."""
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> None:
    """A Markdown table whose first `texts` columns are text, and the others numbers."""
    print("\n| " + " | ".join(columns) + " |")
    print("|" + "|".join("---" if at < texts else "--:" for at in range(len(columns))) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def print_machine(packages: Iterable[str]) -> None:
    """What the numbers belong to."""
    versions = []
    for package in packages:
        if importlib.util.find_spec(package) is not None:
            try:
                versions.append(f"{package} {importlib.metadata.version(package)}")
            except importlib.metadata.PackageNotFoundError:
                version = getattr(importlib.import_module(package), "__version__", "of unknown version")
                versions.append(f"{package} {version}")
    day = time.strftime("%Y-%m-%d")
    print(f"{day}, {os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(versions)}.")


def note(text: str) -> None:
    """Progress, which is no part of the tables."""
    print(text, file=sys.stderr, flush=True)
