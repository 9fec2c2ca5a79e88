"""Ctrl-C, and what generators raise: the call ends with that exception, and nothing is left behind."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from support import LIMIT, batches, files, table

from coldframe import Store
from coldframe.errors import ColdframeError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX are sent")

PRELUDE = """
import itertools, os, signal, sys, threading, time
import polars as pl, pyarrow as pa
import coldframe
from coldframe import progress

store = coldframe.Store(sys.argv[1], durable=False)
batch = pa.record_batch({"row": pa.array(range(1000))})
told = False

def begun():
    global told
    if not told:
        told = True
        print("begun", flush=True)

class Watching(progress.Progress):
    # Tells when the first rows are through, which nothing else shows from outside.
    def __call__(self, rows, stored):
        if rows or stored:
            begun()

coldframe.store.Progress = coldframe.scan.Progress = Watching
"""

ENDLESS = """
def endless(pause=0.01):
    while True:
        begun()
        time.sleep(pause)
        yield batch
"""

WORKS = {
    "generator": ENDLESS + "store.put('key', endless())",
    "generator that sleeps long": ENDLESS + "store.put('key', itertools.chain([batch], endless(1000)))",
    "generator that computes": ENDLESS
    + """
def busy():
    yield batch
    begun()
    while True:
        pass
store.put('key', busy())
""",
    "reader of pyarrow": ENDLESS + "store.put('key', pa.RecordBatchReader.from_batches(batch.schema, endless()))",
    "reader of pyarrow that sleeps long": ENDLESS
    + "store.put('key', pa.RecordBatchReader.from_batches(batch.schema, itertools.chain([batch], endless(1000))))",
    "lazy frame": ENDLESS
    + """
from polars.io.plugins import register_io_source
def source(with_columns, predicate, n_rows, batch_size):
    return (pl.DataFrame(item) for item in endless())
store.put('key', register_io_source(source, schema=pl.DataFrame(batch).schema))
""",
    "lazy frame that sleeps long": ENDLESS
    + """
def slow(frame):
    begun()
    time.sleep(1000)
    return frame
store.put('key', pl.DataFrame(batch).lazy().map_batches(slow, schema=pl.DataFrame(batch).schema))
""",
    "many puts": "while True:\n    store.put('key', batch)\n    begun()",
    "many failing puts": """
def failing():
    yield from [batch] * 3
    begun()
    raise ValueError
while True:
    try:
        store.put('key', failing())
    except ValueError:
        pass
""",
    "slow serializer": """
import random
generator = random.Random(7)
column = pa.array([generator.randbytes(40).hex() for _ in range(300_000)])
large = pa.table({"a": column, "b": pa.array(range(300_000)), **{f"c{n}": column.slice(n) .take(pa.array(
    list(range(300_000 - n)) + list(range(n)))) for n in range(3)}})
begun()
store.put('key', large, serializer='parquet/zstd(22)')
""",
}

READS = {
    "get": "store.get('large')",
    "get of pandas": "store.scan('large').to_pandas()",
    "stream of polars": "pl.DataFrame(store.scan('large'))",
    "batches": "for _ in store.scan('large').batches(): pass",
    "verify": "store.verify()",
    "copy": "store.copy('large', coldframe.Store(sys.argv[1] + '-copy', durable=False), key=f'copy')",
}


class Child:
    """A Python of its own that works until it is interrupted."""

    def __init__(self, code: str, folder: Path) -> None:
        text = PRELUDE + "try:\n" + textwrap.indent(code.strip("\n"), "    ")
        text += (
            "\nexcept KeyboardInterrupt:\n    print('interrupted', flush=True)\nelse:\n    print('ended', flush=True)\n"
        )
        command = [sys.executable, "-W", "error", "-c", text, str(folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.killer = threading.Timer(LIMIT, self.process.kill)
        self.killer.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *raised: object) -> None:
        self.killer.cancel()
        self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> str:
        """What it printed to standard error; it has to end well, and by itself."""
        assert self.process.stderr is not None
        told = self.process.stderr.read()
        code = self.process.wait()
        assert code == 0, f"ended with {code}: {told}"
        return told


def interrupted(code: str, folder: Path) -> None:
    """Interrupts the code when it has begun. How long that takes is told (`pytest -rP`), and not asserted."""
    with Child(code, folder) as child:
        assert child.line() == "begun", child.end()
        at = time.monotonic()
        child.interrupt()
        said = child.line()
        raised = time.monotonic() - at
        told = child.end()
        print(f"KeyboardInterrupt after {raised:.2f} s, end of the process after {time.monotonic() - at:.2f} s")
        assert (said, told) == ("interrupted", "")


@pytest.mark.parametrize("work", WORKS)
def test_interrupted_put_leaves_nothing(work: str, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    interrupted(WORKS[work], folder)
    store = Store(folder)
    versions = len(store.versions("key")) if store.exists("key") else 0
    if work != "many puts":
        assert versions == 0
    # Of a version two files lie there, and of nothing else any.
    assert len(files(folder)) == 2 * versions, files(folder)
    verified = store.verify()
    assert (verified.versions, verified.problems, verified.notes) == (versions, [], [])


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large") / "store"
    rows = 300_000
    columns = {"row": range(rows), "text": [f"text number {row}" for row in range(rows)]}
    Store(folder, durable=False).put("large", pa.table(columns), serializer="parquet/lz4")
    return folder


@pytest.mark.parametrize("read", READS)
def test_interrupted_read(read: str, large: Path) -> None:
    before = files(large)
    # Once before it is told, so that no import is interrupted: what an import leaves open then is Python's affair.
    # Then again and again, so that the interruption comes in the middle of it, whenever that is.
    code = f"told = True\n{READS[read]}\ntold = False\nwhile True:\n    begun()\n    {READS[read]}"
    interrupted(code, large)
    assert files(large) == before
    assert Store(large).verify().notes == []


@pytest.mark.parametrize("off_thread", [False, True])
def test_handler_that_does_not_raise(off_thread: bool, tmp_path: Path) -> None:
    # The input ends when the handler was called: so the work goes on, and the handler runs while it does.
    made = "made()" if not off_thread else "pa.RecordBatchReader.from_batches(batch.schema, made())"
    code = f"""
seen = threading.Event()
signal.signal(signal.SIGINT, lambda *_: seen.set())
def made():
    yield batch
    begun()
    while not seen.is_set():
        time.sleep(0.01)
    yield batch
assert store.put('key', {made}).rows == 2000
"""
    with Child(code, tmp_path / "store") as child:
        assert child.line() == "begun"
        child.interrupt()
        assert child.line() == "ended"
        assert child.end() == ""
    assert Store(tmp_path / "store").get("key").read_all().num_rows == 2000


def test_handler_that_raises_something_else(tmp_path: Path) -> None:
    code = """
class Stop(Exception):
    pass
def stop(*_):
    raise Stop("now")
signal.signal(signal.SIGUSR1, stop)
def made():
    yield batch
    begun()
    time.sleep(1000)
try:
    store.put('key', pa.RecordBatchReader.from_batches(batch.schema, made()))
except Stop as stopped:
    assert str(stopped) == "now"
"""
    with Child(code, tmp_path / "store") as child:
        assert child.line() == "begun"
        child.process.send_signal(signal.SIGUSR1)
        assert child.line() == "ended"
        assert child.end() == ""
    assert files(tmp_path / "store") == []


def test_put_of_another_thread_goes_on(tmp_path: Path) -> None:
    # Python gives signals to the main thread alone; who works elsewhere is stopped by what the main thread does.
    code = """
stopped, finished = threading.Event(), threading.Event()
def made():
    yield batch
    begun()
    while not stopped.is_set():
        time.sleep(0.01)
    yield batch
def work():
    rows.append(store.put('key', made()).rows)
    finished.set()
rows = []
try:
    threading.Thread(target=work).start()
    # The system may give the signal to any thread, and a lock that is waited for without an end is not woken by it.
    while not finished.wait(0.01):
        pass
except KeyboardInterrupt:
    stopped.set()
    finished.wait()
assert rows == [2000]
"""
    with Child(code, tmp_path / "store") as child:
        assert child.line() == "begun"
        child.interrupt()
        assert child.line() == "ended"
        assert child.end() == ""


class Failure(Exception):
    """What a generator of the user's raises."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def raising(after: int, error: BaseException) -> Iterator[pa.RecordBatch]:
    yield from batches(after)
    raise error


@pytest.mark.parametrize("after", [0, 1, 20])
@pytest.mark.parametrize(
    "error", [Failure("broken"), ValueError("x"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()]
)
def test_exception_of_a_generator_comes_out_as_it_is(folder: Path, after: int, error: BaseException) -> None:
    store = Store(folder, durable=False)
    with pytest.raises(type(error)) as raised:
        store.put("key", raising(after, error))
    assert raised.value is error
    assert raised.traceback[-1].name == "raising"
    if sys.version_info >= (3, 11):
        assert "coldframe took its input" in error.__notes__[0]
        assert "nothing was stored" in error.__notes__[0]
    assert not store.exists("key")
    assert files(folder) == []
    assert store.put("key", 1).version == 1


def test_exception_of_an_off_thread_source(folder: Path) -> None:
    store = Store(folder, durable=False)
    reader = pa.RecordBatchReader.from_batches(table().schema, raising(3, Failure("broken")))
    with pytest.raises((ColdframeError, Failure), match="broken"):
        store.put("key", reader)
    assert files(folder) == []


def test_exception_in_another_thread(folder: Path) -> None:
    store = Store(folder, durable=False)
    with ThreadPoolExecutor(1) as pool, pytest.raises(Failure, match="broken"):
        pool.submit(store.put, "key", raising(3, Failure("broken"))).result(LIMIT)
    assert files(folder) == []


def test_generator_is_closed_when_its_put_fails(folder: Path) -> None:
    closed = []

    def made() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches(2)
            yield pa.record_batch({"other": [1]})
            yield from batches(2)
        finally:
            closed.append(threading.get_ident())

    with pytest.raises(ColdframeError):
        Store(folder, durable=False).put("key", made())
    gc.collect()
    assert closed == [threading.get_ident()]
    assert files(folder) == []


def test_generator_that_gives_no_batch(folder: Path) -> None:
    def made() -> Iterator[object]:
        yield from batches(2)
        yield "text"

    with pytest.raises(ColdframeError, match="str") as raised:
        Store(folder, durable=False).put("key", made())
    assert isinstance(raised.value, ValueError)
    assert files(folder) == []
