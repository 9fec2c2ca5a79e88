"""Measures small results beside what else keeps them, and how the cost of a put grows.

    pip install -r benches/requirements.txt
    python benches/small.py [FOLDER] [--repeat N] [--calls N] [--frame arrow|pandas] [--only local|S3|growth]

With an S3 server whose answers come 20 ms late, from the clone's folder:

    COLDFRAME_TEST_FAR_MILLISECONDS=20 tests/servers/run python python/benches/small.py

A table of 1,000 rows and 8 columns (integers, floats, texts, times) is put under a key of its own and got from one key.
`first` is the first call of a process, which opens what it needs; modules were imported before, in the time that `import`
says. `warm` is the median of `--calls` calls after it. Both are medians of `--repeat` processes, whose order is shuffled
anew for each repeat. `×` is the time divided by that of the first line. Requests are counted by the proxy that delays.

`growth` puts tables of coldframe's own and pyarrow's Parquet in one process, not flushed to the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from measuring import STEP, alone, imported, left_out, note, print_machine, print_table, tell
from small_contenders import GROUPS, Contender, Place, read_parquet, write_parquet

SEED = 7
PACKAGES = ("coldframe", "pyarrow", "polars", "pandas", "prefect", "boto3")
CELLS = 1_000_000
#: Rows and columns: longer ones, and wider ones of as many cells.
LONGER = [(10**power, 10) for power in range(3, 7)]
WIDER = [(CELLS // columns, columns) for columns in (1, 10, 100, 1000)]
#: Of each contender, by what was done (put, get): what each process found.
Found = dict[str, dict[str, list[dict[str, float]]]]


def small_table(rows: int = 1000, columns: int = 8):
    """Integers, floats, texts and times, in turn."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(SEED)
    begin = np.datetime64("2026-01-01", "us")
    makers: list[Callable[[], Any]] = [
        lambda: random.integers(0, 10_000, rows),
        lambda: random.normal(size=rows).round(3),
        lambda: np.char.add("customer ", random.integers(0, 500, rows).astype(str)),
        lambda: begin + random.integers(0, 10**12, rows).astype("timedelta64[us]"),
    ]
    return pa.table({f"c{at}": makers[at % len(makers)]() for at in range(columns)})


def whole_numbers(rows: int, columns: int):
    """All columns alike, so that only their number differs."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(SEED)
    return pa.table({f"c{at}": random.integers(0, 10_000, rows) for at in range(columns)})


def requests() -> int:
    """How many the distant server has seen so far; 0 if there is none."""
    url = os.environ.get("COLDFRAME_TEST_STATISTICS")
    if not url:
        return 0
    with urllib.request.urlopen(f"{url}/;csv") as answer:
        header, *rows = answer.read().decode().splitlines()
    column = header.removeprefix("# ").split(",").index("req_tot")
    return int(next(row for row in rows if row.startswith("far,FRONTEND")).split(",")[column])


def timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def step(work: dict[str, Any]) -> None:
    """One process: the first put or get, and then many."""
    contender = next(each for each in GROUPS[work["group"]] if each.name == work["contender"])
    importing = imported(contender.modules)
    value = small_table()
    if work["frame"] == "pandas":
        value = value.to_pandas()
    place = Place(**work["place"])
    if work["what"] == "prepare":
        put, _ = contender.open(place)
        put("gets/table", value)
        tell({})
        return
    remote = place.endpoint is not None
    before = requests() if remote else 0
    began = time.perf_counter()
    put, get = contender.open(place)

    def call(number: int) -> object:
        return put(f"puts/{os.getpid()}-{number}", value) if work["what"] == "put" else get("gets/table")

    call(0)
    found = {"import": importing, "first": time.perf_counter() - began}
    between = requests() if remote else 0
    found["warm"] = statistics.median(timed(partial(call, number)) for number in range(1, work["calls"] + 1))
    after = requests() if remote else 0
    tell(found | {"first requests": between - before, "requests": (after - between) / work["calls"]})


def measure_group(group: str, contenders: list[Contender], place: Place, chosen: argparse.Namespace) -> Found:
    found: Found = defaultdict(lambda: defaultdict(list))
    work = {"group": group, "place": asdict(place), "frame": chosen.frame, "calls": chosen.calls}
    if place.endpoint is not None:
        work["calls"] = max(1, chosen.calls // 10)
    for contender in contenders:
        if contender.reads is None:
            alone(__file__, work | {"contender": contender.name, "what": "prepare"})
    steps = [(each.name, what) for each in contenders for what in ("put", "get") if what == "get" or not each.reads]
    order = random.Random(SEED)
    for turn in range(chosen.repeat):
        for name, what in order.sample(steps, len(steps)):
            run = alone(__file__, work | {"contender": name, "what": what})
            note(f"{turn + 1}/{chosen.repeat} {group}: {name}, {what}: {json.dumps(run)}")
            found[name][what].append(run)
    return {each.name: found[each.name] for each in contenders}


def middle(found: Found, name: str, what: str, key: str) -> float | None:
    runs = found[name].get(what)
    return statistics.median(run[key] for run in runs) if runs else None


def print_group(group: str, found: Found, *, remote: bool) -> None:
    print(f"\n### {group}")
    ours = next(iter(found))
    rows = []
    for name in found:
        row = [name]
        for what in ("put", "get"):
            for key in ("warm", "first"):
                here, ratio_to = middle(found, name, what, key), middle(found, ours, what, key)
                told = here is not None and ratio_to is not None
                row += [f"{here * 1e3:.2f}", f"{here / ratio_to:.2f}"] if told else ["–", "–"]
            if remote:
                counts = [middle(found, name, what, key) for key in ("requests", "first requests")]
                row.append(", ".join("–" if count is None else f"{count:g}" for count in counts))
        importing = middle(found, name, "get", "import")
        assert importing is not None
        rows.append([*row, f"{importing * 1e3:,.0f}"])
    columns = ["by"]
    for what in ("put", "get"):
        columns += [f"{what}, warm, ms", "×", f"{what}, first, ms", "×"]
        columns += [f"requests of a {what}, warm, first"] if remote else []
    print_table([*columns, "import, ms"], rows)


def grown(make: Callable[[int, int], Any], rows: int, columns: int, folder: Path, repeat: int) -> dict[str, float]:
    """Seconds of puts and gets, and of what pyarrow needs, of one table."""
    import coldframe

    store = coldframe.Store(folder / "store", durable=False)
    table, path = make(rows, columns), folder / f"{rows}-{columns}.parquet"
    key = f"{make.__name__}/{rows}-{columns}"
    calls: dict[str, Callable[[], Any]] = {
        "put": lambda: store.put(key, table),
        "get": lambda: store.get(key),
        "arrow put": lambda: store.put(f"{key}-arrow", table, serializer="arrow"),
        "write": lambda: write_parquet(table, path),
        "read": lambda: read_parquet(path),
    }
    seconds = {what: statistics.median([timed(call) for _ in range(repeat + 1)][1:]) for what, call in calls.items()}
    return {"rows": rows, "columns": columns, "reference": len(store.reference(key).json()), **seconds}


def growth(work: dict[str, Any]) -> None:
    """One process: tables that grow."""
    imported(("coldframe", "pyarrow.parquet", "pyarrow.dataset"))
    shapes = [(small_table, *shape) for shape in LONGER] + [(whole_numbers, *shape) for shape in WIDER]
    tell({"lines": [grown(*shape, Path(work["folder"]), work["repeat"]) for shape in shapes]})


def print_growth(lines: list[dict[str, float]]) -> None:
    for title, some in (
        ("more rows, of four kinds of columns", lines[: len(LONGER)]),
        ("more columns of integers, as many cells", lines[len(LONGER) :]),
    ):
        print(f"\n### {title}")
        whats = ("put", "write", "get", "read", "arrow put")
        rows = []
        for line in some:
            row = [f"{line['rows']:,}", f"{line['columns']:,}", *(f"{line[what] * 1e3:.2f}" for what in whats)]
            rows.append([*row, f"{line['reference']:,}"])
        columns = ["rows", "columns", "put, ms", "pyarrow write, ms", "get, ms", "pyarrow read, ms"]
        print_table([*columns, "put as `arrow`, ms", "reference, bytes"], rows, texts=0)


def installed(contenders: list[Contender]) -> list[Contender]:
    return [contender for contender in contenders if not left_out(contender.name, contender.modules)]


def run(chosen: argparse.Namespace, folder: Path) -> None:
    os.environ |= {
        "COLDFRAME_CACHE_FOLDER": str(folder / "cache"),
        "PREFECT_HOME": str(folder / "prefect-home"),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    far = os.environ.get("COLDFRAME_TEST_S3_FAR")
    for group, contenders in GROUPS.items():
        remote = group == "S3"
        if chosen.only not in ("", "S3" if remote else "local"):
            continue
        if remote and not far:
            print("S3 is left out: COLDFRAME_TEST_S3_FAR names no server. See --help.")
            continue
        late = os.environ.get("COLDFRAME_TEST_FAR_MILLISECONDS", "50")
        title = f"S3, each answer {late} ms late" if remote else group
        scratch = tempfile.mkdtemp(dir=folder)
        found = measure_group(group, installed(contenders), Place(scratch, far if remote else None), chosen)
        print_group(title, found, remote=remote)
    if chosen.only in ("", "growth"):
        print_growth(alone(__file__, {"folder": str(folder), "repeat": chosen.repeat})["lines"])


def main() -> None:
    if os.environ.get(STEP):
        work = json.loads(os.environ[STEP])
        step(work) if "what" in work else growth(work)
        return
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", nargs="?", help="decides which disk is measured")
    arguments.add_argument("--repeat", type=int, default=5)
    arguments.add_argument("--calls", type=int, default=200, help="warm calls of a process, a tenth of them on S3")
    arguments.add_argument("--frame", choices=("arrow", "pandas"), default="arrow", help="what is put and got")
    arguments.add_argument("--only", choices=("local", "S3", "growth"), default="")
    chosen = arguments.parse_args()
    print_machine(PACKAGES)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        run(chosen, Path(folder))


if __name__ == "__main__":
    main()
