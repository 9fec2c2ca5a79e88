"""Runs snippets in Python and SQL as they are, and says what each of them read.

    python run_snippets.py SNIPPETS.json

SNIPPETS.json: [{"language": "Python" | "DuckDB", "code"}]; prints [[rows, sum of the column `number`], ...].
"""

import json
import sys

import duckdb
import pyarrow as pa


def read(language: str, code: str) -> pa.Table:
    if language == "DuckDB":
        return duckdb.sql(code).to_arrow_table()
    names: dict = {}
    exec(code, names)
    return names["table"] if "table" in names else pa.Table.from_pandas(names["df"])


def main(file: str) -> None:
    with open(file, encoding="utf-8") as opened:
        snippets = json.load(opened)
    tables = [read(snippet["language"], snippet["code"]) for snippet in snippets]
    print(json.dumps([[table.num_rows, sum(table["number"].to_pylist())] for table in tables]))


if __name__ == "__main__":
    main(sys.argv[1])
