"""Fingerprints: as the naive model has them, for frames of every library, in references."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import fingerprint_model as model
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from frames.arrow_samples import SAMPLES, all_null, layouts, some_null, table_of

import coldframe
from coldframe.errors import UnsupportedError, WrongTypeError

TOWNS = pa.table({"town": ["Cork", None, "Ystad", "Cork"], "fare": [1.5, 2.5, None, -0.0]})


@pytest.mark.parametrize("name", SAMPLES)
def test_every_type_has_the_fingerprint_of_the_model(name: str) -> None:
    for array in (SAMPLES[name], some_null(SAMPLES[name]), all_null(SAMPLES[name])):
        table = pa.table({name: array})
        assert coldframe.fingerprint(table) == model.fingerprint(table)


@pytest.mark.parametrize("name", SAMPLES)
def test_chunks_do_not_show(name: str) -> None:
    for table in layouts(table_of(SAMPLES[name])).values():
        expected = model.fingerprint(table)
        assert coldframe.fingerprint(table) == expected
        assert coldframe.fingerprint(table.to_batches(max_chunksize=2)) == expected


def test_all_types_beside_each_other() -> None:
    columns = {name: pa.concat_arrays([array] * 12).slice(0, 12) for name, array in SAMPLES.items()}
    table = pa.table(columns)
    assert coldframe.fingerprint(table) == model.fingerprint(table)
    assert coldframe.fingerprint(table.slice(2, 5)) == model.fingerprint(table.slice(2, 5))


def test_the_fixtures_are_those_of_the_model(tmp_path: Path) -> None:
    if not model.FIXTURES.exists():
        pytest.skip("the package was taken out of its repository")
    model.write_fixtures(tmp_path)
    for path in sorted(tmp_path.glob("*.json")):
        assert path.read_text() == (model.FIXTURES / path.name).read_text(), path.name
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in model.FIXTURES.iterdir())


def test_frames_of_all_libraries_that_say_the_same() -> None:
    expected = model.fingerprint(TOWNS)
    polars = pl.DataFrame(TOWNS)
    with duckdb.connect() as connection:
        relation: Any = connection.from_arrow(TOWNS)
        assert coldframe.fingerprint(relation) == expected
    frames = [
        polars,
        polars.lazy(),
        TOWNS.to_pandas(types_mapper=pd.ArrowDtype),
        TOWNS.to_reader(max_chunksize=1),
        TOWNS.to_batches(max_chunksize=2),
        iter(TOWNS.to_batches()),
        TOWNS.set_column(0, "town", TOWNS["town"].dictionary_encode()),
        polars.with_columns(pl.col("town").cast(pl.Categorical)),
    ]
    for frame in frames:
        assert coldframe.fingerprint(frame) == expected, type(frame)


def test_an_index_of_pandas_counts_as_the_columns_that_it_becomes() -> None:
    frame = pd.DataFrame({"fare": [1.0, 2.0]})
    assert coldframe.fingerprint(frame) == coldframe.fingerprint(pa.table({"fare": [1.0, 2.0]}))
    assert coldframe.fingerprint(frame.set_index(pd.Index(["x", "y"], name="id"))) != coldframe.fingerprint(frame)


def test_every_put_keeps_that_of_its_value() -> None:
    store = coldframe.Store("memory://")
    expected = coldframe.fingerprint(TOWNS)
    for serializer in (None, "parquet/lz4", "arrow/zstd", "compressed/parquet"):
        assert store.put("towns", TOWNS, serializer=serializer).fingerprint == expected
    assert store.put("towns", TOWNS, serializer="arrow").fingerprint is None
    assert store.put("towns", TOWNS, serializer="arrow", fingerprint=True).fingerprint == expected
    without = store.put("towns", TOWNS, fingerprint=False)
    assert without.fingerprint is None
    reference = store.put("towns", TOWNS.to_pandas())
    assert reference.fingerprint == coldframe.fingerprint(TOWNS.to_pandas()) == coldframe.fingerprint(reference.get())
    assert reference.compact().fingerprint == reference.fingerprint
    assert store.put("settings", {"b": 1, "a": [0.5]}).fingerprint == coldframe.fingerprint({"a": [0.5], "b": 1.0})
    assert store.put("settings", True).fingerprint == coldframe.fingerprint(True)
    assert store.put("bytes", b"abc").fingerprint is None
    assert not store.verify(contents=True).problems


def test_verification_of_contents_finds_what_was_not_put(tmp_path: Path) -> None:
    store = coldframe.Store(tmp_path, durable=False)
    reference = store.put("towns", TOWNS)
    (path,) = (tmp_path / "refs/towns/@").iterdir()
    changed = path.read_text().replace(str(reference.fingerprint), coldframe.fingerprint(TOWNS.slice(1)))
    path.unlink()
    path.write_text(changed)
    assert not store.verify().problems
    (problem,) = store.verify(contents=True).problems
    assert problem[:2] == ("damaged", "towns@1")


def test_json_values() -> None:
    for text, canonical in model.JSON_VALUES.items():
        assert coldframe.fingerprint(json.loads(text)) == model.fingerprint_of_json(canonical), text
    with pytest.raises(UnsupportedError, match="9007199254740993, which no double is"):
        coldframe.fingerprint([2**53 + 1])


def test_what_has_none() -> None:
    for value in (b"bytes", object(), {1, 2}):
        with pytest.raises(UnsupportedError):
            coldframe.fingerprint(value)
    with pytest.raises(WrongTypeError, match="to_frame"):
        coldframe.fingerprint(pl.Series([1]))
    with pytest.raises(WrongTypeError, match="fingerprint: True or False"):
        coldframe.Store("memory://").put("key", 1, fingerprint="no")  # type: ignore[arg-type]
