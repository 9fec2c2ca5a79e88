"""Readers that were read to be stored, where that failed: nobody downstream gets an empty table."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from flow_support import Place, logged, reader, table
from prefect import flow, task

from coldframe.errors import InputError
from coldframe.prefect import NotPersistedError, ParquetSerializer

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def broken() -> pyarrow.RecordBatchReader:
    """A reader whose source fails after the first batch."""

    def batches() -> Iterator[pyarrow.RecordBatch]:
        yield table().to_batches()[0]
        raise OSError("the source went away")

    return pyarrow.RecordBatchReader.from_batches(table().schema, batches())


@pytest.mark.parametrize("inline", [False, True])
def test_a_reader_that_fails_in_the_middle_fails_downstream_too(place: Place, inline: bool) -> None:
    serializer = ParquetSerializer() if inline else place.serializer()

    @task(**place.cached(result_serializer=serializer))
    def create() -> Any:
        return broken()

    @flow
    def work() -> Any:
        handle = create()
        for read in (handle.read_all, handle.to_reader, lambda: list(handle), lambda: pyarrow.table(handle)):
            with pytest.raises(InputError, match="the source went away"):
                read()
        return "read"

    with logged() as lines:
        assert work() == "read"
    assert len(lines.of(logging.ERROR, "the source went away")) >= 1
    assert place.references() == []


def test_what_else_is_in_the_value_stays_as_it_was(place: Place) -> None:
    frame = table()

    @task(**place.cached())
    def create() -> Any:
        return {"good": frame, "bad": broken()}

    @flow
    def work() -> Any:
        return create()

    value = work()
    assert value["good"] is frame
    with pytest.raises(InputError):
        value["bad"].read_all()
    # What was put before is deleted again.
    assert place.references() == []


def test_a_reader_that_was_not_read_yet_is_left_alone(place: Place) -> None:
    elsewhere = Place(Path(place.location).parent / "elsewhere")
    gone = elsewhere.store.put("gone", table())
    memory = type(place.store)("memory://lost-readers").put("in-memory", table())

    @task(**place.cached())
    def create() -> Any:
        # The reference cannot be recorded, and readers come last.
        return {"reader": reader(), "reference": memory, "other": gone}

    @flow
    def work() -> Any:
        return create()["reader"].read_all()

    assert work() == table()
    assert place.references() == []


def test_with_strict_the_run_ends(place: Place) -> None:
    @task(**place.cached(result_serializer=place.serializer(strict=True)))
    def create() -> Any:
        return broken()

    @flow
    def work() -> Any:
        return create()

    with pytest.raises(NotPersistedError, match="the source went away"):
        work()


class Stream:
    """What gives a stream once, of no library that is known."""

    def __init__(self) -> None:
        self._reader = reader()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._reader.__arrow_c_stream__(requested_schema)


def test_other_streams_are_of_one_kind_fresh_and_from_the_cache(place: Place) -> None:
    @task(**place.cached(cache_result_in_memory=False))
    def create() -> Any:
        return Stream()

    @flow
    def work() -> list[str]:
        kinds = [type(create()).__name__ for _ in range(2)]
        assert create().read_all() == table()
        return kinds

    assert work() == ["StoredBatches", "StoredBatches"]


class OneWay:
    """What can be pickled, and not be made again."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def __setstate__(self, state: Any) -> None:
        raise ValueError("this cannot be made again")


def test_what_cannot_be_handed_on_is_persisted_all_the_same_and_told(place: Place) -> None:
    @task(**place.cached())
    def create() -> Any:
        return OneWay(reader())

    @flow
    def work() -> None:
        create()

    with logged() as lines:
        work()
    (line,) = lines.of(logging.ERROR, "cannot be handed on")
    assert "this cannot be made again" in line
    assert place.only().to_arrow() == table()
    assert len(place.records()) == 1
