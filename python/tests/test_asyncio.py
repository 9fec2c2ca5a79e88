"""Inside an asyncio loop: calls block it as any call does, and `asyncio.to_thread` keeps it running."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import polars
import pyarrow as pa
import pytest
from support import LIMIT, batches, table

from coldframe import Store
from coldframe.errors import NotFoundError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


def test_calls_inside_a_running_loop(store: Store, tmp_path: Path) -> None:
    async def main() -> None:
        wanted = table(1000)
        reference = store.put("key", wanted)
        assert store.get(reference).equals(wanted)
        assert pa.table(store.scan("key", limit=3)).num_rows == 3
        assert sum(batch.num_rows for batch in reference.batches()) == 1000
        assert [found.key for found in store.list()] == ["key"]
        assert reference.lazy().select(polars.col("row").max()).collect().item() == 999
        assert store.put("iterator", batches(2)).rows == 2000
        assert Store(tmp_path / "other").put("key", 1).version == 1
        with pytest.raises(NotFoundError):
            store.get("nothing")

    asyncio.run(main())


def test_several_at_once_in_threads(store: Store) -> None:
    async def one(number: int) -> int:
        reference = await asyncio.to_thread(store.put, f"key/{number}", table(1000, number))
        found = await asyncio.to_thread(store.get, reference)
        return int(found["row"][0].as_py())

    async def main() -> list[int]:
        return await asyncio.gather(*(one(number) for number in range(10)))

    assert asyncio.run(main()) == list(range(10))
    assert len(store.list()) == 10


def test_loop_runs_while_a_thread_puts(store: Store) -> None:
    async def main() -> int:
        loop, turn = asyncio.get_running_loop(), asyncio.Event()
        turns = 0

        def made() -> Iterator[pa.RecordBatch]:
            for batch in batches(5):
                # Waits for a turn of the loop: if the put held it up, neither would go on.
                asyncio.run_coroutine_threadsafe(once(), loop).result(LIMIT)
                yield batch

        async def once() -> None:
            nonlocal turns
            turns += 1
            turn.set()

        reference = await asyncio.to_thread(store.put, "key", made())
        assert reference.rows == 5000
        return turns

    assert asyncio.run(main()) == 5


def test_several_loops_one_after_the_other(store: Store) -> None:
    async def main(number: int) -> int:
        return (await asyncio.to_thread(store.put, "key", number)).version

    assert [asyncio.run(main(number)) for number in range(3)] == [1, 2, 3]


def test_waiter_that_is_cancelled_leaves_the_store_sound(store: Store) -> None:
    async def main() -> None:
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def made() -> Iterator[pa.RecordBatch]:
            loop.call_soon_threadsafe(begun.set)
            yield from batches(50)

        task = asyncio.create_task(asyncio.to_thread(store.put, "key", made()))
        await asyncio.wait_for(begun.wait(), LIMIT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    # The thread cannot be cancelled, by asyncio's own rules: the loop's end waits for it, and the put is whole.
    asyncio.run(main())
    assert store.get("key").read_all().num_rows == 50_000
    assert store.verify().notes == []
