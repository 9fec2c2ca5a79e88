"""Readers of batches, which can be read only once: they are stored, and those downstream get a handle."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import pickle
from pathlib import Path
from typing import Any

import polars
import pyarrow
import pytest
from flow_support import Place, logged, reader, rows_of, table
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.transactions import BaseTransaction, transaction
from prefect.utilities.engine import get_state_for_result
from prefect.utilities.hashing import hash_objects

from coldframe.prefect import StoredBatches, put, transactions

pytestmark = pytest.mark.usefixtures("prefect_server")
ROWS = table().to_pylist()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_direct_call_gives_a_handle_that_reads_as_often_as_one_likes(place: Place) -> None:
    @task(**place.cached())
    def create() -> pyarrow.RecordBatchReader:
        return reader()

    @task
    def count(batches: Any) -> int:
        return sum(batch.num_rows for batch in batches)

    @flow
    def work() -> StoredBatches:
        found = create()
        assert [count(found), count(found)] == [3, 3]
        return found

    found = work()
    assert type(found) is StoredBatches
    assert found.read_all() == found.to_reader().read_all() == table()
    assert found.schema == table().schema
    assert polars.DataFrame(found).to_dicts() == ROWS
    assert found.reference == place.only()


def test_futures_maps_and_states_give_handles(place: Place) -> None:
    @task(**place.cached())
    def create(start: int) -> pyarrow.RecordBatchReader:
        return reader(start=start)

    @task
    def first(batches: Any) -> int:
        return rows_of(batches)[0]["row"]

    @flow
    def work() -> list[Any]:
        future = create.submit(0)
        mapped = create.map([1, 2])
        state = create(3, return_state=True)
        found = [future.result(), *mapped.result(), state.result()]
        assert first.map(found).result() == [0, 1, 2, 3]
        # Given as futures, Prefect reads the results for the task.
        assert [first(future), *first.map(mapped).result()] == [0, 1, 2]
        return found

    found = work()
    assert [type(each) for each in found] == [StoredBatches] * 4
    assert [rows_of(each) for each in found] == [table(start=start).to_pylist() for start in range(4)]


@dataclasses.dataclass
class Pair:
    batches: Any
    name: str


def test_readers_inside_of_values_are_replaced_there(place: Place) -> None:
    @task(**place.cached())
    def create(what: str) -> Any:
        return {"dict": {"batches": [reader()], "frame": table()}, "dataclass": Pair(reader(), "a name")}[what]

    @flow
    def work(what: str) -> Any:
        return create(what)

    for _ in range(2):
        found = work("dict")
        assert type(found["batches"][0]) is StoredBatches and rows_of(found["batches"][0]) == ROWS
        assert found["frame"] == table()
        pair = work("dataclass")
        assert type(pair) is Pair and pair.name == "a name"
        assert type(pair.batches) is StoredBatches and rows_of(pair.batches) == ROWS


def test_a_result_that_has_no_reader_stays_the_object_that_was_returned(place: Place) -> None:
    value = {"frame": table(), "other": object}

    @task(**place.cached())
    def create() -> Any:
        return value

    @flow
    def work() -> Any:
        return create()

    assert work() is value


def test_async_tasks_give_handles(place: Place) -> None:
    @task(**place.cached())
    async def create() -> pyarrow.RecordBatchReader:
        return reader()

    @flow
    async def work() -> Any:
        return await create()

    found = asyncio.run(work())
    assert type(found) is StoredBatches and rows_of(found) == ROWS


def test_prefect_knows_whose_result_a_handle_is(place: Place) -> None:
    @task(**place.cached())
    def create() -> pyarrow.RecordBatchReader:
        return reader()

    @flow
    def work() -> None:
        found = create()
        state, _ = get_state_for_result(found)
        assert state.name == "Completed" and state.state_details.task_run_id is not None

    work()


def test_a_reader_inside_of_a_transaction_is_not_persisted(place: Place) -> None:
    @task(**place.cached())
    def create() -> pyarrow.RecordBatchReader:
        return reader()

    @flow
    def work() -> None:
        with transaction():
            found = create()
            # Whoever reads it within the transaction reads the reader itself.
            assert type(found) is pyarrow.RecordBatchReader
            assert next(iter(found)).num_rows == 1

    with logged() as lines:
        work()
    (line,) = lines.of(logging.ERROR, "was not persisted")
    assert "transaction" in line and "coldframe.prefect.put" in line
    assert place.references() == [] and place.records() == []


def test_a_reader_that_was_put_inside_of_a_transaction_is_persisted(place: Place) -> None:
    runs = []

    @task(**place.cached(cache_result_in_memory=False))
    def create() -> Any:
        runs.append(1)
        return put(reader())

    @flow
    def work() -> Any:
        with transaction():
            return create()

    assert rows_of(work()) == rows_of(work()) == ROWS
    assert len(runs) == 1


def test_a_flow_that_returns_a_reader_warns_and_stores_it(place: Place) -> None:
    @flow(**place.kept())
    def work() -> pyarrow.RecordBatchReader:
        return reader()

    with logged() as lines:
        state = work(return_state=True)
    (line,) = lines.of(logging.WARNING, "a reader was read to be stored")
    assert "coldframe.prefect.put" in line
    persisted = state.model_copy(update={"data": state.data.metadata}).result(_sync=True)
    assert type(persisted) is StoredBatches and rows_of(persisted) == ROWS


def test_a_reader_that_was_read_in_part_is_stored_from_there_on(place: Place) -> None:
    @task(**place.cached())
    def create() -> pyarrow.RecordBatchReader:
        batches = reader(4)
        next(iter(batches))
        return batches

    @flow
    def work() -> Any:
        return create()

    assert [row["row"] for row in rows_of(work())] == [2, 3]


@pytest.mark.parametrize("missing", ["_staged_value", "hooks", "engine", "link"])
def test_what_prefect_has_no_more_is_left_alone(place: Place, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @task(**place.cached())
    def create() -> pyarrow.RecordBatchReader:
        return reader()

    @flow
    def work() -> Any:
        return create()

    # Faults that no Prefect of today has: what is no part of its interface has another name, or is not there.
    stage = BaseTransaction.stage
    if missing == "_staged_value":
        monkeypatch.setattr(transactions, "ResultRecord", type("Renamed", (), {}))
    elif missing == "link":
        monkeypatch.delattr("prefect.utilities.engine.link_state_to_task_run_result")
    else:
        hooks = [] if missing == "hooks" else [functools.partial(print), lambda _: None]

        def staged(self: Any, value: Any, on_rollback_hooks: Any = None, on_commit_hooks: Any = None) -> None:
            stage(self, value, hooks, on_commit_hooks)

        monkeypatch.setattr(BaseTransaction, "stage", staged)
    with logged() as lines:
        work()
    assert rows_of(place.only()) == ROWS
    assert len(lines.of(logging.WARNING, "has an empty one")) == (missing != "link")


def test_a_handle_is_hashed_by_what_it_refers_to(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    @task(**place.cached())
    def create() -> pyarrow.RecordBatchReader:
        return reader()

    @task(**place.kept(cache_policy=INPUTS))
    def count(batches: StoredBatches) -> int:
        runs.append(1)
        return len(rows_of(batches))

    @flow
    def work() -> Any:
        found = create()
        return found, count(found)

    (first, counted), (second, counted_again) = work(), work()
    assert (counted, counted_again) == (3, 3)
    assert first is not second and first == second and hash(first) == hash(second)
    # The second time the handle is another object, from the record: it is the same input.
    assert len(runs) == 1
    assert hash_objects(first) == hash_objects(pickle.loads(pickle.dumps(first)))
    # Nothing of the rows is in the way of it: they need not even be there.
    for path in place.data_files():
        path.unlink()
    assert hash_objects(first) == hash_objects(second)
    assert len(pickle.dumps(first)) < 4096
