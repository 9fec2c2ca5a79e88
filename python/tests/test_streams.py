"""Streams of other libraries, and of coldframe itself, as input; what is read twice, cut by a fork, or pickled."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support import forked

import coldframe
from coldframe.errors import InvalidInputError, NotFoundError, UnsupportedError

TABLE = pa.table({"x": [1, 2, 3]})


@pytest.fixture
def store(tmp_path: Path) -> coldframe.Store:
    return coldframe.Store(tmp_path / "store", durable=False)


class OnlyStream:
    """An object of an unknown library over a reader that ends."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._reader = reader

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._reader.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "item",
    [
        lambda store: store.scan("a"),
        lambda store: store.reference("a"),
        lambda store: pa.RecordBatchReader.from_stream(store.scan("a")),
        lambda store: pa.table(store.scan("a")),
    ],
)
def test_results_are_items_of_an_iterator(store: coldframe.Store, item: Any) -> None:
    store.put("a", TABLE)

    def items() -> Iterator[Any]:
        yield item(store)
        yield item(store)

    assert store.put("joined", items()).to_arrow().equals(pa.concat_tables([TABLE, TABLE]))


def test_rows_that_are_null_themselves_are_refused(store: coldframe.Store) -> None:
    class OnlyArray:
        """An object of an unknown library over structs, of which one is null."""

        def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
            return pa.array([{"x": 1}, None, {"x": 3}]).__arrow_c_array__(requested_schema)

    with pytest.raises(InvalidInputError, match="null themselves"):
        store.put("key", OnlyArray())
    assert not store.exists("key")


def test_a_stream_of_an_unknown_library_is_not_read_twice(store: coldframe.Store) -> None:
    stream = OnlyStream(TABLE.to_reader())
    assert store.put("key", stream).rows == 3
    with pytest.raises(InvalidInputError, match="read before"):
        store.put("key", stream)
    assert len(store.versions("key")) == 1


def test_an_empty_result_is_no_stream_that_was_read(store: coldframe.Store) -> None:
    store.put("empty", TABLE.slice(0, 0))
    assert store.put("again", store.scan("empty")).rows == 0
    assert store.put("again", store.reference("empty")).rows == 0


def test_batches_begun_before_a_fork_are_the_parents(store: coldframe.Store) -> None:
    store.put("large", pa.table({"x": range(300_000)}))
    batches = store.scan("large").batches()
    next(batches)

    def child() -> None:
        with pytest.raises(UnsupportedError, match="before a fork"):
            next(batches)
        assert sum(batch.num_rows for batch in store.scan("large").batches()) == 300_000

    forked(child)
    assert sum(batch.num_rows for batch in batches) > 0


def test_a_store_in_memory_is_not_pickled() -> None:
    store = coldframe.Store("memory://")
    reference = pickle.loads(pickle.dumps(store.put("key", 1)))
    with pytest.raises(UnsupportedError, match="memory"):
        reference.get()
    with pytest.raises(UnsupportedError, match="memory"):
        pickle.dumps(store)


def test_a_pickled_store_keeps_its_settings(tmp_path: Path) -> None:
    store = coldframe.Store(tmp_path, durable=False, memory=32 << 20, cache=False, progress=False)
    store.put("key", TABLE)
    again = pickle.loads(pickle.dumps(store))
    assert again.get("key").equals(TABLE)
    assert pickle.dumps(again) == pickle.dumps(store)


def test_a_pickled_reference_opens_the_store_that_it_was_bound_to(tmp_path: Path) -> None:
    mine, theirs = (
        coldframe.Store(tmp_path / "mine", durable=False),
        coldframe.Store(tmp_path / "theirs", durable=False),
    )
    mine.put("key", "mine")
    foreign = theirs.put("key", "theirs").json()
    received = coldframe.ResultReference.from_json(foreign, mine)
    with pytest.raises(NotFoundError, match="not there"):
        received.get()
    with pytest.raises(NotFoundError, match="not there"):
        pickle.loads(pickle.dumps(received)).get()


def test_a_home_folder_is_the_shells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert coldframe.Store("~/results").url == f"file://{tmp_path}/results"
