"""A pandas frame that a table alone cannot hold: an index of two levels, categories, a time zone, nullable integers.

    python pandas_frame.py write KIND FRAME.arrow         writes it as an Arrow IPC file
    python pandas_frame.py check KIND FORMAT FILE         reads the bare data file and compares

KIND is `sorted`: the categories first appear in their own order; or `unsorted`: they appear in another, and one never
does. A Parquet file has no place for the order of categories but the dictionary of values that its writer made, and
coldframe's own, which pandas does not read.
"""

import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
from pandas.testing import assert_frame_equal


def make_frame(kind: str) -> pd.DataFrame:
    rows = 1000
    numbers = np.arange(rows)
    index = pd.MultiIndex.from_arrays(
        [np.array(["EWR", "JFK", "LGA"])[numbers % 3], numbers // 3], names=["origin", "number"]
    )
    codes = {"sorted": numbers % 3, "unsorted": 2 - numbers % 3}[kind]
    categories = {"sorted": ["small", "middle", "large"], "unsorted": ["small", "middle", "large", "huge"]}[kind]
    sizes = pd.Categorical.from_codes(np.where(numbers % 11 == 10, -1, codes), categories=categories, ordered=True)
    times = pd.date_range("2013-03-09 21:00", periods=rows, freq="7min", tz="America/New_York").as_unit("us")
    delays = pd.array(numbers - 500, dtype="Int64")
    delays[numbers % 7 == 0] = pd.NA
    return pd.DataFrame(
        {
            "size": sizes,
            "left": pd.Series(times).where(numbers % 13 != 0).array,
            "delay": delays,
            "distance": np.where(numbers % 5 == 0, np.nan, numbers * 0.25),
            "carrier": np.array(["UA", "żółć", "B6"], dtype=object)[numbers % 3],
        },
        index=index,
    )


def write(kind: str, target: str) -> None:
    table = pa.Table.from_pandas(make_frame(kind))
    with pa.ipc.new_file(target, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)


def check(kind: str, format: str, path: str) -> None:
    if format == "parquet":
        found = pd.read_parquet(path)
    else:
        with pa.OSFile(path) as file:
            found = pa.ipc.open_file(file).read_pandas()
    assert_frame_equal(found, make_frame(kind))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", kind, target]:
            write(kind, target)
        case ["check", kind, format, path]:
            check(kind, format, path)
        case _:
            sys.exit(__doc__)
