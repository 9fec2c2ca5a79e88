"""Results inside of Prefect's transactions: committed later, rolled back, locked."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pytest
from flow_support import Place, table
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.locking.memory import MemoryLockManager
from prefect.transactions import CommitMode, IsolationLevel, atransaction, get_transaction, transaction

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_nothing_is_stored_of_what_is_rolled_back(place: Place) -> None:
    rolled_back = []

    @task(**place.cached())
    def create() -> pyarrow.Table:
        return table()

    @create.on_rollback
    def clean(txn: Any) -> None:
        rolled_back.append(txn.key)

    @flow
    def work() -> None:
        with transaction():
            create()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert len(rolled_back) == 1
    assert place.references() == [] and place.records() == []


def test_what_was_changed_inside_of_the_transaction_is_what_is_persisted(place: Place) -> None:
    @task(**place.cached(cache_result_in_memory=False))
    def create() -> pandas.DataFrame:
        return table().to_pandas()

    @flow
    def work() -> int:
        with transaction():
            found = create()
            first = int(found["row"].iloc[0])
            found.loc[0, "row"] = 99
        return first

    assert work() == 0
    # As Prefect does with every value: it writes when the transaction ends.
    assert work() == 99


def test_results_of_a_transaction_have_the_names_of_their_tasks(place: Place) -> None:
    same = table()

    @task(**place.cached())
    def create() -> pyarrow.Table:
        return same

    @task(**place.cached())
    def pass_on(found: pyarrow.Table) -> pyarrow.Table:
        return found

    @flow
    def work() -> None:
        with transaction():
            pass_on(create())

    work()
    found = {reference.metadata["prefect"]["task_name"]: reference for reference in place.references()}
    assert sorted(found) == ["create", "pass_on"]
    for name, reference in found.items():
        facts = reference.metadata["prefect"]
        assert reference.key == f"prefect/work/{name}/{facts['cache_key']}"
        assert facts["task_run_name"].startswith(name) and facts["task_run_id"] and facts["flow_run_id"]
    assert len({reference.metadata["prefect"]["cache_key"] for reference in found.values()}) == 2


def test_a_value_that_is_staged_by_hand_is_stored_under_its_key(place: Place) -> None:
    @flow(**place.kept())
    def work() -> None:
        with transaction(key="by-hand") as txn:
            if not txn.is_committed():
                txn.stage({"frame": table()})

    work()
    assert place.only().key == "prefect/work/flow-result/by-hand/frame"


@pytest.mark.parametrize("mode", [CommitMode.EAGER, CommitMode.LAZY])
def test_each_commit_mode_stores_once(place: Place, mode: CommitMode) -> None:
    stored = []

    @task(**place.cached())
    def create() -> pyarrow.Table:
        return table()

    @flow
    def work() -> None:
        with transaction(commit_mode=mode):
            create()
            stored.append(len(place.references()))
        stored.append(len(place.references()))

    work()
    assert stored == ([1, 1] if mode is CommitMode.EAGER else [0, 1])


def test_async_transactions_store_when_they_end(place: Place) -> None:
    @task(**place.cached())
    async def create() -> pyarrow.Table:
        return table()

    @flow
    async def work() -> None:
        async with atransaction():
            await create()
            assert place.references() == []
        assert place.only().metadata["prefect"]["task_name"] == "create"

    asyncio.run(work())


@pytest.mark.parametrize("level", [IsolationLevel.READ_COMMITTED, IsolationLevel.SERIALIZABLE])
def test_concurrent_tasks_with_one_key_all_get_the_frame(place: Place, level: IsolationLevel) -> None:
    runs = []
    together = threading.Barrier(2)
    policy = (INPUTS + TASK_SOURCE).configure(isolation_level=level, lock_manager=MemoryLockManager())

    @task(**place.kept(cache_policy=policy))
    def create(number: int) -> pyarrow.Table:
        runs.append(1)
        if level is IsolationLevel.READ_COMMITTED:
            # None of them has committed before all of them run.
            together.wait(timeout=60)
        return table()

    @flow
    def work() -> list[pyarrow.Table]:
        return [future.result() for future in [create.submit(1) for _ in range(2)]]

    assert work() == [table()] * 2
    expected = 1 if level is IsolationLevel.SERIALIZABLE else 2
    assert len(runs) == expected
    assert len(place.store.versions(place.only().key)) == expected
    assert work() == [table()] * 2
    assert len(runs) == expected


def test_no_transaction_is_open_when_a_flow_is_over(place: Place) -> None:
    @task(**place.cached())
    def create() -> pyarrow.Table:
        return table()

    @flow
    def work() -> None:
        create()
        assert get_transaction() is None

    work()
    assert get_transaction() is None


def test_the_result_of_a_flow_inside_of_a_transaction_is_its_own(place: Place) -> None:
    @task(**place.cached())
    def create() -> pyarrow.Table:
        return table()

    @flow(**place.kept())
    def inner() -> pyarrow.Table:
        return create()

    # The task's result is the same object, and is committed later than the flow's.
    with transaction():
        inner()
    found = [reference.key.split("/")[2] for reference in place.references()]
    assert found == ["create", "flow-result"]
    assert [reference.version for reference in place.references()] == [1, 1]
