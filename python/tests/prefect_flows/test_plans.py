"""Frames that compute their rows when they are asked: those downstream read what is stored, in whatever process."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import polars
import pytest
from flow_support import Place, logged, table
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE

from coldframe.prefect import ArrowSerializer, references

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def counted(computed: list[int]) -> polars.LazyFrame:
    """A plan that gives other rows each time."""

    def count(frame: polars.DataFrame) -> polars.DataFrame:
        computed.append(1)
        return frame.with_columns(time=polars.lit(len(computed)))

    return polars.LazyFrame({"row": [1, 2]}).map_batches(count, schema={"row": polars.Int64, "time": polars.Int32})


@pytest.mark.parametrize("inline", [False, True])
def test_a_lazy_frame_is_computed_once_and_all_read_what_is_stored(place: Place, inline: bool) -> None:
    computed: list[int] = []
    serializer = ArrowSerializer() if inline else place.serializer()

    @task(**place.cached(result_serializer=serializer, cache_result_in_memory=False))
    def create() -> Any:
        return {"plan": counted(computed)}

    @flow
    def work() -> list[Any]:
        fresh, hit, future = create()["plan"], create()["plan"], create.submit().result()["plan"]
        assert all(type(found) is polars.LazyFrame for found in (fresh, hit, future))
        return [found.collect()["time"].to_list() for found in (fresh, fresh, hit, future)]

    assert work() == [[1, 1]] * 4
    assert computed == [1]


@pytest.mark.parametrize("inline", [False, True])
def test_tasks_that_are_given_a_stored_lazy_frame_are_cached(place: Place, inline: bool) -> None:
    serializer = ArrowSerializer() if inline else place.serializer()
    ran: list[str] = []

    @task(**place.cached(result_serializer=serializer, cache_result_in_memory=False))
    def create() -> polars.LazyFrame:
        return polars.DataFrame(table()).lazy()

    @task(**place.kept(cache_policy=INPUTS + TASK_SOURCE))
    def count(frame: polars.LazyFrame) -> int:
        ran.append("count")
        return frame.select(polars.len()).collect().item()

    @flow
    def work() -> int:
        return count(create())

    with logged() as lines:
        assert [work(), work(), work()] == [3, 3, 3]
    assert ran == ["count"]
    assert lines.of(logging.ERROR) == []


def test_a_lazy_frame_and_a_scan_travel_by_pickle(place: Place) -> None:
    reference = place.store.put("trips", polars.DataFrame(table()))
    lazy = reference.lazy().filter(polars.col("row") > 0).select("name")
    assert cloudpickle.loads(cloudpickle.dumps(lazy)).collect().to_dicts() == [{"name": "row 1"}, {"name": "row 2"}]
    scan = place.store.scan("trips", ["name"], offset=1, limit=1)
    assert pickle.loads(pickle.dumps(scan)).to_arrow().to_pylist() == [{"name": "row 1"}]


def test_a_wrong_setting_of_the_environment_makes_no_pickles(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLDFRAME_SERIALIZER", "parquet/zstd(99)")
    elsewhere = Place(Path(place.location).parent / "elsewhere")

    @task(**elsewhere.cached())
    def create() -> Any:
        return table()

    @flow
    def work() -> Any:
        return create()

    with logged() as lines:
        work()
    (line,) = lines.of(logging.ERROR, "was not persisted")
    assert "99 is no level" in line
    assert elsewhere.references() == []


def test_a_frame_that_is_kept_as_a_pickle_has_the_key_of_the_result(place: Place) -> None:
    import pandas

    @task(**place.cached())
    def create() -> Any:
        return pandas.DataFrame({"odd": [object, print]})

    @flow
    def work() -> Any:
        return create.submit(), create.submit()

    with logged() as lines:
        futures = work()
    assert len(lines.of(logging.WARNING, "is kept as a pickle")) >= 1
    (reference, *_) = references(list(futures))
    assert reference.key.count("/") == 3 and not reference.key.endswith("-2")
