"""Opens Parquet files by their path alone, however odd that is.

    python open_paths.py FILES.json

FILES.json: [{"key", "path", "number"}]; each file has one row: column `key` holds the key, column `number` the number.
"""

import json
import sys

import duckdb
import polars as pl
import pyarrow.parquet as pq


def open_all_ways(path: str) -> dict[str, list[dict]]:
    quoted = path.replace("'", "''")
    return {
        "pyarrow": pq.read_table(path).to_pylist(),
        "polars": pl.read_parquet(path).to_dicts(),
        "duckdb": duckdb.sql(f"select * from read_parquet('{quoted}', hive_partitioning = false)")
        .to_arrow_table()
        .to_pylist(),
    }


def main(files_json: str) -> int:
    with open(files_json, encoding="utf-8") as file:
        files = json.load(file)
    failures = 0
    for entry in files:
        expected = [{"key": entry["key"], "number": entry["number"]}]
        try:
            for library, found in open_all_ways(entry["path"]).items():
                assert found == expected, f"{library} found {found}"
        except Exception as error:
            failures += 1
            print(f"{entry['key']!r} at {entry['path']}: {type(error).__name__}: {error}")
    print(f"{len(files)} files, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
