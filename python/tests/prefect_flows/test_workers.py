"""Flows that a worker runs in another process and another folder, and whose results are read here."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import prefect
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.filesystems import LocalFileSystem
from process_support import environment, files, need_installed_package, run

from coldframe import Store
from coldframe.prefect import references

HERE = Path(__file__).parent
_BY_SETTING = {"PREFECT_PLUGINS_ENABLED": "true", "PREFECT_RESULTS_DEFAULT_SERIALIZER": "coldframe"}
DEPLOYED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "by-instance": ("deployed_importing.py:by_instance", {}),
    "by-pickle-library": ("deployed_plain.py:by_pickle_library", {}),
    "by-type-with-block": ("deployed_plain.py:by_type_with_block", {}),
    "by-setting": ("deployed_plain.py:by_setting", _BY_SETTING),
}
"""By the name of the flow: where it is, and what the environment of its runs has."""
_NEED_ENTRY_POINTS = ("by-type-with-block", "by-setting")


@dataclass(frozen=True)
class Worked:
    """What a worker left."""

    folder: Path
    runs: Mapping[str, UUID]
    said: str

    def run(self, name: str) -> FlowRun:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(self.runs[name])


@pytest.fixture(scope="module")
def worked(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Worked:
    """One worker, which ran every deployed flow once."""
    folder = tmp_path_factory.mktemp("worked")
    for name in ("source", "started", "working", "results", "shared"):
        (folder / name).mkdir()
    for source in HERE.glob("deployed_*.py"):
        shutil.copy(source, folder / "source")
    LocalFileSystem(basepath=str(folder / "shared")).save("shared", overwrite=True)
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="workers", type="process"), overwrite=True)
    deployments = [_deployment(folder, name) for name in DEPLOYED]
    made = prefect.deploy(
        *deployments,
        work_pool_name="workers",
        build=False,
        push=False,
        print_next_steps_message=False,
        ignore_warnings=True,
    )
    with get_client(sync_client=True) as client:
        runs = {name: client.create_flow_run_from_deployment(each).id for name, each in zip(DEPLOYED, made)}
    variables = environment(folder / "home", PREFECT_LOCAL_STORAGE_PATH=str(folder / "results"))
    arguments = ["-m", "prefect", "worker", "start", "--pool", "workers", "--type", "process", "--run-once"]
    done = run(arguments, folder / "started", variables)
    assert done.returncode == 0, done.stderr
    return Worked(folder, runs, done.stdout + done.stderr)


def _deployment(folder: Path, name: str) -> Any:
    entrypoint, variables = DEPLOYED[name]
    flow: Any = prefect.flow.from_source(source=str(folder / "source"), entrypoint=entrypoint)
    return flow.to_deployment(
        name="worker", job_variables={"working_dir": str(folder / "working"), "env": dict(variables)}
    )


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_result_of_a_worker_comes_back_here(worked: Worked, name: str) -> None:
    if name in _NEED_ENTRY_POINTS:
        need_installed_package()
    state = worked.run(name).state
    assert state is not None and state.is_completed(), f"{state}\n{worked.said}"
    value = state.result()
    assert list(value) == ["frame", "from"] and value["from"] == name
    assert type(value["frame"]) is pd.DataFrame
    pd.testing.assert_frame_equal(value["frame"], pd.DataFrame({"row": range(5)}))


@pytest.mark.parametrize("name", DEPLOYED)
def test_frames_of_a_worker_lie_beside_the_results(worked: Worked, name: str) -> None:
    if name in _NEED_ENTRY_POINTS:
        need_installed_package()
    results = worked.folder / ("shared" if name == "by-type-with-block" else "results")
    store = Store(results / "coldframe")
    state = worked.run(name).state
    assert state is not None
    (reference,) = references(state)
    assert reference.storage == store.url
    tasks = {key.split("/")[2] for key in (each.key for each in store.list(f"prefect/{name}/"))}
    # Tasks take the serializer of their flow.
    assert tasks == {"create", "flow-result"}
    assert reference.metadata["prefect"]["flow_run_id"] == str(worked.runs[name])


def test_nothing_is_left_where_a_worker_works(worked: Worked) -> None:
    assert files(worked.folder / "started") == []
    assert files(worked.folder / "working") == []
    assert files(worked.folder / "source") == ["deployed_importing.py", "deployed_plain.py"]
