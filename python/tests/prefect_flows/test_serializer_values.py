"""Values through `ColdframeSerializer`, into a real store and back."""

from __future__ import annotations

import json
import re
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from prefect.results import ResultRecord, ResultRecordMetadata
from prefect.serializers import CompressedSerializer, PickleSerializer, Serializer
from pydantic import ValidationError
from values_support import (
    FRAMES,
    Fitted,
    Frozen,
    Measured,
    Pair,
    Report,
    Subclass,
    assert_same,
    files,
    logged,
    pandas_frame,
    rows_of,
    table,
)

import coldframe
from coldframe import Store
from coldframe.errors import DamagedError, InvalidInputError, NotFoundError, PickleDeniedError, UnsupportedError
from coldframe.prefect import ColdframeSerializer, NotPersistedError, StoredBatches, as_references


class Thing:
    """What no table holds."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and self.number == other.number

    __hash__ = None  # type: ignore[assignment]


class Broken:
    """A frame whose stream fails."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        raise OSError("the stream is broken")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def serializer(folder: Path) -> ColdframeSerializer:
    return ColdframeSerializer(store=str(folder))


SHAPES: dict[str, Callable[[Any], Any]] = {
    "alone": lambda frame: frame,
    "in a dict": lambda frame: {"train": frame, "score": 0.5},
    "in a list": lambda frame: [1, [frame]],
    "in a tuple": lambda frame: (frame, "rest"),
    "in a dict by numbers": lambda frame: {1: frame},
    "in a dataclass": lambda frame: Fitted(frame),
    "in a frozen dataclass": lambda frame: Frozen(frame, "name"),
    "in a model": lambda frame: Report(frame=frame),
    "in a named tuple": lambda frame: Pair(frame, None),
    "in a class of attrs": lambda frame: Measured(frame),
}
COME_BACK = [
    "pandas", "pandas with MultiIndexes", "polars", "polars lazy", "pyarrow table", "pyarrow batch", "duckdb relation"
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", COME_BACK)
def test_every_kind_of_frame_comes_back_from_every_shape(
    serializer: ColdframeSerializer, kind: str, shape: str
) -> None:
    value = SHAPES[shape](FRAMES[kind]())
    record = serializer.dumps(value)
    assert len(record) < 2_000
    assert_same(value, serializer.loads(record))


@pytest.mark.parametrize("kind", ["pyarrow dataset", "pyarrow scanner"])
def test_datasets_and_scanners_come_back_as_tables(serializer: ColdframeSerializer, kind: str) -> None:
    found = serializer.loads(serializer.dumps({"a": FRAMES[kind]()}))["a"]
    assert type(found) is pa.Table
    assert rows_of(found) == rows_of(FRAMES[kind]())


def test_a_reader_comes_back_as_a_handle_that_reads_like_one(serializer: ColdframeSerializer) -> None:
    found = serializer.loads(serializer.dumps(table(10).to_reader(max_chunksize=4)))
    assert type(found) is StoredBatches
    assert found.schema == table().schema
    assert found.num_rows == 10
    for _ in range(2):
        assert pa.Table.from_batches(list(found)).equals(table(10))
        assert found.read_all().equals(table(10))
        assert pl.DataFrame(found).height == 10
    assert found.read_pandas().shape == (10, 2)
    with found as reader:
        assert sum(batch.num_rows for batch in reader) == 10
    # A position would be shared by all who have the handle.
    assert not hasattr(found, "read_next_batch")
    assert found.to_reader().read_next_batch()["n"][0].as_py() == 0
    assert found.lazy().select(pl.len()).collect().item() == 10


def test_a_handle_and_a_reference_come_back_as_they_are_without_a_copy(
    serializer: ColdframeSerializer, folder: Path
) -> None:
    reference = Store(folder, durable=False).put("mine/table", table())
    before = files(folder)
    found = serializer.loads(serializer.dumps({"handle": StoredBatches(reference), "reference": reference}))
    assert found == {"handle": StoredBatches(reference), "reference": reference}
    assert found["reference"].get().equals(table())
    assert files(folder) == before


def test_a_scan_is_stored_with_the_columns_and_rows_that_it_has(serializer: ColdframeSerializer, folder: Path) -> None:
    reference = Store(folder, durable=False).put("mine/table", table())
    found = serializer.loads(serializer.dumps(reference.scan(["text"], limit=2)))
    assert rows_of(found) == [{"text": "row 0"}, {"text": "row 1"}]


def test_columns_and_arrays_are_pickled(serializer: ColdframeSerializer) -> None:
    value = {
        "pandas": pd.Series([1, 2], name="n"),
        "polars": pl.Series("n", [1, None]),
        "array": pa.array([1, None]),
        "chunks": pa.chunked_array([[1], [2]]),
        "numpy": np.arange(4).reshape(2, 2),
        "frame": table(),
    }
    found = serializer.loads(serializer.dumps(value))
    pd.testing.assert_series_equal(found["pandas"], value["pandas"])
    assert found["polars"].equals(value["polars"], null_equal=True)
    assert found["array"].equals(value["array"])
    assert found["chunks"].equals(value["chunks"])
    assert np.array_equal(found["numpy"], value["numpy"])
    assert found["frame"].equals(value["frame"])


def test_a_frame_in_two_places_is_stored_once_and_stays_one(serializer: ColdframeSerializer, folder: Path) -> None:
    frame = pandas_frame()
    for value in ({"a": frame, "b": [frame]}, Pair(frame, [frame])):
        found = serializer.loads(serializer.dumps(value))
        one, other = found.values() if isinstance(found, dict) else found
        assert one is other[0]
    assert len(list(Store(folder).list())) == 2


def test_a_record_is_as_small_for_a_thousand_columns(serializer: ColdframeSerializer) -> None:
    wide = pa.table({f"a column with a long name, number {number}": [number] for number in range(1000)})
    record = serializer.dumps({"wide": wide})
    assert len(record) < 1_000
    assert serializer.loads(record)["wide"].equals(wide)


def test_references_are_read_in_the_place_of_frames(serializer: ColdframeSerializer) -> None:
    record = serializer.dumps([table(), {"a": pandas_frame()}])
    with as_references() as references:
        found = serializer.loads(record)
    assert found == [references[0], {"a": references[1]}]
    assert [reference.rows for reference in references] == [5, 5]


# --- Prefect's records


VALUES: dict[str, Callable[[], Any]] = {
    "a frame": table,
    "data": lambda: {"data": 1, "frame": table()},
    "result": lambda: {"result": 1, "metadata": {}},
    "texts": lambda: {"text": 'ü"\\\u2028\x00', "frame": table()},
    "a pickle": lambda: (b"\xff\x00", "\ud800", table()),
    "nothing": lambda: None,
}


@pytest.mark.parametrize("what", VALUES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_values_come_back_from_both_layouts_of_prefects_records(
    serializer: ColdframeSerializer, what: str, wrapped: bool
) -> None:
    value = VALUES[what]()
    chosen: Serializer = CompressedSerializer(serializer=serializer, compressionlib="zlib") if wrapped else serializer
    record: Any = ResultRecord(result=value, metadata=ResultRecordMetadata(serializer=chosen, storage_key="key"))
    one_file = ResultRecord.deserialize(record.serialize())
    assert_same(value, one_file.result)
    assert one_file.metadata.serializer == chosen
    payload = record.serialize_result()
    assert_same(value, ResultRecord.deserialize(payload, backup_serializer=chosen).result)
    assert_same(value, ResultRecord.deserialize_from_result_and_metadata(payload, record.serialize_metadata()).result)


@pytest.mark.parametrize("what", VALUES)
def test_values_come_back_by_way_of_prefects_pickle_serializer(
    what: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDFRAME_STORE", str(folder))
    chosen = PickleSerializer(picklelib="coldframe.prefect")
    record: Any = ResultRecord(result=VALUES[what](), metadata=ResultRecordMetadata(serializer=chosen))
    assert_same(VALUES[what](), ResultRecord.deserialize(record.serialize()).result)


# --- what fails leaves nothing


def entries(folder: Path) -> tuple[list[Any], list[str]]:
    """What the store lists, and its files of data."""
    data = [name for name in files(folder) if name.startswith("data/")]
    return list(Store(folder).list()), data


def test_a_sibling_that_cannot_be_pickled_leaves_nothing(serializer: ColdframeSerializer, folder: Path) -> None:
    Store(folder)
    with logged() as lines, pytest.raises(UnsupportedError, match=re.escape("value[1].frame")):
        serializer.dumps([table(), Fitted(threading.Lock())])
    assert not any(name.startswith(("data/", "refs/")) for name in files(folder))
    assert "was not persisted, and the run goes on without" in lines[0].getMessage()


@pytest.mark.parametrize("bad", [Broken, lambda: pl.LazyFrame({"a": [1]}).select(pl.col("no such column"))])
def test_a_frame_that_cannot_be_put_takes_the_others_along(
    serializer: ColdframeSerializer, folder: Path, bad: Callable[[], Any]
) -> None:
    with pytest.raises(Exception, match=r"broken|no such column"):
        serializer.dumps({"first": table(), "second": pandas_frame(), "third": bad()})
    assert entries(folder) == ([], [])


def test_a_generator_is_refused_and_can_still_be_read(serializer: ColdframeSerializer, folder: Path) -> None:
    generator = (batch for batch in table().to_batches())
    with pytest.raises(UnsupportedError, match=r'(?s)value\["a"\].*generator.*list'):
        serializer.dumps({"a": generator, "b": table()})
    assert len(list(generator)) == 1


# --- what no table holds


def object_frame() -> pd.DataFrame:
    return pd.DataFrame({"n": [1, 2], "thing": [Thing(1), Thing(2)]})


def test_a_frame_of_objects_is_kept_as_a_pickle_in_the_store(serializer: ColdframeSerializer, folder: Path) -> None:
    with logged() as lines:
        record = serializer.dumps({"a": object_frame(), "b": table()})
    assert [line.levelname for line in lines] == ["WARNING"]
    assert "column `thing`" in lines[0].getMessage()
    assert "kept as a pickle" in lines[0].getMessage()
    assert [frame.get("is") for frame in json.loads(record)["frames"]] == ["pickle", None]
    found = serializer.loads(record)
    assert found["a"].equals(object_frame())
    assert found["b"].equals(table())


def test_without_pickles_a_frame_of_objects_is_refused_with_the_way_out(folder: Path) -> None:
    plain = ColdframeSerializer(store=str(folder), pickle=False)
    with pytest.raises(InvalidInputError, match="(?s)column `thing`.*convert it"):
        plain.dumps({"a": table(), "b": object_frame()})
    assert entries(folder) == ([], [])


def test_no_pickle_is_loaded_where_none_is_allowed(serializer: ColdframeSerializer, folder: Path) -> None:
    plain = ColdframeSerializer(store=str(folder), pickle=False)
    loaded: list[int] = []
    monitor = Monitor(loaded)
    with pytest.raises((UnsupportedError, PickleDeniedError)):
        plain.loads(serializer.dumps((1, monitor)))
    with pytest.raises((UnsupportedError, PickleDeniedError)):
        plain.loads(serializer.dumps(object_frame()))
    record = json.loads(serializer.dumps(object_frame()))
    assert record["frames"][0].pop("is") == "pickle"
    # A record that does not say that it is one, of somebody who can write records.
    forged = rewritten(record)
    with pytest.raises(PickleDeniedError):
        serializer.loads(forged)
    assert loaded == []


class Monitor:
    """Notes that it was unpickled."""

    def __init__(self, loaded: list[int]) -> None:
        self.loaded = loaded

    def __reduce__(self) -> Any:
        return _loaded, ()


def _loaded() -> None:
    raise AssertionError("a pickle was loaded")


def rewritten(record: dict[str, Any]) -> bytes:
    """A record with a checksum that fits."""
    from coldframe.prefect import envelope

    return envelope.Parted([], record["value"]).text(record["frames"])


# --- losses


def test_a_loss_is_a_line_of_the_log_and_no_warning(serializer: ColdframeSerializer) -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["object"] = Thing(1)
    with logged() as lines, warnings.catch_warnings():
        warnings.simplefilter("error")
        found = serializer.loads(serializer.dumps(frame))
    assert found["a"].tolist() == [1]
    assert ["df.attrs" in line.getMessage() and line.levelname == "WARNING" for line in lines] == [True]


def test_what_strict_cannot_persist_ends_the_run(folder: Path) -> None:
    strict = ColdframeSerializer(store=str(folder), strict=True, pickle=False)
    with logged() as lines, pytest.raises(NotPersistedError, match="Subclass") as raised:
        strict.dumps(Subclass({"a": [1]}))
    assert not isinstance(raised.value, Exception)
    assert isinstance(raised.value.__cause__, UnsupportedError)
    assert "and the run is ended" in lines[-1].getMessage()
    with pytest.raises(NotPersistedError, match="lock"):
        ColdframeSerializer(store=str(folder), strict=True).dumps({"a": threading.Lock()})


# --- what is gone, what is damaged


def delete(folder: Path) -> None:
    """Deletes everything in a store."""
    for reference in list(Store(folder).list()):
        Store(folder).delete(reference.key, reason="the test deleted it")


def test_a_frame_that_was_deleted_is_not_found(serializer: ColdframeSerializer, folder: Path) -> None:
    record = serializer.dumps({"a": table()})
    delete(folder)
    with logged() as lines, pytest.raises(NotFoundError, match="the test deleted it"):
        serializer.loads(record)
    assert ["the test deleted it" in line.getMessage() for line in lines] == [True]


@pytest.mark.parametrize("kind", ["polars lazy", "duckdb relation", "pyarrow reader"])
def test_a_frame_that_is_read_later_is_not_found_at_once(
    serializer: ColdframeSerializer, folder: Path, kind: str
) -> None:
    record = serializer.dumps(FRAMES[kind]())
    delete(folder)
    with pytest.raises(NotFoundError):
        serializer.loads(record)


@pytest.mark.parametrize("blob", [b"", b"{", b"null", b'{"result": 1}', b"\x80\x04N.", b"gAROLg=="])
def test_a_record_of_another_serializer_is_told(serializer: ColdframeSerializer, blob: bytes) -> None:
    with pytest.raises(DamagedError, match="refresh_cache"):
        serializer.loads(blob)


def test_a_record_that_names_memory_is_refused(serializer: ColdframeSerializer) -> None:
    reference = Store("memory://elsewhere").put("a", table())
    with pytest.raises(UnsupportedError, match="memory of this process"):
        serializer.dumps([reference])


# --- settings


SETTINGS: list[dict[str, Any]] = [
    {},
    {"store": "/absolute/folder"},
    {"store": "s3://bucket/prefix", "serializer": "parquet/zstd(3)"},
    {"serializer": coldframe.Parquet(level=5)},
    {"serializer": coldframe.Arrow(compression="zstd")},
    {"serializer": {"type": "arrow", "compression": "lz4"}},
    {"serializer": "arrow", "strict": True, "pickle": False},
]


@pytest.mark.parametrize("chosen", SETTINGS)
def test_settings_come_back_from_prefects_metadata(chosen: dict[str, Any]) -> None:
    serializer = ColdframeSerializer(**chosen)
    kept = ResultRecordMetadata(serializer=serializer).dump_bytes()
    found = ResultRecordMetadata.load_bytes(kept).serializer
    assert type(found) is ColdframeSerializer
    assert found == serializer
    # What was not chosen is not there, and older readers need not know it.
    assert set(json.loads(kept)["serializer"]) == {"type", *chosen}


def test_the_default_settings_are_left_out_also_where_they_are_given() -> None:
    given = ColdframeSerializer(store=None, serializer=None, strict=False, pickle=True)
    assert given.model_dump() == {"type": "coldframe"}
    assert json.loads(given.model_dump_json()) == {"type": "coldframe"}


def test_what_frames_are_written_by_is_what_was_chosen(folder: Path) -> None:
    for chosen, kind in ((coldframe.Arrow(compression="zstd"), "arrow"), ("parquet/gzip", "parquet")):
        serializer = ColdframeSerializer(store=str(folder), serializer=chosen)
        with as_references() as references:
            serializer.loads(serializer.dumps(table()))
        assert references[0].serializer["type"] == kind
        assert references[0].serializer["compression"] in ("zstd", "gzip")


@pytest.mark.parametrize(
    "chosen",
    [
        {"serializer": "json"}, {"serializer": "pickle"}, {"serializer": "bytes"}, {"serializer": coldframe.Pickle()},
        {"serializer": coldframe.Json()}, {"serializer": "no-such"}, {"serializer": 7}, {"serializer": coldframe.Arrow},
        {"serializer": {"type": "parquet", "levle": 3}}, {"strict": "perhaps"}, {"store": 7}, {"stroe": "/a"},
        {"store": "relative/folder"}, {"store": "memory://"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_settings_are_refused(chosen: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, coldframe.ColdframeError)):
        ColdframeSerializer(**chosen)


@pytest.mark.parametrize(
    "store",
    [
        "s3://AKIA:secret-word@bucket/x",
        "s3://bucket/x?secret_access_key=secret-word",
        "https://account.blob.core.windows.net/c?sig=secret-word",
    ],
)
def test_a_store_with_a_secret_is_refused(store: str) -> None:
    with pytest.raises((ValidationError, coldframe.ColdframeError)):
        ColdframeSerializer(store=store)


def test_the_error_for_a_secret_does_not_show_it() -> None:
    for settings in ({"store": "s3://AKIA:secret-word@bucket/x"}, {"password": "secret-word"}):
        with pytest.raises((ValidationError, coldframe.ColdframeError)) as raised:
            ColdframeSerializer(**settings)  # type: ignore[arg-type]
        assert "secret-word" not in str(raised.value)
        assert "secret-word" not in repr(raised.value)


def test_a_path_is_taken_for_a_store(tmp_path: Path) -> None:
    assert ColdframeSerializer(store=tmp_path).store == str(tmp_path)
