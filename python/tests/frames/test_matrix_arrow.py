"""Arrow tables of every type, by every serializer, come back exactly or are refused with a reason."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from arrow_samples import REFUSED_BY_PARQUET, SAMPLES, SERIALIZERS, layouts, table_of
from exact import assert_same_table

from coldframe import Store
from coldframe.errors import LossyError, LossyWarning, UnsupportedError

_KEYS = (f"arrow/{number}" for number in itertools.count())


def _cases() -> list[object]:
    return [
        pytest.param(serializer, name, id=f"{serializer}-{name}")
        for serializer, name in itertools.product(SERIALIZERS, SAMPLES)
        if not ("parquet" in serializer and name in REFUSED_BY_PARQUET)
    ]


def _comes_back(store: Store, table: pa.Table, serializer: str) -> None:
    returned = store.get(store.put(next(_KEYS), table, serializer=serializer, strict=True))
    assert type(returned) is pa.Table
    assert_same_table(table, returned)


@pytest.mark.parametrize(("serializer", "name"), _cases())
def test_a_type_comes_back(shared_store: Store, serializer: str, name: str) -> None:
    for table in layouts(table_of(SAMPLES[name])).values():
        _comes_back(shared_store, table, serializer)


@pytest.mark.parametrize(("serializer", "name"), _cases())
def test_a_type_comes_back_without_rows(shared_store: Store, serializer: str, name: str) -> None:
    table = table_of(SAMPLES[name])
    _comes_back(shared_store, table.slice(0, 0), serializer)
    _comes_back(shared_store, pa.Table.from_batches([], table.schema), serializer)


@pytest.mark.parametrize("serializer", [serializer for serializer in SERIALIZERS if "parquet" in serializer])
@pytest.mark.parametrize("name", sorted(REFUSED_BY_PARQUET))
def test_what_parquet_cannot_hold_is_refused(shared_store: Store, serializer: str, name: str) -> None:
    key = next(_KEYS)
    with pytest.raises(UnsupportedError, match="`none`") as caught:
        shared_store.put(key, pa.table({"sound": [1, 2], "none": SAMPLES[name].slice(0, 2)}), serializer=serializer)
    assert "arrow" in str(caught.value.hint)
    assert not shared_store.exists(key)


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_that_keys_are_sorted_is_forgotten_and_named(shared_store: Store, serializer: str) -> None:
    kind = pa.map_(pa.string(), pa.int64(), keys_sorted=True)
    table = pa.table({"plain": [1, 2], "m": pa.array([[("a", 1), ("b", None)], []], kind)})
    with pytest.warns(LossyWarning, match="column `m`: that the keys of its maps are sorted"):
        reference = shared_store.put(next(_KEYS), table, serializer=serializer)
    assert [loss["column"] for loss in reference.lossy] == ["m"]
    returned = shared_store.get(reference)
    assert_same_table(table.set_column(1, "m", table["m"].cast(pa.map_(pa.string(), pa.int64()))), returned)
    key = next(_KEYS)
    with pytest.raises(LossyError, match="column `m`"):
        shared_store.put(key, table, serializer=serializer, strict=True)
    assert not shared_store.exists(key)


def test_dictionaries_that_differ_are_named_once_they_were_met(shared_store: Store) -> None:
    chunks = [pa.array(values).dictionary_encode() for values in (["b", "a"], ["c", "a"])]
    table = pa.table({"d": pa.chunked_array(chunks)})
    with pytest.warns(LossyWarning, match="column `d`"):
        reference = shared_store.put(next(_KEYS), table)
    assert [loss["column"] for loss in reference.lossy] == ["d"]
    assert reference.to_arrow()["d"].to_pylist() == ["b", "a", "c", "a"]
    key = next(_KEYS)
    with pytest.raises(UnsupportedError, match="column `d`"):
        shared_store.put(key, table, strict=True)
    assert not shared_store.exists(key)
