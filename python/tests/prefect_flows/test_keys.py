"""Under which keys results are stored, and how people find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pytest
from flow_support import Place, table
from prefect import flow, task
from prefect.cache_policies import INPUTS

from coldframe.prefect.run import Run

pytestmark = pytest.mark.usefixtures("prefect_server")
NAMES = ["a/b\\c", "😀" * 60, "trips@3", "...", "x" * 300, " spaces ", "a: *?", "%2F", "é"]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_results_of_any_name_are_stored_and_found(place: Place, name: str) -> None:
    @task(name=name, task_run_name="{label}", **place.cached(cache_result_in_memory=False))
    def create(label: str) -> Any:
        return {name: {"deep": [table()]}}

    @flow(name=name.replace("/", "-").replace("%", "-"), flow_run_name="run of " + name)
    def work() -> Any:
        return create(name)

    assert work() == work() == {name: {"deep": [table()]}}
    reference = place.only()
    assert reference.key.startswith("prefect/") and reference.version == 1
    assert len(reference.key.encode()) <= 700
    facts = reference.metadata["prefect"]
    assert facts["task_name"] == name
    assert facts["task_run_name"] == name
    assert facts["flow_run_name"] == "run of " + name
    assert [found.key for found in place.store.list(search=facts["task_run_name"][:100])] == [reference.key]


@pytest.mark.parametrize("name", [*NAMES, "line\nbreak", "", "\u202e"], ids=range(len(NAMES) + 3))
def test_every_part_of_a_key_may_have_any_name(place: Place, name: str) -> None:
    key = Run(flow=name, task=name, cache_key=name).key(*[name] * 8)
    assert place.store.put(key, table()).key == key


def test_long_names_that_begin_alike_are_told_apart() -> None:
    keys = {Run(flow="f", task="t", cache_key="x" * 100 + end).key() for end in "ab"}
    assert len(keys) == 2
    emoji = {Run(flow="f", task="t", cache_key="😀" * 40 + end).key() for end in "ab"}
    assert len(emoji) == 2


def test_tasks_of_one_name_in_different_flows_have_different_keys(place: Place) -> None:
    @task(**place.kept(cache_policy=INPUTS))
    def create(rows: int) -> pyarrow.Table:
        return table(rows)

    @flow
    def first() -> None:
        create(1)

    @flow
    def second() -> None:
        create(2)

    first()
    second()
    assert [found.key.split("/")[:3] for found in place.references()] == [
        ["prefect", "first", "create"],
        ["prefect", "second", "create"],
    ]
    (found,) = place.store.list("prefect/second")
    assert found.rows == 2


# Prefect says that lines without a flow do not get into its database.
@pytest.mark.filterwarnings("ignore:Logger 'prefect.task_runs' attempted to send logs")
def test_a_task_outside_of_flows_and_a_user_s_own_key_are_named_as_they_are(place: Place) -> None:
    @task(**place.kept(result_storage_key="daily/{parameters[day]}.json"))
    def create(day: str) -> Any:
        return {"train": table(), "test": table(1)}

    create("2026-11-20")
    assert [found.key for found in place.references()] == [
        "prefect/no-flow/create/daily/2026-11-20.json/test",
        "prefect/no-flow/create/daily/2026-11-20.json/train",
    ]


def test_a_title_says_which_run_it_was(place: Place) -> None:
    @task(task_run_name="the run", **place.cached())
    def create() -> pyarrow.Table:
        return table()

    @flow(flow_run_name="the flow's run", **place.kept())
    def work() -> pyarrow.Table:
        return create()

    work()
    assert sorted(found.title for found in place.references()) == [
        "Result of flow run the flow's run",
        "Result of task run the run",
    ]
