"""What is kept between Prefect's two looks at a record, and that nobody else is given it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pytest
from flow_support import Place, table
from prefect import flow, task
from prefect.client.schemas.objects import State

import coldframe
from coldframe.prefect import as_references, memory, results

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def persisted(state: State[Any]) -> Any:
    """A state as one that was read from the server: its result is read from the storage."""
    return results._persisted(state)


def kept() -> int:
    return sum(len(frames) for (process, _), frames in memory._frames.items() if process == os.getpid())


def test_a_task_that_reads_a_result_twice_gets_two_frames(place: Place) -> None:
    @task(**place.cached())
    def create() -> pandas.DataFrame:
        return table().to_pandas()

    @task
    def change(state: Any) -> tuple[int, int]:
        first = state.result(_sync=True)
        first.loc[0, "row"] = 99
        second = state.result(_sync=True)
        return int(second["row"].iloc[0]), kept()

    @flow
    def work() -> Any:
        return change.fn(persisted(create(return_state=True))), change(Hidden(persisted(create(return_state=True))))

    assert work() == ((0, 0), (0, 0))


class Hidden:
    """A state that Prefect does not resolve when it is given to a task."""

    def __init__(self, state: Any) -> None:
        self.result = lambda **options: state.result(**options)


def test_what_was_deleted_meanwhile_is_not_given_from_memory(place: Place) -> None:
    @task(**place.cached())
    def create() -> pyarrow.Table:
        return table()

    @task
    def read(state: Any) -> str:
        assert state.result(_sync=True) == table()
        place.store.delete(place.only().key)
        try:
            state.result(_sync=True, retry_result_failure=False)
        except coldframe.errors.GoneError:
            return "gone"
        return "given"

    @flow
    def work() -> str:
        return read(Hidden(persisted(create(return_state=True))))

    assert work() == "gone"


def test_nothing_is_kept_when_tasks_are_over(place: Place) -> None:
    @task(**place.cached(cache_result_in_memory=False))
    def create(number: int) -> pyarrow.Table:
        return table(3, number)

    @task(**place.cached(cache_result_in_memory=False))
    async def create_async(number: int) -> pyarrow.Table:
        return table(3, number)

    @flow
    def work() -> list[Any]:
        return [create(number) for number in range(5)] + [create(number) for number in range(5)]

    @flow
    async def work_async() -> list[Any]:
        return [await create_async(number) for number in (1, 2, 1, 2)]

    assert [found.column(0)[0].as_py() for found in work()] == [0, 1, 2, 3, 4] * 2
    assert [found.column(0)[0].as_py() for found in asyncio.run(work_async())] == [1, 2, 1, 2]
    assert kept() == 0


def test_tasks_that_are_called_while_references_are_asked_for_get_frames(place: Place) -> None:
    @task(**place.cached())
    def create() -> pyarrow.Table:
        return table()

    @flow
    def work() -> list[Any]:
        create()
        with as_references() as found:
            hit = create()
        return [hit, create(), list(found)]

    # In another flow run, nothing is in Prefect's own memory.
    work()
    hit, later, found = work()
    assert hit == table() and later == table() and found == []
