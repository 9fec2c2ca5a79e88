"""What happens when a result cannot be persisted: a line in the log, or the end of the run."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from flow_support import Place, logged, table
from prefect import flow, task
from prefect.cache_policies import TASK_SOURCE
from prefect.locking.memory import MemoryLockManager
from prefect.transactions import IsolationLevel, get_transaction, transaction

from coldframe.prefect import ColdframeSerializer, NotPersistedError, ParquetSerializer

pytestmark = pytest.mark.usefixtures("prefect_server")
SECRET = "correct-horse-battery-staple"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def unpicklable() -> Any:
    """A frame, and beside it something that no serializer takes."""
    return {"frame": table(), "lock": threading.Lock()}


def strict(place: Place, **more: Any) -> dict[str, Any]:
    return place.cached(result_serializer=place.serializer(strict=True), **more)


def test_without_strict_the_run_goes_on_and_one_line_says_what_failed(place: Place) -> None:
    runs = []

    @task(**place.cached())
    def create() -> Any:
        runs.append(1)
        return unpicklable()

    @flow
    def work() -> int:
        return create()["frame"].num_rows

    with logged() as lines:
        assert work() == 3
    (line,) = lines.of(logging.ERROR, "was not persisted")
    assert "a dict was not persisted, and the run goes on without" in line and "lock" in line
    # Prefect's own.
    assert len(lines.of(logging.WARNING, "will not be committed")) == 1
    # What was stored before the failure is gone again.
    assert place.references() == [] and place.records() == []
    work()
    assert len(runs) == 2


def test_without_strict_a_flow_goes_on_too(place: Place) -> None:
    @flow(**place.kept())
    def work() -> Any:
        return unpicklable()

    with logged() as lines:
        assert work()["frame"] == table()
    assert len(lines.of(logging.ERROR, "was not persisted")) == 1
    assert place.references() == []


def test_strict_ends_task_and_flow(place: Place) -> None:
    @task(**strict(place))
    def create() -> Any:
        return unpicklable()

    @flow
    def work() -> None:
        create()
        raise AssertionError("it went on")

    with logged() as lines, pytest.raises(NotPersistedError, match="lock"):
        work()
    assert len(lines.of(logging.ERROR, "a dict was not persisted, and the run is ended")) == 1
    assert place.references() == []
    assert get_transaction() is None


def test_strict_ends_async_tasks_and_flows(place: Place) -> None:
    @task(**strict(place))
    async def create() -> Any:
        return unpicklable()

    @flow
    async def work() -> None:
        try:
            await create()
        finally:
            assert get_transaction() is None

    with pytest.raises(NotPersistedError, match="lock"):
        asyncio.run(work())


def test_strict_ends_the_run_of_a_submitted_task(place: Place) -> None:
    @task(**strict(place))
    def create() -> Any:
        return unpicklable()

    @flow
    def work() -> None:
        create.submit().result()

    with pytest.raises(NotPersistedError, match="lock"):
        work()


def test_strict_ends_a_flow_whose_own_result_is_not_persisted(place: Place) -> None:
    @flow(**place.kept(result_serializer=place.serializer(strict=True)))
    def work() -> Any:
        return unpicklable()

    with pytest.raises(NotPersistedError, match="lock"):
        work()


def test_what_runs_after_a_strict_failure_is_persisted_again(place: Place) -> None:
    rolled_back = []

    @task(**strict(place))
    def fails() -> Any:
        return unpicklable()

    @fails.on_rollback
    def clean(txn: Any) -> None:
        rolled_back.append(1)

    @task(**place.cached())
    def works() -> Any:
        return table()

    @flow
    def work(inside: bool) -> None:
        if inside:
            with transaction():
                fails()
        else:
            fails()

    @flow
    def next_one() -> None:
        works()

    for inside in (False, True):
        with pytest.raises(NotPersistedError):
            work(inside)
        assert get_transaction() is None
    assert len(rolled_back) == 2
    next_one()
    assert place.only().metadata["prefect"]["task_name"] == "works"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_strict_failure_unlocks_its_key(place: Place, asynchronous: bool) -> None:
    locks = MemoryLockManager()
    policy = TASK_SOURCE.configure(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=locks)
    options = strict(place, cache_policy=policy)
    keys = []

    @task(**options)
    def create() -> Any:
        keys.append(get_transaction().key)
        return unpicklable()

    @task(**options)
    async def create_async() -> Any:
        keys.append(get_transaction().key)
        return unpicklable()

    @flow
    def work() -> None:
        create()

    @flow
    async def work_async() -> None:
        await create_async()

    with pytest.raises(NotPersistedError):
        if asynchronous:
            asyncio.run(work_async())
        else:
            work()
    (key,) = keys
    assert not locks.is_locked(key)


@pytest.mark.parametrize("where", ["store", "record"])
def test_a_loss_is_a_line_and_with_strict_an_error(place: Place, where: str) -> None:
    kind = pyarrow.map_(pyarrow.string(), pyarrow.int64(), keys_sorted=True)
    lossy = pyarrow.table({"m": pyarrow.array([[("a", 1)]], kind)})

    def serializer(strict: bool) -> Any:
        return place.serializer(strict=strict) if where == "store" else ParquetSerializer(strict=strict)

    @task
    def create() -> Any:
        return lossy

    @flow
    def work(strict: bool) -> None:
        create.with_options(**place.cached(result_serializer=serializer(strict)))()

    with pytest.raises(NotPersistedError, match="column `m`"):
        work(True)
    assert place.references() == [] and place.records() == []
    with logged() as lines:
        work(False)
    assert len(lines.of(logging.WARNING, "column `m`")) == 1
    assert len(place.records()) == 1


class _Denies(BaseHTTPRequestHandler):
    """A storage that takes nothing, and tells of the request what it can."""

    def answer(self) -> None:
        text = f"<Error><Code>AccessDenied</Code><Message>{self.path}</Message></Error>".encode()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def denying() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Denies)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_no_line_has_a_secret(place: Place, denying: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRET + "-token")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", denying)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    serializer = ColdframeSerializer(store=f"s3://bucket/{place.results.name}")

    @task(**place.cached(result_serializer=serializer))
    def create() -> Any:
        return table()

    @flow
    def work() -> None:
        create()

    with logged() as lines:
        work()
    assert len(lines.of(logging.ERROR, "was not persisted")) == 1
    assert SECRET not in lines.text()
    assert SECRET not in repr(serializer) and SECRET not in serializer.model_dump_json()
