"""Two Prefect tasks hand a table over; the second run computes nothing; another process reads the table.

    pip install "./python[pandas,prefect]"
    python examples/prefect_frames.py          # runs the flow
    python examples/prefect_frames.py          # both tasks are cache hits
    python examples/prefect_frames.py read     # without Prefect: finds the table by its name, and reads it

It needs no server: Prefect starts one of its own for as long as a flow runs. The tables lie in the folder `.coldframe`
beside this one, or where COLDFRAME_STORE says.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import coldframe

STORE = os.environ.get("COLDFRAME_STORE") or str(Path(__file__).resolve().parent.parent / ".coldframe")


def run() -> None:
    """Runs the flow, and shows what it returned."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")
    import pandas as pd
    from prefect import flow, task
    from prefect.cache_policies import INPUTS, TASK_SOURCE

    from coldframe.prefect import ColdframeSerializer

    serializer = ColdframeSerializer(store=STORE)
    # INPUTS alone would be the same for two tasks that are called alike.
    policy = INPUTS + TASK_SOURCE

    @task(result_serializer=serializer, cache_policy=policy)
    def create_dataframe(rows: int) -> pd.DataFrame:
        print(f"create_dataframe makes {rows} rows")
        return pd.DataFrame({"col1": range(rows), "col2": [float(row) / 2 for row in range(rows)]})

    @task(result_serializer=serializer, cache_policy=policy)
    def process_dataframe(frame: pd.DataFrame) -> pd.DataFrame:
        print("process_dataframe adds col3")
        return frame.assign(col3=frame["col1"] + frame["col2"])

    @flow(result_serializer=serializer, persist_result=True)
    def frames(rows: int = 1000) -> pd.DataFrame:
        return process_dataframe(create_dataframe(rows))

    print(frames().tail(3))


def read() -> None:
    """Reads the table that the flow returned last, in a process that knows nothing of Prefect."""
    store = coldframe.Store(STORE)
    results = list(store.list("prefect/frames/process_dataframe/"))
    if not results:
        raise SystemExit(f"nothing is in {STORE} yet: run the flow first, with the same COLDFRAME_STORE")
    newest = max(results, key=lambda reference: reference.created)
    print(f"{newest}: {newest.title}, {newest.rows} rows, {newest.size} bytes")
    print(newest.get().tail(3))


if __name__ == "__main__":
    read() if sys.argv[1:] == ["read"] else run()
