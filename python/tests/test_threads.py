"""Several threads use one store; inputs are pulled on the caller's thread; other threads go on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars
import pyarrow as pa
import pytest
from support import LIMIT, batches, files, table

from coldframe import Store
from coldframe.errors import ConflictError, GoneError, NotFoundError

THREADS = 8


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


def test_distinct_keys(store: Store) -> None:
    def work(number: int) -> None:
        for turn in range(5):
            wanted = table(100, number * 1000 + turn)
            reference = store.put(f"thread/{number}", wanted)
            assert reference.version == turn + 1
            assert store.get(reference).equals(wanted)
            assert store.get(f"thread/{number}").equals(wanted)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    assert [reference.key for reference in store.list()] == [f"thread/{number}" for number in range(THREADS)]


def test_same_key_gets_each_version_once(store: Store) -> None:
    def work(number: int) -> tuple[int, int]:
        reference = store.put("key", {"number": number})
        assert store.get(reference) == {"number": number}
        return reference.version, number

    with ThreadPoolExecutor(THREADS) as pool:
        written = dict(pool.map(work, range(40)))
    assert sorted(written) == list(range(1, 41))
    assert {version: store.get("key", version=version)["number"] for version in written} == written
    verified = store.verify()
    assert (verified.versions, verified.problems, verified.notes) == (40, [], [])


def test_one_of_many_is_the_first(store: Store) -> None:
    barrier = threading.Barrier(THREADS)

    def work(number: int) -> int | None:
        barrier.wait(LIMIT)
        try:
            return store.put("key", number, if_absent=True).version
        except ConflictError:
            return None

    with ThreadPoolExecutor(THREADS) as pool:
        versions = [version for version in pool.map(work, range(THREADS)) if version is not None]
    assert versions == [1]
    assert len(store.versions("key")) == 1


def test_reader_sees_a_whole_table_or_is_told_that_it_is_gone(store: Store) -> None:
    wanted = {number: table(5000, number) for number in range(4)}
    ended = threading.Event()
    seen: list[str] = []

    def read() -> None:
        while not ended.is_set():
            try:
                found = store.get("key")
            except (GoneError, NotFoundError) as error:
                seen.append(type(error).__name__)
                continue
            number = found["row"][0].as_py()
            assert found.equals(wanted[number])
            seen.append("table")

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for turn in range(25):
                store.put("key", wanted[turn % 4])
                store.delete("key", reason="the next turn")
        finally:
            ended.set()
        for reader in readers:
            reader.result(LIMIT)
    assert seen
    with pytest.raises(GoneError, match="the next turn"):
        store.get("key")


@pytest.mark.parametrize("as_batches", [True, False])
def test_iterator_is_pulled_on_the_thread_that_puts(store: Store, as_batches: bool) -> None:
    pulled: set[int] = set()

    def made() -> Iterator[object]:
        for number in range(20):
            pulled.add(threading.get_ident())
            yield table(10, number * 10).to_batches()[0] if as_batches else polars.DataFrame({"row": [number]})

    assert store.put("main", made()).rows == (200 if as_batches else 20)
    assert pulled == {threading.get_ident()}

    pulled.clear()
    with ThreadPoolExecutor(1) as pool:
        mine, rows = pool.submit(lambda: (threading.get_ident(), store.put("other", made()).rows)).result(LIMIT)
    assert rows == (200 if as_batches else 20)
    assert pulled == {mine} != {threading.get_ident()}


def test_iterator_may_use_the_store_itself(store: Store) -> None:
    def made() -> Iterator[pa.RecordBatch]:
        for number in range(3):
            inner = store.put(f"inner/{number}", table(10))
            yield from store.get(inner).to_batches()

    assert store.put("outer", made()).rows == 30


def counted(work: Callable[[], object]) -> int:
    """How often another thread got to run Python while the work went on."""
    count, begun, ended = 0, threading.Event(), threading.Event()

    def run() -> None:
        nonlocal count
        begun.set()
        while not ended.is_set():
            count += 1
            ended.wait(0.001)

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait(LIMIT)
    before = count
    try:
        work()
        return count - before
    finally:
        ended.set()
        thread.join(LIMIT)


def test_other_threads_run_during_a_large_put_and_get(store: Store) -> None:
    large = pa.table(
        {"row": pa.array(range(400_000)), "text": pa.array([f"some text {row}" for row in range(400_000)])}
    )
    assert counted(lambda: store.put("large", large, serializer="parquet/zstd(9)")) >= 5
    assert counted(lambda: store.get("large")) >= 1
    assert counted(lambda: store.verify()) >= 1


def test_other_threads_run_while_an_iterator_waits(store: Store) -> None:
    # The generator waits for the other thread itself: were the GIL held, neither would ever go on.
    go_on = threading.Semaphore(0)

    def made() -> Iterator[pa.RecordBatch]:
        for batch in batches(5):
            assert go_on.acquire(timeout=LIMIT)
            yield batch

    def release() -> None:
        for _ in range(5):
            go_on.release()

    thread = threading.Thread(target=release)
    with ThreadPoolExecutor(1) as pool:
        put = pool.submit(store.put, "key", made())
        thread.start()
        assert put.result(LIMIT).rows == 5000
    thread.join(LIMIT)


def test_two_puts_whose_iterators_wait_for_each_other(store: Store) -> None:
    barrier = threading.Barrier(2)

    def made() -> Iterator[pa.RecordBatch]:
        for batch in batches(5):
            barrier.wait(LIMIT)
            yield batch

    with ThreadPoolExecutor(2) as pool:
        puts = [pool.submit(store.put, f"key/{number}", made()) for number in range(2)]
        assert [put.result(LIMIT).rows for put in puts] == [5000, 5000]


def test_scan_is_taken_by_several_threads(store: Store) -> None:
    scan = store.put("key", table(200_000)).scan(["row"])
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda _: polars.DataFrame(scan), range(4)))
    assert all(frame["row"].to_list()[-1] == 199_999 for frame in frames)


def test_nothing_is_left_of_puts_that_failed_in_threads(store: Store, tmp_path: Path) -> None:
    class Failure(Exception):
        pass

    def made() -> Iterator[pa.RecordBatch]:
        yield from batches(3)
        raise Failure

    def work(number: int) -> None:
        with pytest.raises(Failure):
            store.put(f"key/{number}", made())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    assert files(tmp_path / "store") == []
