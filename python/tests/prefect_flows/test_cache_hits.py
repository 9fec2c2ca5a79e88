"""When Prefect takes a stored result for there, and when it runs again."""

from __future__ import annotations

import gc
import json
import logging
import time
import weakref
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pyarrow
import pytest
from flow_support import KINDS, LAZY, LIMIT, Place, logged, rows_of, table
from prefect import flow, task
from prefect.cache_policies import TASK_SOURCE

import coldframe
from coldframe.errors import DamagedError, GoneError
from coldframe.prefect import memory

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Work:
    """A flow with one task that counts how often it ran."""

    def __init__(self, place: Place, make: Any, **options: Any) -> None:
        self.runs = 0

        @task(**place.cached(**{"cache_result_in_memory": False, **options}))
        def create() -> Any:
            self.runs += 1
            return make()

        @flow
        def work() -> Any:
            return create()

        self.run = work


def deleted(place: Place) -> None:
    place.store.delete(place.only().key)


def without_record_in_the_store(place: Place) -> None:
    for path in Path(place.location, "refs").rglob("*.json"):
        path.unlink()


def without_data(place: Place) -> None:
    for path in place.data_files():
        path.unlink()


def damaged(place: Place) -> None:
    for path in place.data_files():
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(content)


def without_prefects_record(place: Place) -> None:
    for path in place.records():
        path.unlink()


def expired(place: Place, day: int = 1) -> None:
    for path in Path(place.location, "refs").rglob("*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "expires": f"2020-01-{day:02}T00:00:00Z"}))


GONE = [deleted, without_record_in_the_store, without_data, without_prefects_record]


@pytest.mark.parametrize("spoil", GONE, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("kind", ["pandas", "lazy", "relation", "reader", "reference"])
def test_what_is_gone_is_made_again(place: Place, kind: str, spoil: Any) -> None:
    made = KINDS.get(kind, lambda: coldframe.prefect.put(table(), "by-hand"))
    work = Work(place, made)
    work.run()
    if kind == "reference" and spoil is deleted:
        (reference,) = place.references()
        place.store.delete(reference.key)
    else:
        spoil(place)
    healed = work.run()
    again = work.run()
    assert work.runs == 2
    assert rows_of(healed) == rows_of(again) == table().to_pylist()


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_a_damaged_frame_is_made_again(place: Place, kind: str) -> None:
    work = Work(place, KINDS[kind])
    work.run()
    damaged(place)
    with logged() as lines:
        healed = work.run()
    assert work.runs == 2
    assert rows_of(healed) == table().to_pylist()
    assert len([line for line in lines.text().splitlines() if "cannot be read" in line]) == 1


@pytest.mark.parametrize("kind", LAZY)
def test_a_damaged_table_that_is_read_later_says_so_when_it_is_read(place: Place, kind: str) -> None:
    many = table(300_000)
    made = {
        "lazy": lambda: polars.DataFrame(many).lazy(),
        "relation": lambda: duckdb.connect().from_arrow(many),
        "reader": many.to_reader,
    }[kind]
    work = Work(place, made)
    work.run()
    damaged(place)
    found = work.run()
    # Whether bytes are damaged is seen by reading them, and a lazy frame is not read for a look.
    assert work.runs == 1
    with pytest.raises(Exception, match="(?i)damaged|checksum|differ"):
        rows_of(found)


def test_a_task_that_prefect_would_hit_by_its_key_alone_fails_where_the_frame_is_gone(
    place: Place, tmp_path: Path
) -> None:
    policy = TASK_SOURCE.configure(key_storage=tmp_path / "keys")
    work = Work(place, KINDS["pandas"], cache_policy=policy)
    work.run()
    deleted(place)
    with pytest.raises(GoneError, match="deleted"):
        work.run()


def test_what_expired_is_made_again_as_the_next_version(place: Place) -> None:
    runs = []

    @task(**place.cached(cache_expiration=timedelta(hours=1), cache_result_in_memory=False))
    def create() -> pyarrow.Table:
        runs.append(1)
        return table(len(runs))

    @flow
    def work() -> pyarrow.Table:
        return create()

    work()
    (record,) = place.records()
    content = json.loads(record.read_text())
    first = place.only()
    expiration = datetime.fromisoformat(content["metadata"]["expiration"].replace("Z", "+00:00"))
    # Frames outlive their record, for those who have a handle.
    assert abs(first.expires - expiration - timedelta(hours=1)) < timedelta(milliseconds=1)
    assert work() == table(1)
    content["metadata"]["expiration"] = "2020-01-01T00:00:00Z"
    record.write_text(json.dumps(content))
    assert work() == table(2) == work()
    assert len(runs) == 2
    second = place.only()
    assert (first.key, first.version, second.version) == (second.key, 1, 2)
    assert second.expires > first.expires


# A line is logged once, and these are of one key.
@pytest.mark.parametrize(("kind", "day"), [("pandas", 2), ("lazy", 3), ("reader", 4)])
def test_a_frame_that_the_store_takes_for_expired_is_a_miss(place: Place, kind: str, day: int) -> None:
    work = Work(place, KINDS[kind], cache_expiration=timedelta(hours=1))
    work.run()
    expired(place, day)
    with logged() as lines:
        assert rows_of(work.run()) == table().to_pylist()
    assert work.runs == 2
    assert len(lines.of(logging.WARNING, f"expired at 2020-01-{day:02}")) == 1


def test_a_result_that_is_expired_before_it_is_committed_can_still_be_read_downstream(place: Place) -> None:
    @task(**place.cached(cache_expiration=timedelta(seconds=-5)))
    def create() -> Any:
        return KINDS["reader"]()

    @flow
    def work() -> Any:
        with logged() as lines:
            found = create()
        assert "not persisted" not in lines.text()
        return rows_of(found)

    assert work() == table().to_pylist()
    assert place.only().expires > datetime.now(timezone.utc)


def test_refresh_cache_makes_a_new_version(place: Place) -> None:
    work = Work(place, KINDS["pandas"], refresh_cache=True)
    work.run()
    work.run()
    assert work.runs == 2
    assert place.only().version == 2


def test_one_object_is_given_within_a_run_with_results_in_memory(place: Place) -> None:
    runs = []

    @task(**place.cached(cache_result_in_memory=True))
    def create() -> pandas.DataFrame:
        runs.append(1)
        return table().to_pandas()

    @flow
    def work() -> bool:
        return create() is create()

    assert work()
    assert len(runs) == 1


def test_changing_a_frame_from_a_hit_changes_no_later_hit(place: Place) -> None:
    runs = []

    @task(**place.cached(cache_result_in_memory=False))
    def create() -> pandas.DataFrame:
        runs.append(1)
        return table().to_pandas()

    @flow
    def work() -> None:
        create()
        for _ in range(3):
            found = create()
            pandas.testing.assert_frame_equal(found, table().to_pandas())
            found["row"] = -1

    work()
    work()
    assert len(runs) == 1


@pytest.mark.parametrize("kind", ["pandas", "lazy"])
def test_a_frame_is_read_from_the_store_once_for_a_hit(
    place: Place, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(place, KINDS[kind])
    work.run()
    opened = []
    original = coldframe.Store.get

    def counted(self: coldframe.Store, what: Any, *rest: Any, **options: Any) -> Any:
        opened.append(str(what))
        return original(self, what, *rest, **options)

    monkeypatch.setattr(coldframe.Store, "get", counted)
    work.run()
    assert work.runs == 1
    assert opened == [str(place.only())]


def test_a_frame_that_prefect_only_looked_for_is_let_go_when_the_task_is_over(place: Place) -> None:
    looked_at = []
    keep = memory.keep

    @task(**place.cached(cache_result_in_memory=True))
    def create() -> pandas.DataFrame:
        return table().to_pandas()

    @flow
    def work() -> None:
        create()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memory, "keep", lambda name, frame: (looked_at.append(weakref.ref(frame)), keep(name, frame)))
            # From the memory of Prefect, after a look at what is stored.
            create()
        # Prefect's own threads may still be busy with a line of the run's log, which knows the run.
        until = time.monotonic() + LIMIT
        while memory._frames:
            gc.collect()
            assert time.monotonic() < until
        gc.collect()
        assert [found() for found in looked_at] == [None]

    work()


def test_two_results_of_one_key_are_two_versions(place: Place) -> None:
    work = Work(place, KINDS["arrow"], result_storage_key="always-the-same", cache_policy=None)
    work.run()
    without_prefects_record(place)
    work.run()
    assert [found.version for found in place.store.versions(place.only().key)] == [2, 1]


def test_a_damaged_record_is_a_miss(place: Place) -> None:
    work = Work(place, KINDS["pandas"])
    work.run()
    (record,) = place.records()
    content = json.loads(record.read_text())
    content["result"] = content["result"][:-10]
    record.write_text(json.dumps(content))
    work.run()
    assert work.runs == 2


def test_a_state_whose_frame_is_gone_says_when_and_why(place: Place) -> None:
    @flow(**place.kept())
    def work() -> Any:
        return table().to_pandas()

    states = [work(return_state=True) for _ in range(2)]
    place.store.delete(place.references()[0].key, reason="it is not needed any more")
    expired(place)
    said = set()
    for state in states:
        persisted = state.model_copy(update={"data": state.data.metadata})
        with pytest.raises(GoneError) as raised:
            persisted.result(retry_result_failure=False, _sync=True)
        said.add(raised.value.message)
    was_deleted, has_expired = sorted(said, key=lambda text: "expired" in text)
    assert "it is not needed any more" in was_deleted and "20" in was_deleted
    assert "expired at 2020-01-01 00:00:00 UTC" in has_expired


def test_a_damaged_frame_of_a_state_is_an_error(place: Place) -> None:
    @flow(**place.kept())
    def work() -> Any:
        return table()

    state = work(return_state=True)
    damaged(place)
    persisted = state.model_copy(update={"data": state.data.metadata})
    with pytest.raises(DamagedError):
        persisted.result(retry_result_failure=False, _sync=True)
