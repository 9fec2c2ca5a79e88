"""Results that are read in another process: with coldframe, without it, and without Prefect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prefect import flow, task
from prefect.serializers import PickleSerializer
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from process_support import answer, need_installed_package

from coldframe.prefect import ColdframeSerializer

COLUMNS = {"fare": [12.5, 7.0], "zone": ["north", "south"]}


@dataclass(frozen=True)
class Written:
    """What the writer left."""

    results: Path
    run: str
    run_by_path: str


@task
def trips() -> pd.DataFrame:
    return pd.DataFrame(COLUMNS)


@pytest.fixture(scope="module")
def written(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Two runs of flows that return frames, one by type and one by the path of the module."""
    results = tmp_path_factory.mktemp("written") / "results"

    def daily() -> dict[str, Any]:
        return {"trips": trips(), "rows": 2}

    by_path = PickleSerializer(picklelib="coldframe.prefect")
    runs = []
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: results}):
        for name, serializer in (("daily", ColdframeSerializer()), ("daily by path", by_path)):
            state: Any = flow(name=name, persist_result=True, result_serializer=serializer)(daily)(return_state=True)
            runs.append(str(state.state_details.flow_run_id))
    return Written(results, *runs)


def test_a_reader_that_imports_coldframe_has_the_value(written: Written, tmp_path: Path) -> None:
    code = """
    import coldframe.prefect
    value = state_of(sys.argv[1]).result()
    answer([type(value["trips"]).__qualname__, value["trips"].to_dict("list"), value["rows"]])
    """
    assert answer(code, written.run, home=tmp_path) == ["DataFrame", COLUMNS, 2]


def test_a_reader_with_plugins_imports_nothing(written: Written, tmp_path: Path) -> None:
    need_installed_package()
    code = """
    value = state_of(sys.argv[1]).result()
    answer([type(value["trips"]).__qualname__, value["trips"].to_dict("list"), value["rows"]])
    """
    given = answer(code, written.run, home=tmp_path, PREFECT_PLUGINS_ENABLED="true")
    assert given == ["DataFrame", COLUMNS, 2]


def test_a_reader_of_the_path_of_the_module_imports_nothing(written: Written, tmp_path: Path) -> None:
    code = """
    value = state_of(sys.argv[1]).result()
    answer([type(value["trips"]).__qualname__, value["trips"].to_dict("list"), value["rows"]])
    """
    assert answer(code, written.run_by_path, home=tmp_path) == ["DataFrame", COLUMNS, 2]


def test_a_reader_that_imported_too_late_reads_the_state_again(written: Written, tmp_path: Path) -> None:
    """The metadata parses without coldframe, the value is refused; a state that was read before stays as it is."""
    code = """
    early = state_of(sys.argv[1])
    refused = []
    def refusal(state):
        try:
            state.result()
        except Exception as error:
            refused.append([type(error).__name__, str(error)])
    refusal(early)
    kind = type(early.data.serializer).__name__
    import coldframe.prefect
    refusal(early)
    answer([kind, early.data.serializer.type, refused, state_of(sys.argv[1]).result()["rows"]])
    """
    kind, name, refused, rows = answer(code, written.run, home=tmp_path)
    assert (kind, name, rows) == ("UnknownSerializer", "coldframe", 2)
    text = "Serializer 'coldframe' is not available in this environment, so deserialization cannot be performed."
    assert refused == [["RuntimeError", text]] * 2


def test_where_coldframe_is_not_installed_the_rows_are_read_by_their_path(written: Written, tmp_path: Path) -> None:
    """Prefect's metadata names the record, which is JSON, and names the store, the key and the file's name."""
    code = """
    sys.modules["coldframe"] = None
    state = state_of(sys.argv[1])
    try:
        state.result(raise_on_failure=False)
    except RuntimeError as error:
        refused = str(error)
    from pathlib import Path
    record = json.loads(Path(state.data.storage_key).read_text())
    reference = record["frames"][0]["reference"]
    folder = reference["storage"].removeprefix("file://")
    path = f"{folder}/data/{reference['key']}/{reference['write']}.parquet"
    import duckdb, polars, pyarrow.parquet
    answer([
        refused,
        record["value"],
        pyarrow.parquet.read_table(path).to_pydict(),
        polars.read_parquet(path).to_dict(as_series=False),
        dict(zip(["fare", "zone"], map(list, zip(*duckdb.sql(f"select fare, zone from '{path}'").fetchall())))),
    ])
    """
    refused, value, *given = answer(code, written.run, home=tmp_path)
    assert "'coldframe' is not available in this environment" in refused
    assert value == {"trips": {"$frame": 0}, "rows": 2}
    assert given == [COLUMNS] * 3


def test_where_coldframe_is_not_installed_the_path_of_the_module_hides_the_metadata(
    written: Written, tmp_path: Path
) -> None:
    """Prefect imports the module of a pickle serializer already to see whether there is one."""
    code = """
    sys.modules["coldframe"] = None
    try:
        answer(repr(type(state_of(sys.argv[1]).data)))
    except Exception as error:
        answer(str(error))
    """
    assert "Failed to import requested pickle library: 'coldframe.prefect'" in answer(
        code, written.run_by_path, home=tmp_path
    )


def test_without_prefect_results_are_found_by_name(written: Written, tmp_path: Path) -> None:
    code = """
    sys.modules["prefect"] = None
    import coldframe
    store = coldframe.Store(sys.argv[1])
    found = store.list("prefect/daily/")
    named = {reference.metadata["prefect"]["flow_run_id"] for reference in found}
    answer([sorted(reference.key.split("/")[2] for reference in found), sorted(named),
            [reference.to_arrow().to_pydict() for reference in found]])
    """
    keys, runs, given = answer(code, str(written.results / "coldframe"), home=tmp_path)
    assert keys == ["flow-result", "trips"]
    assert runs == [written.run]
    assert given == [COLUMNS] * 2
