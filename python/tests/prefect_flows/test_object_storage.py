"""Flows whose results are in an object store, by a saved block that alone has the credentials."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect_aws import AwsCredentials, S3Bucket
from prefect_aws.client_parameters import AwsClientParameters
from process_support import answer, need_installed_package

from coldframe.prefect import ColdframeSerializer, blocks, put, references, results, storage

SECRET = "testtesttest"
COLUMNS = {"fare": [12.5, 7.0], "zone": ["north", "south"]}


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the block says anything; remote data is not kept on this disk."""
    monkeypatch.setenv("COLDFRAME_CACHE", "off")


@dataclass(frozen=True)
class Bucket:
    """A bucket of the server, and the saved block that opens it."""

    block: S3Bucket
    name: str

    def names(self) -> list[str]:
        """What is in the folder of the block."""
        listed = self.block.credentials.get_s3_client().list_objects_v2(
            Bucket="coldframe", Prefix=f"{self.block.bucket_folder}/"
        )
        return [entry["Key"].removeprefix(f"{self.block.bucket_folder}/") for entry in listed.get("Contents", [])]

    def remove(self, name: str) -> None:
        self.block.credentials.get_s3_client().delete_object(
            Bucket="coldframe", Key=f"{self.block.bucket_folder}/{name}"
        )


def unsaved() -> S3Bucket:
    server = os.environ.get("COLDFRAME_TEST_S3")
    if not server:
        pytest.skip("COLDFRAME_TEST_S3 is not set")
    credentials = AwsCredentials(
        aws_access_key_id="test",
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=server),
    )
    return S3Bucket(bucket_name="coldframe", bucket_folder=f"results/{uuid.uuid4().hex}", credentials=credentials)


@pytest.fixture
def bucket(prefect_server: None) -> Bucket:
    name = f"results-{uuid.uuid4().hex}"
    unsaved().save(name, _sync=True)
    return Bucket(S3Bucket.load(name, _sync=True), name)  # type: ignore[arg-type]


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """What coldframe warns of in the log."""
    texts: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    logger, handler = logging.getLogger("prefect.coldframe"), Keep(logging.WARNING)
    logger.addHandler(handler)
    yield texts
    logger.removeHandler(handler)


def test_what_one_process_wrote_another_reads_and_neither_has_credentials(bucket: Bucket, tmp_path: Path) -> None:
    """The writer names the serializer by its type: the block makes Prefect load what is installed."""
    need_installed_package()
    write = """
    import pandas as pd
    from prefect import flow, task
    @task(persist_result=True)
    def trips():
        return pd.DataFrame({"fare": [12.5, 7.0], "zone": ["north", "south"]})
    @flow(persist_result=True, result_serializer="coldframe", result_storage="s3-bucket/" + sys.argv[1])
    def daily():
        return {"trips": trips(), "rows": 2}
    state = daily(return_state=True)
    answer(str(state.state_details.flow_run_id))
    """
    read = """
    import coldframe.prefect
    state = state_of(sys.argv[1])
    value = state.result()
    (reference,) = coldframe.prefect.references(state)
    answer([type(value["trips"]).__qualname__, value["trips"].to_dict("list"), value["rows"],
            reference.storage, reference.key.split("/")[:3], state.data.model_dump_json(serialize_as_any=True)])
    """
    nothing = {"COLDFRAME_CACHE": "off", "AWS_EC2_METADATA_DISABLED": "true"}
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        nothing[name] = str(tmp_path / "nothing")
    run = answer(write, bucket.name, home=tmp_path / "writer", **nothing)
    names = bucket.names()
    frames = [name for name in names if name.startswith("coldframe/data/prefect/daily/")]
    assert sorted(name.split("/")[4] for name in frames) == ["flow-result", "trips"]
    # Beside them lie the records of the flow and of its task.
    assert len([name for name in names if "/" not in name]) == 2
    kind, columns, rows, storage, key, metadata = answer(read, run, home=tmp_path / "reader", **nothing)
    assert (kind, columns, rows) == ("DataFrame", COLUMNS, 2)
    assert storage == f"s3://coldframe/{bucket.block.bucket_folder}/coldframe"
    assert key == ["prefect", "daily", "flow-result"]
    assert SECRET not in metadata
    for name in names:
        if name.endswith(".json") or "/" not in name:
            assert SECRET.encode() not in bucket.block.read_path(name, _sync=True)


@pytest.mark.parametrize("what", ["the file", "the version"])
def test_a_frame_that_was_deleted_is_computed_again(bucket: Bucket, what: str) -> None:
    ran: list[int] = []

    @task(result_serializer=ColdframeSerializer(), cache_policy=INPUTS + TASK_SOURCE)
    def trips(rows: int) -> pd.DataFrame:
        ran.append(rows)
        return pd.DataFrame({"row": range(rows)})

    @flow(result_storage=bucket.block)
    def daily() -> Any:
        state: Any = trips(3, return_state=True)
        return state

    (reference,) = references(daily())
    assert ran == [3]
    (data,) = [name for name in bucket.names() if name.startswith("coldframe/data/")]
    if what == "the file":
        bucket.remove(data)
    else:
        reference.store.delete(reference.key)
    (again,) = references(daily())
    assert ran == [3, 3]
    assert (reference.version, again.version) == (1, 2)
    assert daily().result()["row"].to_list() == [0, 1, 2]
    assert ran == [3, 3]


def test_frames_in_a_folder_and_records_in_a_bucket_are_warned_of_once(
    bucket: Bucket, tmp_path: Path, warned: list[str]
) -> None:
    store = tmp_path / "frames"

    @flow(persist_result=True, result_storage=bucket.block, result_serializer=ColdframeSerializer(store=str(store)))
    def daily() -> pd.DataFrame:
        return pd.DataFrame(COLUMNS)

    for _ in range(2):
        (reference,) = references(daily(return_state=True))
        assert reference.storage == store.as_uri()
    (line,) = warned
    assert "recorded in S3Bucket" in line and store.as_uri() in line
    assert [name for name in bucket.names() if name.startswith("coldframe/")] == []


def test_prefect_takes_only_a_block_that_was_saved() -> None:
    with pytest.raises(TypeError, match="must be persisted server-side"):

        @flow(result_storage=unsaved())
        def daily() -> None: ...


def test_what_a_task_put_itself_is_read_with_the_credentials_of_the_block(bucket: Bucket) -> None:
    states: list[Any] = []

    @task(persist_result=True)
    def stored() -> Any:
        return put(pyarrow.table(COLUMNS).to_reader())

    @task(persist_result=True)
    def reader() -> Any:
        return pyarrow.table(COLUMNS).to_reader()

    @task(persist_result=True)
    def passed_on(batches: Any) -> Any:
        return {"again": batches}

    @flow(result_serializer=ColdframeSerializer(), result_storage=bucket.block)
    def daily() -> int:
        states.extend([stored(return_state=True), passed_on(reader(), return_state=True)])
        return 1

    daily()
    # As in a process that has opened no store yet.
    for remembered in (storage._stores, storage._saved_blocks, blocks._CLIENTS):
        remembered.clear()
    first, second = (results._persisted(state).result(_sync=True) for state in states)  # type: ignore[call-overload]
    assert first.to_arrow().to_pydict() == COLUMNS
    assert second["again"].read_all().to_pydict() == COLUMNS
