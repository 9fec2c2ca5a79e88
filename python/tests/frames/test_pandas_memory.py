"""A pandas frame goes in and comes back with little memory beyond its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import gc, json, sys
import numpy as np, pandas as pd, pyarrow as pa
from coldframe.frames.pandas import assemble, prepare

ROWS = 2_000_000


def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def start_over():
    gc.collect()
    pa.default_memory_pool().release_unused()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return status("VmRSS")


def frame(rows):
    # Every second value is missing, so that nothing can be lent to Arrow without a copy.
    numbers = np.arange(rows, dtype="float64")
    numbers[::2] = np.nan
    data = {f"f{i}": numbers * i for i in range(8)}
    data["when"] = pd.DatetimeIndex(np.arange(rows).view("M8[us]")).tz_localize("UTC")
    data["null"] = pd.arrays.IntegerArray(np.arange(rows), np.arange(rows) % 2 == 0)
    data["category"] = pd.Categorical.from_codes(np.arange(rows) % 5, categories=list("abcde"))
    data["text"] = pd.array(np.arange(rows).astype(str), dtype="string[pyarrow]")
    return pd.DataFrame(data)


def batches(raw):
    done = 0
    while done < ROWS:
        with pa.ipc.open_stream(pa.py_buffer(bytes(bytearray(raw)))) as reader:
            for batch in reader:
                batch = batch.slice(0, min(batch.num_rows, ROWS - done))
                done += batch.num_rows
                yield batch


which = sys.argv[1]
if which == "prepare":
    whole = frame(ROWS)
    before = start_over()
    rows = 0
    for batch in prepare(whole).batches:
        rows += batch.num_rows
    beyond, own = status("VmHWM") - before, whole.memory_usage().sum() / 2**20
else:
    prepared = prepare(frame(100_000))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, prepared.schema) as writer:
        for batch in prepared.batches:
            writer.write_batch(batch)
    raw = sink.getvalue().to_pybytes()
    before = start_over()
    whole = assemble(prepared.schema, batches(raw), ROWS, prepared.source, None)
    peak = status("VmHWM")
    rows, beyond, own = len(whole), peak - start_over(), whole.memory_usage().sum() / 2**20
print(json.dumps({"rows": rows, "beyond": beyond, "own": own}))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from Linux' /proc")
@pytest.mark.parametrize("which", ["prepare", "assemble"])
def test_memory_beyond_the_frame_is_a_few_slices(which: str) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, which], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["rows"] == 2_000_000
    assert result["own"] > 180
    assert result["beyond"] < 60, result
