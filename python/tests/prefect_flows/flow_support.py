"""Flows for tests: where their results lie, which frames they return, what they log, and what reads of them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.settings import get_current_settings

import coldframe
from coldframe.prefect import ColdframeSerializer

LIMIT = 120
"""Seconds until a child counts as hung. Nothing waits that long unless it is broken."""


class Place:
    """A store and a folder for Prefect's records, both empty."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / "results"
        self.store = coldframe.Store(folder / "store", durable=False, cache=False)
        self.location = str(folder / "store")

    def serializer(self, **settings: Any) -> ColdframeSerializer:
        return ColdframeSerializer(store=self.location, **settings)

    def kept(self, **more: Any) -> dict[str, Any]:
        """The options of a task or flow whose result is persisted here."""
        kept = {"persist_result": True, "result_serializer": self.serializer(), "result_storage": self.results}
        return {**kept, **more}

    def cached(self, **more: Any) -> dict[str, Any]:
        """The options of a task that runs again only for other inputs."""
        return self.kept(**{"cache_policy": INPUTS + TASK_SOURCE, **more})

    def references(self) -> list[coldframe.ResultReference]:
        """What is stored: the newest version of each key."""
        return list(self.store.list())

    def only(self) -> coldframe.ResultReference:
        """What is stored, where that is one."""
        (reference,) = self.references()
        return reference

    def records(self) -> list[Path]:
        """Prefect's records."""
        return sorted(path for path in self.results.rglob("*") if path.is_file())

    def data_files(self) -> list[Path]:
        """The files with the rows of what is stored."""
        return sorted(path for path in Path(self.location, "data").rglob("*") if path.is_file())


def table(rows: int = 3, start: int = 0) -> pyarrow.Table:
    return pyarrow.table({"row": range(start, start + rows), "name": [f"row {row}" for row in range(rows)]})


def reader(rows: int = 3, start: int = 0) -> pyarrow.RecordBatchReader:
    content = table(rows, start)
    return pyarrow.RecordBatchReader.from_batches(content.schema, content.to_batches(max_chunksize=max(1, rows // 2)))


def relation(rows: int = 3) -> duckdb.DuckDBPyRelation:
    return duckdb.connect().from_arrow(table(rows))


KINDS = {
    "pandas": lambda: table().to_pandas(),
    "polars": lambda: polars.DataFrame(table()),
    "lazy": lambda: polars.DataFrame(table()).lazy(),
    "arrow": table,
    "relation": relation,
    "reader": reader,
}
"""How a frame of each kind is made. All hold the same table."""
LAZY = ("lazy", "relation", "reader")


def rows_of(frame: Any) -> list[dict[str, Any]]:
    """The rows of a frame of any kind."""
    if isinstance(frame, pandas.DataFrame):
        return frame.to_dict("records")
    if isinstance(frame, polars.LazyFrame):
        return frame.collect().to_dicts()
    if isinstance(frame, polars.DataFrame):
        return frame.to_dicts()
    if isinstance(frame, duckdb.DuckDBPyRelation):
        return pyarrow.table(frame).to_pylist()
    return pyarrow.table(frame).to_pylist()


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, level: int, part: str = "") -> list[str]:
        """The lines of a level that have a text in them."""
        lines = [record.getMessage() for record in self.records if record.levelno == level]
        return [line for line in lines if part in line]

    def text(self) -> str:
        """All of them, with the tracebacks that follow."""
        return "\n".join(logging.Formatter("%(levelname)s %(message)s").format(record) for record in self.records)


@contextmanager
def logged() -> Iterator[_Lines]:
    """What Prefect's loggers write, which do not pass it on to the root."""
    lines = _Lines()
    loggers = [logging.getLogger(name) for name in ("prefect", "prefect.flow_runs", "prefect.task_runs")]
    # One whose lines reach another one of them would count twice.
    loggers = [found for found in loggers if found.name == "prefect" or not found.propagate]
    for found in loggers:
        found.addHandler(lines)
    try:
        yield lines
    finally:
        for found in loggers:
            found.removeHandler(lines)


def in_another_process(code: str, *arguments: object) -> str:
    """What code prints in a Python of its own that works with the same server."""
    settings = get_current_settings()
    environment = {
        **os.environ,
        "PREFECT_HOME": str(settings.home),
        "PREFECT_API_URL": str(settings.api.url),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]),
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
