"""What the tests of behaviour share: frames, folders, processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from coldframe import ResultReference, Store

LIMIT = 60
"""Seconds until a child counts as hung. Nothing waits that long unless it is broken."""


def table(rows: int = 100, start: int = 0) -> pa.Table:
    """A small table whose first column counts."""
    return pa.table({"row": range(start, start + rows), "name": [f"row {row}" for row in range(start, start + rows)]})


def batches(count: int, rows: int = 1000) -> Iterator[pa.RecordBatch]:
    """So many record batches, made as they are taken."""
    for number in range(count):
        yield table(rows, number * rows).to_batches()[0]


def files(folder: Path) -> list[str]:
    """Every file of a store's folder, but for the mark that says that it is a store."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in found if path.name != "coldframe.json")


def python(
    code: str, *arguments: str, executable: str = sys.executable, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs code in a Python of its own, which is killed if it hangs."""
    return subprocess.run(
        [executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def output(code: str, *arguments: str, **environment: str) -> str:
    """What code prints in a Python of its own, which has to end well."""
    done = python(code, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def forked(work: Callable[[], Any]) -> None:
    """Runs work in a forked child; a child that fails or hangs fails the test."""
    # pytest's own child watchers and handlers have no place in the child, which leaves by `_exit`.
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LIMIT)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        ended = signal.Signals(os.WTERMSIG(status))
        raise AssertionError("the child hung" if ended is signal.SIGALRM else f"the child died of {ended.name}")
    assert os.WEXITSTATUS(status) == 0, "the child failed; see above"


def s3_options() -> dict[str, Any] | None:
    """The options of the S3 server of the tests, if there is one."""
    url = os.environ.get("COLDFRAME_TEST_S3")
    if url is None:
        return None
    return {
        "endpoint": url,
        "allow_http": True,
        "region": "us-east-1",
        "virtual_hosted_style_request": False,
        "access_key_id": "test",
        "secret_access_key": "testtesttest",
    }


def work_elsewhere(store: Store, reference: ResultReference, name: str) -> ResultReference:
    """What a worker process does with what was sent to it."""
    assert reference.get().equals(table(1000))
    assert store.get(reference).equals(table(1000))
    return store.put(name, {"process": os.getpid()})
