"""Results of flows and tasks, in all the ways that they run."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow
import pydantic
import pytest
from flow_support import KINDS, Place, in_another_process, rows_of, table
from prefect import flow, task
from prefect.cache_policies import TASK_SOURCE
from prefect.task_runners import ProcessPoolTaskRunner

from coldframe import ResultReference
from coldframe.prefect import StoredBatches

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_of_each_kind_is_stored_and_comes_back_as_it_was(place: Place, kind: str) -> None:
    runs = []

    @task(**place.cached(cache_result_in_memory=False))
    def create() -> Any:
        runs.append(kind)
        return KINDS[kind]()

    @flow
    def work() -> Any:
        return create()

    first, second = work(), work()
    assert runs == [kind]
    expected = StoredBatches if kind == "reader" else type(KINDS[kind]())
    assert type(first) is expected and type(second) is expected
    assert rows_of(first) == rows_of(second) == table().to_pylist()
    assert rows_of(place.only().to_arrow()) == table().to_pylist()


def test_a_record_stays_small_for_a_thousand_columns(place: Place) -> None:
    @task(**place.cached())
    def create() -> pyarrow.Table:
        return pyarrow.table({f"a column with a rather long name, number {number}": [number] for number in range(1000)})

    @flow
    def work() -> None:
        create()

    work()
    (record,) = place.records()
    assert record.stat().st_size < 2048
    assert len(place.only().schema) == 1000


@dataclasses.dataclass
class Split:
    train: pandas.DataFrame
    score: float


class Report(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    title: str
    tables: dict[str, polars.DataFrame]


def test_frames_inside_of_values_are_stored_and_put_back(place: Place) -> None:
    frame = table().to_pandas()

    @task(**place.cached(cache_result_in_memory=False))
    def create(what: str) -> Any:
        return {
            "dict": {"score": 0.5, "frames": [frame, frame]},
            "tuple": (table(), "text"),
            "dataclass": Split(frame, 0.25),
            "model": Report(title="a title", tables={"first": polars.DataFrame(table())}),
        }[what]

    @flow
    def work(what: str) -> Any:
        return create(what)

    for what in ("dict", "tuple", "dataclass", "model"):
        work(what)
    found = work("dict")
    assert found["score"] == 0.5
    assert found["frames"][0] is found["frames"][1]
    pandas.testing.assert_frame_equal(found["frames"][0], frame)
    assert work("tuple") == (table(), "text")
    split = work("dataclass")
    assert type(split) is Split and split.score == 0.25
    pandas.testing.assert_frame_equal(split.train, frame)
    report = work("model")
    assert type(report) is Report and report.title == "a title"
    assert report.tables["first"].to_dicts() == table().to_pylist()
    # Two places with one frame are one.
    assert len(place.references()) == 4


@pytest.mark.parametrize(
    "value", [None, True, 3, "text", [1, {"a": 2}], {"data": 1}, {"result": 2}, {"$frame": 0}, {1, 2}]
)
def test_what_has_no_frame_comes_back_equal(place: Place, value: Any) -> None:
    runs = []

    @task(**place.cached(cache_result_in_memory=False))
    def create() -> Any:
        runs.append(1)
        return value

    @flow(**place.kept())
    def work() -> Any:
        return create()

    state = work(return_state=True)
    assert work() == value
    assert len(runs) == 1
    # As those read it who have only what the server knows.
    persisted = state.model_copy(update={"data": state.data.metadata})
    assert persisted.result(_sync=True) == value
    assert place.references() == []


def test_a_result_of_a_flow_is_stored_and_read_from_its_state(place: Place) -> None:
    @flow(**place.kept())
    def work() -> Any:
        return {"frame": table().to_pandas()}

    state = work(return_state=True)
    persisted = state.model_copy(update={"data": state.data.metadata})
    pandas.testing.assert_frame_equal(persisted.result(_sync=True)["frame"], table().to_pandas())
    reference = place.only()
    assert reference.key.startswith("prefect/work/flow-result/")
    assert reference.metadata["prefect"]["flow_name"] == "work"
    assert "task_name" not in reference.metadata["prefect"]


def test_a_retried_flow_takes_what_its_tasks_have_done_already(place: Place) -> None:
    runs = []

    @task(**place.kept(cache_result_in_memory=False))
    def create() -> pandas.DataFrame:
        runs.append("create")
        return table().to_pandas()

    @flow(retries=1)
    def work() -> pandas.DataFrame:
        found = create()
        runs.append("work")
        if runs.count("work") == 1:
            raise ValueError("not yet")
        return found

    pandas.testing.assert_frame_equal(work(), table().to_pandas())
    assert runs == ["create", "work", "work"]


def test_a_retried_task_stores_only_what_its_last_attempt_returned(place: Place) -> None:
    attempts = []

    @task(**place.cached(retries=2))
    def create() -> pyarrow.Table:
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError("not yet")
        return table(len(attempts))

    @flow
    def work() -> pyarrow.Table:
        return create()

    assert work() == table(3)
    assert place.only().version == 1


def test_a_failed_task_keeps_its_own_error(place: Place) -> None:
    @task(**place.cached(result_serializer=place.serializer(strict=True, pickle=False)))
    def fail() -> None:
        raise ValueError("the reason")

    @flow
    def work() -> None:
        fail()

    with pytest.raises(ValueError, match="the reason"):
        work()


def test_async_flows_and_tasks_store_their_results(place: Place) -> None:
    runs = []

    @task(**place.cached(cache_result_in_memory=False))
    async def create() -> pandas.DataFrame:
        runs.append("async")
        return table().to_pandas()

    @task(**place.cached(cache_result_in_memory=False))
    def create_too(rows: int) -> pyarrow.Table:
        runs.append("sync")
        return table(rows)

    @flow(**place.kept())
    async def work() -> Any:
        return {"async": await create(), "sync": create_too(5)}

    first = asyncio.run(work(return_state=True))
    second = asyncio.run(work())
    assert sorted(runs) == ["async", "sync"]
    found = first.model_copy(update={"data": first.data.metadata}).result(_sync=True)
    for result in (found, second):
        pandas.testing.assert_frame_equal(result["async"], table().to_pandas())
        assert result["sync"] == table(5)


def test_a_hundred_mapped_tasks_store_a_hundred_frames(place: Place) -> None:
    runs = []

    @task(**place.cached())
    def create(number: int) -> pyarrow.Table:
        runs.append(number)
        return table(1, number)

    @flow
    def work() -> list[Any]:
        return create.map(range(100)).result()

    assert [found["row"][0].as_py() for found in work()] == list(range(100))
    assert [found["row"][0].as_py() for found in work()] == list(range(100))
    assert sorted(runs) == list(range(100))
    assert len(place.references()) == 100


def test_nested_flows_store_under_their_own_names(place: Place) -> None:
    @task(**place.kept())
    def create() -> pyarrow.Table:
        return table()

    @flow(**place.kept())
    def inner() -> Any:
        return create()

    @task(**place.kept())
    def calls_a_flow() -> int:
        return inner().num_rows

    @flow
    def outer() -> Any:
        return inner(), calls_a_flow()

    assert outer() == (table(), 3)
    found = [(reference.key.split("/")[1:3], reference.metadata["prefect"]) for reference in place.references()]
    assert [key for key, _ in found] == [["inner", "create"]] * 2 + [["inner", "flow-result"]] * 2
    assert all("task_name" not in facts for key, facts in found if key[1] == "flow-result")


def test_a_generator_task_stores_what_it_returns_and_yields_the_rest(place: Place) -> None:
    @task(**place.kept())
    def create() -> Any:
        yield table(1)
        yield table(2)
        return table(3)

    @flow
    def work() -> list[int]:
        return [found.num_rows for found in create()]

    assert work() == [1, 2]
    assert place.only().rows == 3


def test_tasks_run_in_other_processes_and_their_frames_are_found(place: Place) -> None:
    @task(**place.cached())
    def create(kind: str) -> Any:
        from flow_support import KINDS

        return KINDS[kind]()

    @task(**place.kept())
    def passes_on(frame: Any) -> Any:
        from flow_support import rows_of

        assert rows_of(frame) == [{"row": row, "name": f"row {row}"} for row in range(3)]
        return frame

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
    def work() -> list[Any]:
        created = [create.submit(kind) for kind in ("pandas", "reader")]
        reference = created[1].result().reference
        return [passes_on.submit(future).result() for future in created] + [passes_on.submit(reference).result()]

    frame, batches, reference = work()
    assert type(frame) is pandas.DataFrame
    assert type(batches) is StoredBatches and rows_of(batches) == table().to_pylist()
    assert type(reference) is ResultReference and reference == batches.reference
    # A handle and a reference are handed on, and not stored again.
    assert len(place.references()) == 3


def test_only_metadata_is_read_to_see_whether_a_result_is_there_with_a_key_storage(
    place: Place, tmp_path: Path
) -> None:
    runs = []
    policy = TASK_SOURCE.configure(key_storage=tmp_path / "keys")

    @task(**place.kept(cache_policy=policy, cache_result_in_memory=False))
    def create() -> pandas.DataFrame:
        runs.append(1)
        return table().to_pandas()

    @flow
    def work() -> pandas.DataFrame:
        return create()

    work()
    pandas.testing.assert_frame_equal(work(), table().to_pandas())
    assert len(runs) == 1
    (record,) = place.records()
    assert json.loads(record.read_text())["coldframe"] == 1


def test_the_type_string_means_the_serializer_once_it_is_imported(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDFRAME_STORE", place.location)

    @task(persist_result=True, result_serializer="coldframe", result_storage=place.results, cache_policy=TASK_SOURCE)
    def create() -> pyarrow.Table:
        return table()

    @flow
    def work() -> pyarrow.Table:
        return create()

    assert work() == work() == table()
    (record,) = place.records()
    assert json.loads(record.read_text())["metadata"]["serializer"] == {"type": "coldframe"}


def test_another_process_hits_what_this_one_has_stored(place: Place) -> None:
    @task(**place.kept(cache_key_fn=lambda *_: "one-key", cache_result_in_memory=False))
    def create() -> pandas.DataFrame:
        return table().to_pandas()

    @flow
    def work() -> pandas.DataFrame:
        return create()

    work()
    printed = in_another_process(
        """
        import sys
        from pathlib import Path

        import coldframe.prefect
        from prefect import flow, task

        @task(
            persist_result=True,
            result_storage=Path(sys.argv[1]),
            cache_key_fn=lambda *_: "one-key",
        )
        def create():
            raise SystemExit("it ran again")

        @flow
        def work():
            return create()

        found = work()
        print(type(found).__module__, type(found).__name__, found.to_dict("list"))
        """,
        place.results,
    )
    assert "DataFrame" in printed
    assert str(table().to_pandas().to_dict("list")) in printed
