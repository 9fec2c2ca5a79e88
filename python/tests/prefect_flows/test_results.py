"""References to what is persisted, from states and futures, and frames that are put by hand."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas
import pyarrow
import pytest
from flow_support import LIMIT, Place, in_another_process, reader, rows_of, table
from prefect import flow, get_client, task
from prefect.cache_policies import TASK_SOURCE
from prefect.serializers import CompressedSerializer, PickleSerializer
from prefect.states import Completed

import coldframe
from coldframe import ResultReference
from coldframe.errors import InvalidInputError, NotFoundError, WrongTypeError
from coldframe.prefect import ParquetSerializer, StoredBatches, areferences, as_references, put, references

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_references_of_states_and_futures_read_no_rows(place: Place) -> None:
    @task(**place.cached())
    def create(rows: int) -> Any:
        return {"one": table(rows).to_pandas(), "more": [table(rows), "text"]}

    @flow(**place.kept())
    def work() -> list[list[ResultReference]]:
        state = create(1, return_state=True)
        future = create.submit(2)
        found = [references(state), references(future)]
        hit = create(1, return_state=True)
        assert hit.name == "Cached"
        return [*found, references(hit)]

    state = work(return_state=True)
    first, second, hit = state.result()
    assert [reference.rows for reference in first] == [1, 1]
    assert [reference.rows for reference in second] == [2, 2]
    assert hit == first
    assert {reference.source["kind"] for reference in first} == {"DataFrame", "Table"}
    for path in place.data_files():
        path.unlink()
    # Of a flow that returned references: those. Each of them once.
    assert references(state) == [*first, *second]


def test_references_in_async_functions(place: Place) -> None:
    @task(**place.cached())
    async def create() -> pyarrow.Table:
        return table()

    @flow(**place.kept())
    async def work() -> Any:
        state = await create(return_state=True)
        future = create.submit()
        return await areferences(state), await areferences(future), references(state)

    first, second, third = asyncio.run(work())
    assert first == second == third == [place.only()]


def test_references_of_a_run_that_only_the_server_knows(place: Place) -> None:
    @task(**place.cached())
    def create() -> pandas.DataFrame:
        return table().to_pandas()

    @flow(**place.kept())
    def work() -> pandas.DataFrame:
        return create()

    state = work(return_state=True)
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(state.state_details.flow_run_id)
        (of_flow,) = references(flow_run.state)
        assert of_flow.metadata["prefect"]["flow_run_name"] == flow_run.name
        pandas.testing.assert_frame_equal(flow_run.state.result(_sync=True), table().to_pandas())
        (of_task,) = [found for found in place.references() if found != of_flow]
        # The server learns of the states of tasks a little later.
        identity, until = UUID(of_task.metadata["prefect"]["task_run_id"]), time.monotonic() + LIMIT
        while (run := known(client, identity)) is None:
            assert time.monotonic() < until
        assert references(run.state) == [of_task]


def known(client: Any, identity: UUID) -> Any:
    from prefect.exceptions import ObjectNotFound

    try:
        run = client.read_task_run(identity)
    except ObjectNotFound:
        return None
    return run if run.state is not None and run.state.is_final() else None


def test_another_process_reads_the_state_of_a_flow(place: Place) -> None:
    @flow(**place.kept(result_serializer=PickleSerializer(picklelib="coldframe.prefect")))
    def work() -> Any:
        return {"frame": table().to_pandas()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLDFRAME_STORE", place.location)
        state = work(return_state=True)
        printed = in_another_process(
            """
            import sys

            from prefect import get_client

            assert "coldframe" not in sys.modules
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(sys.argv[1]).state
            found = state.result(_sync=True)["frame"]
            print(type(found).__name__, found["row"].tolist())

            from coldframe.prefect import references

            print(*references(state))
            """,
            state.state_details.flow_run_id,
        )
    assert printed.splitlines() == ["DataFrame [0, 1, 2]", str(place.only())]


@pytest.mark.parametrize("wrap", ["plain", "compressed", "picklelib", "compressed picklelib"])
def test_references_come_through_whatever_wraps_the_serializer(
    place: Place, wrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDFRAME_STORE", place.location)
    inner = PickleSerializer(picklelib="coldframe.prefect") if "picklelib" in wrap else place.serializer()
    serializer = CompressedSerializer(serializer=inner, compressionlib="zlib") if "compressed" in wrap else inner
    runs = []

    @task(**place.kept(result_serializer=serializer, cache_policy=TASK_SOURCE, cache_result_in_memory=False))
    def create() -> Any:
        runs.append(1)
        return reader()

    @flow
    def work() -> Any:
        state = create(return_state=True)
        return state.result(), references(state)

    for _ in range(2):
        found, (reference,) = work()
        assert type(found) is StoredBatches and rows_of(found) == table().to_pylist()
        assert reference == place.only()
    assert len(runs) == 1


def test_frames_inside_of_records_have_no_references(place: Place) -> None:
    @flow(**place.kept(result_serializer=ParquetSerializer()))
    def work() -> Any:
        return table()

    assert references(work(return_state=True)) == []
    assert place.references() == []


def test_a_value_is_read_with_references_in_the_place_of_its_frames(place: Place) -> None:
    @flow(**place.kept())
    def work() -> Any:
        return {"frame": table(), "score": 0.5}

    state = work(return_state=True)
    persisted = state.model_copy(update={"data": state.data.metadata})
    with as_references() as found:
        value = persisted.result(_sync=True)
    assert value == {"frame": place.only(), "score": 0.5} and found == [value["frame"]]
    assert persisted.result(_sync=True)["frame"] == table()


def test_what_has_no_persisted_result_says_what_to_do(place: Place) -> None:
    @task
    def create() -> Any:
        return table()

    @flow
    def work() -> Any:
        with pytest.raises(NotFoundError, match="persist_result=True"):
            references(create(return_state=True))
        with pytest.raises(NotFoundError, match="persist_result=True"):
            references(create.submit())

    work()
    with pytest.raises(InvalidInputError, match="persist_result=True"):
        references(Completed())
    with pytest.raises(WrongTypeError, match="a state or a future is expected.*DataFrame"):
        references(table().to_pandas())  # type: ignore[arg-type]


def test_put_lands_where_the_results_of_the_run_do(place: Place) -> None:
    @task(**place.cached())
    def create() -> ResultReference:
        return put(reader(), "by-hand")

    @flow(**place.kept())
    def work() -> Any:
        return create(), put(table(1), "of-the-flow")

    of_task, of_flow = work()
    again, _ = work()
    assert again == of_task
    assert of_task.key.startswith("prefect/work/create/") and of_task.key.endswith("/by-hand")
    assert of_flow.key.startswith("prefect/work/flow-result/") and of_flow.key.endswith("/of-the-flow")
    assert of_task.metadata["prefect"]["task_name"] == "create"
    assert rows_of(of_task.to_arrow()) == table().to_pylist()
    assert of_task.storage == of_flow.storage == place.store.url
    # The references that were returned are kept, and nothing else is stored for them.
    assert {reference.key for reference in place.references()} >= {of_task.key, of_flow.key}
    for record in place.records():
        content = json.loads(record.read_text())
        envelope = json.loads(content["result"]) if "result" in content else content
        assert {entry["is"] for entry in envelope["frames"]} == {"reference"}
    # That of the task, and one of each run of the flow.
    assert len(place.data_files()) == 3


def test_put_takes_the_serializer_that_is_inside_of_another(place: Place) -> None:
    wrapped = CompressedSerializer(serializer=place.serializer(serializer="arrow"), compressionlib="zlib")

    @task(**place.kept(result_serializer=wrapped))
    def create() -> ResultReference:
        return put(table())

    @flow
    def work() -> ResultReference:
        return create()

    found = work()
    assert found.storage == place.store.url and found.serializer["type"] == "arrow"


def test_put_outside_of_runs_takes_a_serializer_or_the_environment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_serializer = put(table(), "by-serializer", serializer=place.serializer())
    monkeypatch.setenv("COLDFRAME_STORE", place.location)
    by_environment = put(table())
    assert by_serializer.key.startswith("prefect/no-flow/flow-result/") and by_serializer.key.endswith("/by-serializer")
    assert by_environment.storage == by_serializer.storage == place.store.url
    assert coldframe.Store(place.location).get(by_environment) == table()


def test_put_takes_no_other_serializer(place: Place) -> None:
    with pytest.raises(WrongTypeError, match="ColdframeSerializer is expected.*ParquetSerializer"):
        put(table(), serializer=ParquetSerializer())  # type: ignore[arg-type]


def test_what_was_put_within_a_task_expires_with_its_result(place: Place) -> None:
    from datetime import datetime, timedelta, timezone

    @task(**place.cached(cache_expiration=timedelta(days=1)))
    def create() -> ResultReference:
        return put(table())

    @flow
    def work() -> ResultReference:
        return create()

    expires = work().expires
    assert expires is not None
    assert timedelta(days=1) < expires - datetime.now(timezone.utc) <= timedelta(days=1, hours=1)
