"""Strictness inside of transactions: it ends the run wherever Prefect commits, and leaves nothing locked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from flow_support import Place, logged, table
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.locking.memory import MemoryLockManager
from prefect.transactions import IsolationLevel, atransaction, get_transaction, transaction

from coldframe.prefect import NotPersistedError

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("it cannot be pickled")


def strict(place: Place, **more: Any) -> dict[str, Any]:
    return place.cached(result_serializer=place.serializer(strict=True), **more)


def test_async_tasks_inside_of_a_transaction_that_is_not_async(place: Place) -> None:
    @task(**strict(place))
    async def create() -> Any:
        return {"frame": table(), "bad": Unpicklable()}

    went_on = []

    @flow
    async def work() -> None:
        with transaction():
            await create()
        went_on.append(True)

    with pytest.raises(NotPersistedError, match="it cannot be pickled"):
        asyncio.run(work())
    assert went_on == [] and place.references() == []


def test_a_flow_inside_of_a_transaction(place: Place) -> None:
    @task(**strict(place))
    def create() -> Any:
        return Unpicklable()

    @flow(**place.kept(result_serializer=place.serializer(strict=True)))
    def inner() -> Any:
        return create()

    went_on = []

    @flow
    def work() -> None:
        with transaction():
            inner()
            went_on.append(True)

    with pytest.raises(NotPersistedError):
        work()
    assert went_on == []
    assert get_transaction() is None


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_key_of_an_outer_transaction_stays_locked(place: Place, asynchronous: bool) -> None:
    locks = MemoryLockManager()
    policy = (INPUTS + TASK_SOURCE).configure(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=locks)
    options = strict(place, cache_policy=policy)
    ran: list[str] = []

    def good() -> int:
        ran.append("good")
        return 1

    async def good_async() -> int:
        return good()

    def bad() -> Any:
        return Unpicklable()

    async def bad_async() -> Any:
        return Unpicklable()

    @flow
    def work() -> None:
        with transaction():
            task(bad, **options)()
            task(good, **options)()

    @flow
    async def work_async() -> None:
        async with atransaction():
            await task(bad_async, **options)()
            await task(good_async, **options)()

    with pytest.raises(NotPersistedError):
        asyncio.run(work_async()) if asynchronous else work()
    assert ran == ["good"]
    assert [key for key in locks._locks if locks.is_locked(key)] == []
    assert place.references() == []


def test_hooks_of_an_async_transaction_run_or_are_named(place: Place) -> None:
    ran: list[str] = []

    @task(**strict(place))
    async def create() -> Any:
        return Unpicklable()

    @create.on_rollback
    def plain(_: Any) -> None:
        ran.append("plain")

    @create.on_rollback
    async def awaited(_: Any) -> None:
        ran.append("awaited")

    @flow
    async def work() -> None:
        async with atransaction():
            await create()

    with logged() as lines, pytest.raises(NotPersistedError):
        asyncio.run(work())
    assert ran == ["plain"]
    assert "the hook awaited was not run" in lines.text()
