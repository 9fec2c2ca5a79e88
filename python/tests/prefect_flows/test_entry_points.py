"""How Prefect finds the serializers where nothing imports them: by entry points, or not at all."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem
from process_support import answer, need_installed_package

TYPES = ("coldframe", "parquet", "arrow")
PLUGINS = {"PREFECT_PLUGINS_ENABLED": "true"}


@pytest.fixture(autouse=True)
def server(prefect_server: None) -> None:
    """Every process of these tests has the tests' server, and starts none of its own."""


@pytest.mark.parametrize("group", ["prefect.collections", "prefect.plugins"])
def test_the_package_names_its_module_in_both_groups(group: str) -> None:
    need_installed_package()
    (found,) = importlib.metadata.entry_points(group=group, name="coldframe")
    assert found.value == "coldframe.prefect"
    assert set(found.load().__all__) >= {"ColdframeSerializer", "ParquetSerializer", "ArrowSerializer"}


def test_a_type_is_known_once_prefect_has_loaded_its_collections(tmp_path: Path) -> None:
    """As a worker does when it starts, and whoever loads a saved block; Prefect alone imports nothing of coldframe."""
    need_installed_package()
    code = """
    import prefect.main
    before = [name for name in sys.modules if name.partition(".")[0] == "coldframe"]
    from prefect.plugins import load_prefect_collections
    from prefect.results import resolve_serializer
    loaded = load_prefect_collections()
    answer([before, loaded["coldframe"].__name__] + [resolve_serializer(name).type for name in sys.argv[1:]])
    """
    assert answer(code, *TYPES, home=tmp_path) == [[], "coldframe.prefect", *TYPES]


def test_plugins_make_the_type_known_when_prefect_is_imported(tmp_path: Path) -> None:
    need_installed_package()
    code = """
    import prefect
    from prefect.results import get_default_result_serializer, resolve_serializer
    answer([resolve_serializer(name).type for name in sys.argv[1:]] + [get_default_result_serializer().type])
    """
    known = answer(code, *TYPES, home=tmp_path, PREFECT_RESULTS_DEFAULT_SERIALIZER="coldframe", **PLUGINS)
    assert known == [*TYPES, "coldframe"]


def test_plugins_may_load_the_module_while_it_is_being_imported(tmp_path: Path) -> None:
    """Whoever imports coldframe first imports Prefect by that, which loads its plugins: the same module, half done."""
    need_installed_package()
    code = """
    import coldframe.prefect
    from prefect.results import get_default_result_serializer
    answer(type(get_default_result_serializer()) is coldframe.prefect.ColdframeSerializer)
    """
    assert answer(code, home=tmp_path, PREFECT_RESULTS_DEFAULT_SERIALIZER="coldframe", **PLUGINS) is True


def test_prefect_works_where_coldframe_cannot_be_imported(tmp_path: Path) -> None:
    need_installed_package()
    code = """
    sys.modules[sys.argv[1]] = None
    import contextlib, io
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        from prefect import task
        from prefect.plugins import load_prefect_collections
        failed = load_prefect_collections()["coldframe"]
    @task(persist_result=True)
    def count():
        return 7
    told = "Failed to load plugin coldframe" in said.getvalue()
    answer([count(), type(failed).__name__, sys.argv[1] in str(failed), told])
    """
    assert answer(code, "coldframe._coldframe", home=tmp_path, **PLUGINS) == [7, "ModuleNotFoundError", True, True]


def test_a_type_alone_is_unknown_where_nothing_loaded_the_module(tmp_path: Path) -> None:
    """Prefect takes the text when the flow is defined, and refuses it when the flow begins.

    A default block comes too late: it is loaded after the serializer is looked up.
    """
    LocalFileSystem(basepath=str(tmp_path / "results")).save("by-default", overwrite=True)
    code = """
    from prefect import flow
    from prefect.settings import PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, temporary_settings
    @flow(persist_result=True, result_serializer="coldframe")
    def one():
        return 1
    refused = []
    for block in (None, "local-file-system/by-default"):
        with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: block}):
            try:
                one()
            except Exception as error:
                refused.append([type(error).__name__, str(error)])
    answer(refused)
    """
    refused = answer(code, home=tmp_path)
    assert [name for name, _ in refused] == ["ValidationError"] * 2
    assert all("No class found for dispatch key 'coldframe'" in text for _, text in refused)


def test_a_saved_block_as_result_storage_makes_the_type_known(tmp_path: Path) -> None:
    """Prefect loads its collections to find the class of a block, and the block before the serializer."""
    need_installed_package()
    code = """
    from prefect import flow
    from prefect.filesystems import LocalFileSystem
    LocalFileSystem(basepath=sys.argv[1]).save("known-by-block", overwrite=True)
    @flow(persist_result=True, result_serializer="coldframe", result_storage="local-file-system/known-by-block")
    def one():
        return 1
    state = one(return_state=True)
    answer([state.data.metadata.serializer.type, state.result()])
    """
    assert answer(code, str(tmp_path / "results"), home=tmp_path) == ["coldframe", 1]
