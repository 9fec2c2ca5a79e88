"""A store that was used before a fork works in the child, and in the parent afterwards."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support import LIMIT, batches, forked, s3_options, table, work_elsewhere

from coldframe import ResultReference, Store
from coldframe.errors import NotFoundError, UnsupportedError

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    # Since Python 3.12: forking while threads run. That it works is what is tested.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def opened(place: str, tmp_path: Path) -> Store:
    if place == "folder":
        return Store(tmp_path / "store", durable=False)
    options = s3_options()
    if options is None:
        pytest.skip("COLDFRAME_TEST_S3 names no server")
    return Store(f"s3://coldframe/python-fork/{os.getpid()}/{tmp_path.name}", cache=False, **options)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    store = opened(request.param, tmp_path)
    # Used with everything that starts threads, opens connections, or makes a runtime.
    used(store, "before")
    return store


def used(store: Store, name: str) -> None:
    """Every verb, on keys of this name."""
    wanted = table(1000)
    reference = store.put(f"{name}/table", wanted)
    assert store.put(f"{name}/iterator", batches(3)).rows == 3000
    assert store.get(reference).equals(wanted)
    assert store.get(f"{name}/table", ["row"])["row"][-1].as_py() == 999
    assert pa.table(store.scan(reference, limit=5)).num_rows == 5
    assert sum(batch.num_rows for batch in store.scan(reference).batches()) == 1000
    store.put(f"{name}/json", {"a": [1]})
    assert store.get(f"{name}/json") == {"a": [1]}
    assert [found.key for found in store.list(f"{name}/")] == [
        f"{name}/{kind}" for kind in ("iterator", "json", "table")
    ]
    assert store.delete(f"{name}/json") == [1]
    assert not store.exists(f"{name}/json")
    assert len(store.versions(f"{name}/json")) == 1
    with pytest.raises(NotFoundError):
        store.get(f"{name}/json")


def test_child_and_parent_use_it(store: Store) -> None:
    forked(lambda: used(store, "child"))
    used(store, "parent")
    assert store.get("child/table").equals(table(1000))
    verified = store.verify()
    assert (verified.problems, verified.notes) == ([], [])


def test_child_of_a_child(store: Store) -> None:
    def child() -> None:
        used(store, "child")
        forked(lambda: used(store, "grandchild"))
        used(store, "child-again")

    forked(child)
    assert store.get("grandchild/table").num_rows == 1000


def test_two_children_at_once(store: Store) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: forked(lambda: used(store, name)), ("one", "two")))
    used(store, "parent")


def test_references_and_scans_made_before(store: Store) -> None:
    reference = store.put("made/before", table(1000))
    scan, listing = reference.scan(["row"]), store.list("made/")
    assert pa.table(scan).num_rows == 1000

    def child() -> None:
        assert reference.get().num_rows == 1000
        assert pa.table(scan).num_rows == 1000
        assert reference.compact().rows == 1000
        assert len(listing) == 1
        assert reference.store.copy(reference, store, key="made/copy").rows == 1000

    forked(child)
    assert pa.table(scan).num_rows == 1000


def test_reference_whose_store_was_configured(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The store that a reference brings with it was opened by no call of the user's.
    monkeypatch.setenv("COLDFRAME_STORE", store.url or "")
    for name, value in (s3_options() or {}).items():
        text = str(value).lower() if isinstance(value, bool) else value
        monkeypatch.setenv(f"AWS_{name.upper()}", text)
    received = ResultReference.from_json(store.put("key", table(1000)).json())
    assert received.get().num_rows == 1000

    def child() -> None:
        assert received.get().num_rows == 1000
        assert received.store.put("child", table(10)).rows == 10

    forked(child)
    assert received.get().num_rows == 1000


def test_fork_while_other_threads_work(store: Store) -> None:
    ended = threading.Event()

    def work(number: int) -> int:
        turns = 0
        while not ended.is_set():
            reference = store.put(f"thread/{number}", batches(3))
            assert store.get(reference).read_all().num_rows == 3000
            turns += 1
        return turns

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        works = [pool.submit(work, number) for number in range(3)]
        try:
            for number in range(5):
                forked(lambda name=f"child/{number}": used(store, name))  # type: ignore[misc]
        finally:
            ended.set()
        assert all(done.result(LIMIT) >= 1 for done in works)
    verified = store.verify()
    assert (verified.problems, verified.notes) == ([], [])


def test_fork_in_the_middle_of_a_put(store: Store) -> None:
    # The child uses the store, and never comes back into the put of its parent.
    def made() -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(batches(3)):
            if number == 1:
                forked(lambda: used(store, "child"))
            yield batch

    assert store.put("key", made()).rows == 3000
    assert store.get("key").read_all().num_rows == 3000


def test_memory_belongs_to_its_process() -> None:
    store = Store("memory://")
    store.put("before", 1)

    def child() -> None:
        # A copy would lose what is put, and hang in a lock that a thread of the parent held.
        for work in (lambda: store.get("before"), lambda: store.put("child", 2), store.list):
            with pytest.raises(UnsupportedError, match="memory") as raised:
                work()
            assert raised.value.hint
        assert Store("memory://").put("own", 1).version == 1

    forked(child)
    assert store.get("before") == 1
    assert [reference.key for reference in store.list()] == ["before"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("place", ["folder", "s3"])
def test_worker_processes(place: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(place, tmp_path)
    for name, value in (s3_options() or {}).items():
        # Options do not travel: workers find credentials where theirs are.
        text = str(value).lower() if isinstance(value, bool) else value
        monkeypatch.setenv(f"AWS_{name.upper()}", text)
    reference = store.put("key", table(1000))
    assert reference.get().num_rows == 1000
    # Spawned workers import `support` by its name.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    returned = in_workers(method, store, reference)
    assert [found.key for found in returned] == ["worker/0", "worker/1", "worker/2"]
    for found in returned:
        assert found.get()["process"] != os.getpid()
        assert store.get(found)["process"] != os.getpid()


def in_workers(method: str, store: Store, reference: ResultReference) -> list[ResultReference]:
    context: Any = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            sent = [pool.submit(work_elsewhere, store, reference, f"worker/{number}") for number in range(3)]
            try:
                return [done.result(LIMIT) for done in sent]
            except concurrent.futures.TimeoutError:
                for process in pool._processes.values():
                    process.kill()
                raise
