"""The serializers inside Prefect's own `CompressedSerializer`."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.client.orchestration import get_client
from prefect.serializers import CompressedSerializer
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from coldframe import Store
from coldframe.prefect import references

FRAMES = {
    "pandas": pd.DataFrame({"row": [1, 2]}, index=pd.Index(["a", "b"], name="name")),
    "polars": pl.DataFrame({"row": [1, 2]}),
    "pyarrow": pa.table({"row": [1, 2]}),
}


def equal(given: Any, wanted: Any) -> bool:
    return type(given) is type(wanted) and bool(given.equals(wanted))


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("name", ["coldframe", "parquet", "arrow"])
def test_values_come_back_from_compressed_records(name: str, tmp_path: Path) -> None:
    serializer = CompressedSerializer(serializer=name, compressionlib="zlib")
    ran: list[int] = []

    @task(result_serializer=serializer, cache_policy=INPUTS + TASK_SOURCE, cache_result_in_memory=False)
    def create(number: int) -> dict[str, Any]:
        ran.append(number)
        return {"frames": FRAMES, "number": number}

    @flow(name=f"compressed {name}", persist_result=True, result_serializer=serializer)
    def compressed() -> Any:
        return create(7), create(7)

    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path}):
        done: Any = compressed(return_state=True)
        with get_client(sync_client=True) as client:
            state: Any = client.read_flow_run(done.state_details.flow_run_id).state
        assert ran == [7]
        for value in state.result():
            assert value["number"] == 7
            assert [kind for kind, frame in value["frames"].items() if not equal(frame, FRAMES[kind])] == []
    record = zlib.decompress(base64.decodebytes(Path(state.data.storage_key).read_bytes()))
    assert record.startswith(b'{"coldframe":1,')
    if name == "coldframe":
        assert {reference.storage for reference in references(state)} == {Store(tmp_path / "coldframe").url}
    else:
        assert not (tmp_path / "coldframe").exists()
