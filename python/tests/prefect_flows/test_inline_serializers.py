"""Frames as bytes inside Prefect's own records: `ParquetSerializer` and `ArrowSerializer`."""

from __future__ import annotations

import base64
import io
import json
import threading
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect.results import ResultRecord, ResultRecordMetadata
from prefect.serializers import CompressedSerializer, Serializer
from pydantic import ValidationError
from values_support import FRAMES, Fitted, Pair, Report, Subclass, assert_same, files, logged, rows_of, table

import coldframe
from coldframe import Store
from coldframe.errors import DamagedError, PickleDeniedError, UnsupportedError
from coldframe.prefect import (
    ArrowSerializer,
    ColdframeSerializer,
    NotPersistedError,
    ParquetSerializer,
    StoredBatches,
    envelope,
)

KINDS: list[Serializer] = [ParquetSerializer(), ArrowSerializer(), ArrowSerializer(compression="zstd", level=3)]
COME_BACK = [
    "pandas", "pandas with MultiIndexes", "polars", "polars lazy", "pyarrow table", "pyarrow batch", "duckdb relation"
]  # fmt: skip


class Thing:
    """What no table holds."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing)

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture(params=KINDS, ids=["parquet", "arrow", "arrow with zstd"])
def serializer(request: pytest.FixtureRequest) -> Serializer:
    chosen: Serializer = request.param
    return chosen


@pytest.mark.parametrize("kind", COME_BACK)
def test_every_kind_of_frame_comes_back(serializer: Serializer, kind: str) -> None:
    for value in (FRAMES[kind](), {"a": [FRAMES[kind]()], "b": 1}, Pair(FRAMES[kind](), {1}), Report(frame=table())):
        assert_same(value, serializer.loads(serializer.dumps(value)))


def test_a_reader_comes_back_as_a_handle_that_reads_like_one(serializer: Serializer) -> None:
    found = serializer.loads(serializer.dumps([table(10).to_reader(max_chunksize=4)]))[0]
    assert type(found) is StoredBatches
    assert found.reference is None
    for _ in range(2):
        assert found.read_all().equals(table(10))
    assert found.to_reader().read_next_batch()["n"][0].as_py() == 0
    again = serializer.loads(serializer.dumps([found]))[0]
    assert again.read_all().equals(table(10))
    record = serializer.dumps(table().to_reader())
    one, other = serializer.loads(record), serializer.loads(record)
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize("kind", ["pyarrow dataset", "pyarrow scanner"])
def test_datasets_come_back_as_tables(serializer: Serializer, kind: str) -> None:
    found = serializer.loads(serializer.dumps(FRAMES[kind]()))
    assert type(found) is pa.Table
    assert rows_of(found) == rows_of(FRAMES[kind]())


@pytest.mark.parametrize("wrapped", [False, True])
def test_values_come_back_from_both_layouts_of_prefects_records(serializer: Serializer, wrapped: bool) -> None:
    value = {"data": table(), "result": Fitted(FRAMES["pandas"]()), "text": "ü\u2028"}
    chosen: Serializer = CompressedSerializer(serializer=serializer, compressionlib="zlib") if wrapped else serializer
    record: Any = ResultRecord(result=value, metadata=ResultRecordMetadata(serializer=chosen, storage_key="key"))
    one_file = ResultRecord.deserialize(record.serialize())
    assert_same(value, one_file.result)
    assert one_file.metadata.serializer == chosen
    payload = record.serialize_result()
    assert_same(value, ResultRecord.deserialize(payload, backup_serializer=chosen).result)
    assert_same(value, ResultRecord.deserialize_from_result_and_metadata(payload, record.serialize_metadata()).result)


def test_the_bytes_are_whole_files_that_others_open() -> None:
    parquet, arrow = (
        base64.b64decode(json.loads(chosen.dumps({"a": table()}))["frames"][0]["bytes"])
        for chosen in (ParquetSerializer(compression="gzip", level=9), ArrowSerializer(compression="lz4"))
    )
    assert pq.read_table(io.BytesIO(parquet)).to_pylist() == table().to_pylist()
    assert pq.ParquetFile(io.BytesIO(parquet)).metadata.row_group(0).column(0).compression == "GZIP"
    assert pa.ipc.open_file(io.BytesIO(arrow)).read_all().to_pylist() == table().to_pylist()


def test_nothing_is_stored_beside_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLDFRAME_STORE", str(tmp_path))
    for chosen in (ParquetSerializer(), ArrowSerializer()):
        chosen.loads(chosen.dumps({"a": table()}))
    assert files(tmp_path) == []


def test_a_reference_stays_one(serializer: Serializer, tmp_path: Path) -> None:
    reference = Store(tmp_path / "store", durable=False).put("mine", table())
    found = serializer.loads(serializer.dumps({"a": reference, "b": StoredBatches(reference)}))
    assert found["a"] == reference
    assert found["a"].get().equals(table())
    assert found["b"].read_all().equals(table())


def test_a_frame_in_two_places_is_there_once_and_stays_one(serializer: Serializer) -> None:
    frame = FRAMES["pandas"]()
    record = serializer.dumps([frame, {"a": frame}])
    assert len(json.loads(record)["frames"]) == 1
    found = serializer.loads(record)
    assert found[0] is found[1]["a"]


def test_a_frame_of_objects_is_kept_as_a_pickle(serializer: Serializer) -> None:
    frame = pd.DataFrame({"thing": [Thing(), Thing()]})
    with logged() as lines:
        record = serializer.dumps({"a": frame})
    assert ["kept as a pickle" in line.getMessage() for line in lines] == [True]
    assert serializer.loads(record)["a"].equals(frame)
    with pytest.raises((PickleDeniedError, UnsupportedError)):
        type(serializer)(pickle=False).loads(record)
    with pytest.raises(ValueError, match="column `thing`"):
        type(serializer)(pickle=False).dumps({"a": frame})


def test_a_loss_is_a_line_of_the_log_and_no_warning(serializer: Serializer) -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["object"] = Thing()
    with logged() as lines, warnings.catch_warnings():
        warnings.simplefilter("error")
        serializer.loads(serializer.dumps(frame))
    assert ["df.attrs" in line.getMessage() and line.levelname == "WARNING" for line in lines] == [True]


def test_what_strict_cannot_persist_ends_the_run() -> None:
    for value in (Subclass({"a": [1]}), [threading.Lock()]):
        with logged() as lines, pytest.raises(NotPersistedError):
            ParquetSerializer(strict=True, pickle=False).dumps(value)
        assert "and the run is ended" in lines[-1].getMessage()


def test_no_flipped_bit_goes_unseen(serializer: Serializer) -> None:
    record = serializer.dumps({"a": table(2)})
    for at in range(0, len(record), 3):
        damaged = bytearray(record)
        damaged[at] ^= 1 << at % 8
        with pytest.raises((DamagedError, UnsupportedError)):
            serializer.loads(bytes(damaged))


def test_bytes_of_another_frame_are_told(serializer: Serializer) -> None:
    record, other = (json.loads(serializer.dumps(table(rows))) for rows in (5, 6))
    record["frames"][0]["bytes"] = other["frames"][0]["bytes"]
    with pytest.raises(DamagedError):
        serializer.loads(envelope.Parted([], record["value"]).text(record["frames"]))


def test_each_serializer_reads_the_values_without_frames_of_the_others(serializer: Serializer) -> None:
    record = ColdframeSerializer().dumps({"a": [1, "text"]})
    assert serializer.loads(record) == {"a": [1, "text"]}


@pytest.mark.parametrize(
    ("made", "kept"),
    [
        (ParquetSerializer(), {"type": "parquet"}),
        (ParquetSerializer(compression="gzip", level=3), {"type": "parquet", "compression": "gzip", "level": 3}),
        (ArrowSerializer(compression="none"), {"type": "arrow"}),
        (ArrowSerializer(compression="zstd", strict=True), {"type": "arrow", "compression": "zstd", "strict": True}),
        (ParquetSerializer(pickle=False), {"type": "parquet", "pickle": False}),
    ],
)
def test_settings_come_back_from_prefects_metadata(made: Serializer, kept: dict[str, Any]) -> None:
    text = ResultRecordMetadata(serializer=made).dump_bytes()
    assert json.loads(text)["serializer"] == kept
    found = ResultRecordMetadata.load_bytes(text).serializer
    assert found == made
    assert type(found) is type(made)


WRONG: list[Any] = [
    {"compression": "nope"},
    {"compression": "zstd", "level": 99},
    {"compression": "snappy", "level": 3},
    {"compression": None},
    {"level": "high"},
]


@pytest.mark.parametrize("settings", WRONG, ids=str)
@pytest.mark.parametrize("kind", [ParquetSerializer, ArrowSerializer])
def test_wrong_settings_are_refused_when_they_are_given(kind: Any, settings: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, coldframe.ColdframeError)):
        kind(**settings)


@pytest.mark.parametrize("kind", [ParquetSerializer, ArrowSerializer])
def test_settings_that_there_are_not_are_refused(kind: Any) -> None:
    with pytest.raises(ValidationError, match="store"):
        kind(store="/a")
