"""Wrong calls: each error is a ColdframeError and the builtin that fits, and says what to do; nothing is left."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support import files, table

import coldframe
from coldframe import Store
from coldframe.errors import (
    ColdframeError,
    ColumnNotFoundError,
    ConfigurationError,
    InputError,
    InvalidInputError,
    MissingSerializerError,
    UnsupportedError,
    WrongTypeError,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """A store in which nothing is left behind, whatever the test does."""
    store = Store(folder, durable=False)
    yield store
    assert len(store.list()) == 0
    assert files(folder) == []


def drained() -> pa.RecordBatchReader:
    reader = table(10).to_reader()
    reader.read_all()
    return reader


def used_generator() -> Iterator[Any]:
    items = iter(table(10).to_batches())
    list(items)
    return items


class Custom:
    """What no library knows."""


VALUES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "series of pandas": (lambda: pd.Series([1], name="a"), TypeError, r"Series.*to_frame\(\)"),
    "index of pandas": (lambda: pd.Index([1]), TypeError, r"Index.*to_frame\(\)"),
    "series of polars": (lambda: pl.Series([1]), TypeError, r"Series.*to_frame\(\)"),
    "array of pyarrow": (lambda: pa.array([1]), TypeError, r"Array.*pyarrow\.table"),
    "chunked array": (lambda: pa.chunked_array([[1]]), TypeError, r"ChunkedArray.*pyarrow\.table"),
    "expression": (lambda: pl.col("a"), ValueError, "Expr"),
    "class of pandas": (lambda: pd.DataFrame, ValueError, r"class `DataFrame`.*DataFrame\(\.\.\.\)"),
    "class of the user's": (lambda: Custom, ValueError, r"class `Custom`.*Custom\(\.\.\.\)"),
    "drained reader": (drained, ValueError, "no batches.*new reader"),
    "used generator": (used_generator, ValueError, "no batch.*read before"),
    "empty generator": (lambda: iter(()), ValueError, "no batch.*empty_table"),
    "generator of text": (lambda: iter(["a", "b"]), TypeError, "gave a str.*give batches"),
    "generator of tuples": (lambda: ((n, n) for n in range(3)), TypeError, "gave a tuple.*give batches"),
    "zip": (lambda: zip([1], [2]), TypeError, "gave a tuple"),
    "file": (lambda: io.StringIO("a\nb"), TypeError, "gave a str"),
    "connection of duckdb": (lambda: duckdb.connect(), TypeError, r"DuckDBPyConnection.*connection\.sql"),
    "duplicate columns of pandas": (lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "`?a`?"),
    "object of the user's": (Custom, ValueError, "Custom.*serializer="),
    "set": (lambda: {1, 2}, ValueError, "set.*serializer="),
    "date": (lambda: dt.date(2026, 1, 1), ValueError, "date.*serializer="),
    "array": (lambda: np.zeros((2, 2, 2)), ValueError, "numpy.*column of a frame"),
    "number of numpy": (lambda: np.int64(3), ValueError, r"numpy\.int64.*\.item\(\)"),
    "tuple inside": (lambda: {"a": [(1, 2)]}, ValueError, r'value\["a"\]\[0\].*tuple'),
    "NaN inside": (lambda: {"a": float("nan")}, ValueError, r'value\["a"\].*'),
    "key that is a number": (lambda: {1: "a"}, ValueError, ".*"),
    "complex column": (lambda: pd.DataFrame({"good": [1], "bad": [1j]}), ValueError, "bad"),
    "mixed objects": (lambda: pd.DataFrame({"good": [1, 2], "bad": [Custom(), 3]}), ValueError, "bad.*"),
    "object of polars": (
        lambda: pl.DataFrame({"bad": pl.Series([Custom()], dtype=pl.Object)}),
        ValueError,
        "`bad`.*drop",
    ),
    "int128 of polars": (lambda: pl.DataFrame({"bad": [1]}, schema={"bad": pl.Int128}), ValueError, "`bad`.*cast"),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(store: Store, name: str) -> None:
    make, builtin, pattern = VALUES[name]
    with pytest.raises(ColdframeError, match=f"(?s){pattern}") as raised:
        store.put("key", make())
    assert isinstance(raised.value, builtin)
    # The way out stands in the hint, or in the message where several parts have one each.
    assert raised.value.hint or "serializer='pickle'" in raised.value.message, str(raised.value)


PUTS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "key and value swapped": (lambda s: s.put(table(), "key"), TypeError, "key.*the key comes first"),
    "key that is None": (lambda s: s.put(None, 1), TypeError, "key.*NoneType"),
    "key that is bytes": (lambda s: s.put(b"key", 1), TypeError, "key.*bytes"),
    "key that is a path": (lambda s: s.put(Path("key"), 1), TypeError, "key"),
    "title": (lambda s: s.put("key", 1, title=5), TypeError, "title.*int"),
    "description": (lambda s: s.put("key", 1, description=b""), TypeError, "description.*bytes"),
    "metadata": (lambda s: s.put("key", 1, metadata=[1]), TypeError, "metadata.*list"),
    "metadata inside": (lambda s: s.put("key", 1, metadata={"a": Custom()}), ValueError, "Custom"),
    "large metadata": (lambda s: s.put("key", 1, metadata={"a": "x" * 20_000}), ValueError, "metadata"),
    "after": (lambda s: s.put("key", 1, after="1"), TypeError, "after.*str"),
    "after that is negative": (lambda s: s.put("key", 1, after=-1), ValueError, "after.*0 stands for none"),
    "after that is true": (lambda s: s.put("key", 1, after=True), TypeError, "after.*bool"),
    "two conditions": (lambda s: s.put("key", 1, after=1, if_absent=True), ValueError, "if_absent|condition|both"),
    "expires": (lambda s: s.put("key", 1, expires=5), TypeError, "expires.*int.*7d"),
    "serializer": (lambda s: s.put("key", table(), serializer=5), ValueError, "serializer.*parquet"),
    "serializer's class": (lambda s: s.put("key", table(), serializer=coldframe.Parquet), ValueError, r"Parquet\(\)"),
    "serializer that is not there": (
        lambda s: s.put("key", table(), serializer="parquett"),
        LookupError,
        "did you mean `parquet`",
    ),
    "codec": (lambda s: s.put("key", table(), serializer="parquet/zstdd"), ValueError, "zstd"),
    "level": (lambda s: s.put("key", table(), serializer="parquet/zstd(99)"), ValueError, "99"),
    "level that is text": (lambda s: s.put("key", table(), serializer="parquet/zstd(high)"), ValueError, "level"),
    "json of a table": (lambda s: s.put("key", table(), serializer="json"), ValueError, "json"),
    "bytes of a table": (lambda s: s.put("key", table(), serializer="bytes"), ValueError, "bytes"),
    "parquet of a dict": (
        lambda s: s.put("key", {"a": 1}, serializer="parquet"),
        TypeError,
        "parquet.*dict.*put a frame",
    ),
    "json of bytes, strictly": (lambda s: s.put("key", b"a", serializer="json", strict=True), ValueError, "bytes"),
    "bytes of text": (lambda s: s.put("key", "a", serializer="bytes"), ValueError, r"str.*encode\(\)"),
    "setting": (lambda s: s.put("key", 1, serializer={"type": "parquet", "levle": 3}), ValueError, "levle.*level"),
    "strict": (lambda s: s.put("key", bytearray(b"a"), strict=True), ValueError, "bytearray"),
    "argument": (lambda s: s.put("key", 1, titel="x"), TypeError, "titel"),
}


@pytest.mark.parametrize("name", PUTS)
def test_arguments_of_a_put(store: Store, name: str) -> None:
    work, builtin, pattern = PUTS[name]
    # An argument that is not there is Python's own error.
    expected: type[Exception] = TypeError if name == "argument" else ColdframeError
    with pytest.raises(expected, match=f"(?s){pattern}") as raised:
        work(store)
    assert isinstance(raised.value, builtin)


@pytest.mark.parametrize(
    "key", ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a\0b", "a\nb", "a@1", "@", "x" * 5000, "a\\b\x7f"]
)
def test_keys(store: Store, key: str) -> None:
    with pytest.raises(ColdframeError) as raised:
        store.put(key, 1)
    assert isinstance(raised.value, ValueError)
    assert raised.value.operation == "put" or "key" in str(raised.value)


READS: dict[str, tuple[Callable[[Store], Any], type[Exception], str]] = {
    "what": (lambda s: s.get(5), TypeError, "key or a reference.*int"),  # type: ignore[arg-type]
    "what that is None": (lambda s: s.get(None), TypeError, "key or a reference.*NoneType"),  # type: ignore[arg-type]
    "columns that are one name": (lambda s: s.get("frame", "row"), ValueError, r"columns=\['row'\]"),
    "column": (lambda s: s.get("frame", ["rwo"]), KeyError, "rwo.*did you mean `row`"),
    "column of a scan": (lambda s: s.scan("frame", ["rwo"]).to_arrow(), KeyError, "did you mean `row`"),
    "column of a lazy frame": (lambda s: s.scan("frame", ["rwo"]).lazy(), KeyError, "did you mean `row`"),
    "columns of JSON": (lambda s: s.get("json", ["a"]), ValueError, "columns.*no table"),
    "scan of JSON": (lambda s: s.scan("json").to_arrow(), ValueError, "JSON value.*get"),
    "schema of JSON": (lambda s: s.reference("json").schema, ValueError, "not a table"),
    "limit": (lambda s: s.scan("frame", limit=-1), ValueError, "limit"),
    "limit that is text": (lambda s: s.scan("frame", limit="5"), ValueError, "limit.*'5'"),  # type: ignore[arg-type]
    "offset": (lambda s: s.scan("frame", offset=1.5), ValueError, "offset"),  # type: ignore[arg-type]
    "tail and limit": (lambda s: s.scan("frame", tail=1, limit=1), ValueError, "tail"),
    "batch_rows": (lambda s: s.scan("frame", batch_rows=-5), ValueError, "batch_rows"),
    "no batch_rows": (lambda s: s.scan("frame", batch_rows=0).to_arrow(), ValueError, "batch"),
    "head": (lambda s: s.reference("frame").head("5"), ValueError, "head|limit|rows"),  # type: ignore[arg-type]
    "negative head": (lambda s: s.reference("frame").head(-1), ValueError, "head|limit|rows"),
    "type of a table": (lambda s: s.get("frame", type=int), ValueError, "type"),
    "type": (lambda s: s.get("json", type=5), ValueError, "type"),
    "version": (lambda s: s.get("frame", version="one"), TypeError, "version"),  # type: ignore[arg-type]
    "version 0": (lambda s: s.get("frame", version=0), ValueError, "0"),
    "negative version": (lambda s: s.get("frame", version=-1), ValueError, "-1"),
    "two versions": (lambda s: s.get("frame@1", version=1), ValueError, "frame@1"),
    "versions of a number": (lambda s: s.versions(5), TypeError, "key"),  # type: ignore[arg-type]
    "list of a number": (lambda s: s.list(5), TypeError, "prefix"),  # type: ignore[arg-type]
    "search for a number": (lambda s: s.list(search=5), TypeError, "search"),  # type: ignore[arg-type]
    "delete of a reference": (lambda s: s.delete(s.reference("frame")), TypeError, "key.*ResultReference"),  # type: ignore[arg-type]
    "delete of version text": (lambda s: s.delete("frame", version="1"), TypeError, "version"),  # type: ignore[arg-type]
    "delete of two versions": (lambda s: s.delete("frame@1", version=2), ValueError, "version"),
    "reason": (lambda s: s.delete("frame", reason=5), TypeError, "reason"),  # type: ignore[arg-type]
    "verify of a number": (lambda s: s.verify(5), TypeError, "prefix"),  # type: ignore[arg-type]
    "exists of a number": (lambda s: s.exists(5), TypeError, "key or a reference"),  # type: ignore[arg-type]
    "copy's key": (lambda s: s.copy("frame", s, key=5), TypeError, "key"),  # type: ignore[arg-type]
    "from_json of a dict": (lambda s: coldframe.ResultReference.from_json({}), TypeError, "JSON"),  # type: ignore[arg-type]
    "from_json of broken bytes": (lambda s: coldframe.ResultReference.from_json(b"\xff"), ValueError, ""),
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("filled"), durable=False)
    store.put("frame", table(10))
    store.put("json", {"a": 1})
    return store


@pytest.mark.parametrize("name", READS)
def test_reads(filled: Store, name: str) -> None:
    work, builtin, pattern = READS[name]
    with pytest.raises(ColdframeError, match=f"(?s){pattern}") as raised:
        work(filled)
    assert isinstance(raised.value, builtin)
    assert len(filled.versions("frame")) == 1
    assert filled.exists("frame")


STORES: dict[str, tuple[Callable[[], Any], str]] = {
    "scheme": (lambda: Store("s4://bucket/path"), "s4"),
    "no bucket": (lambda: Store("s3://"), "s3://"),
    "port": (lambda: Store("https://host:port/x"), "https"),
    "empty": (lambda: Store(""), ""),
    "number": (lambda: Store(5), "url.*int"),  # type: ignore[arg-type]
    "option": (lambda: Store("s3://bucket/path", regoin="eu"), "regoin.*region"),
    "option of a folder": (lambda: Store("/tmp/some-folder", region="eu"), "region"),
    "option's type": (lambda: Store("s3://bucket/path", region=["eu"]), "option region.*list"),  # type: ignore[arg-type]
    "memory": (lambda: Store("memory://", memory=0), "memory"),
    "negative memory": (lambda: Store("memory://", memory=-1), "memory"),
    "memory that is text": (lambda: Store("memory://", memory="1GiB"), "memory.*str"),  # type: ignore[arg-type]
    "durable": (lambda: Store("memory://", durable="no"), "durable.*str"),  # type: ignore[arg-type]
    "cache": (lambda: Store("memory://", cache="off"), "cache.*str"),  # type: ignore[arg-type]
    "progress": (lambda: Store("memory://", progress="yes"), "progress.*str"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", STORES)
def test_stores(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, pattern = STORES[name]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ColdframeError, match=f"(?s){pattern}") as raised:
        work()
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, (InvalidInputError, ConfigurationError, UnsupportedError))
    assert list(tmp_path.iterdir()) == []


def test_batches_that_differ(store: Store) -> None:
    def made() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        yield pa.record_batch({"b": ["x"]})

    with pytest.raises(InputError, match="column `b` stands where `a` was declared"):
        store.put("key", made())


def test_errors_keep_their_parts(store: Store) -> None:
    import pickle

    with pytest.raises(ColumnNotFoundError) as raised:
        raise ColumnNotFoundError("there is no column `a`", hint="did you mean `b`?", operation="scan", subject="key")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.hint, again.operation) == (str(raised.value), "did you mean `b`?", "scan")
    assert issubclass(WrongTypeError, TypeError)
    assert issubclass(MissingSerializerError, LookupError)
    assert json.dumps(str(again))
