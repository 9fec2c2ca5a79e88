"""`import coldframe` imports no other library, and works where none is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pyarrow as pa
import pytest
from support import output, python

from coldframe import Store

LIBRARIES = (
    "pandas",
    "polars",
    "pyarrow",
    "duckdb",
    "numpy",
    "tqdm",
    "IPython",
    "pydantic",
    "orjson",
    "cloudpickle",
    "dill",
    "prefect",
)

SLOW = (
    "asyncio",
    "difflib",
    "xml",
    "html",
    "http",
    "urllib",
    "email",
    "pickle",
    "platform",
    "subprocess",
    "concurrent",
)
"""Modules of the standard library that take long to import and are not needed at once."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python without any library."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    return str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def in_bare(bare: str, code: str, *arguments: str) -> str:
    # The package alone, without what is installed beside it.
    alone = Path(bare).parent.parent / "alone"
    if not alone.exists():
        alone.mkdir()
        (alone / "coldframe").symlink_to(Path(sys.modules["coldframe"].__file__ or "").parent)
    done = python(code, *arguments, executable=bare, PYTHONPATH=str(alone))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_no_library() -> None:
    code = """
    import sys
    before = set(sys.modules)
    import coldframe, json
    print(json.dumps(sorted(set(sys.modules) - before)))
    """
    loaded = {name.partition(".")[0] for name in json.loads(output(code))}
    assert "coldframe" in loaded
    assert loaded.isdisjoint(LIBRARIES)
    assert loaded.isdisjoint(SLOW)


def test_json_and_bytes_load_no_frame_library(tmp_path: Path) -> None:
    code = """
    import sys, coldframe
    store = coldframe.Store(sys.argv[1])
    assert store.put("json", {"a": [1, None]}).get() == {"a": [1, None]}
    assert store.put("bytes", b"abc").get() == b"abc"
    assert store.put("pickle", {1, 2}, serializer="pickle").get(allow_pickle=True) == {1, 2}
    repr(store.list()), str(store.show("json")), store.list()._repr_html_(), store.versions("json")._repr_html_()
    print(sorted({"pandas", "polars", "pyarrow", "duckdb", "numpy", "tqdm", "IPython"} & set(sys.modules)))
    """
    assert output(code, str(tmp_path)) == "[]\n"


def test_pyarrow_alone_loads_no_pandas(tmp_path: Path) -> None:
    """Whoever works with pyarrow does not wait for pandas."""
    table = pa.table({"row": [1, 2], "name": ["a", None]})
    with pa.ipc.new_file(tmp_path / "table.arrow", table.schema) as file:
        file.write_table(table)
    # Where pyarrow makes a table of Python's own values, it imports pandas by itself.
    code = """
    import sys, coldframe, pyarrow as pa
    table = pa.ipc.open_file(sys.argv[1] + "/table.arrow").read_all()
    store = coldframe.Store(sys.argv[1] + "/store")
    reference = store.put("table", table)
    one = store.put("batch", table.to_batches()[0])
    scan = store.scan("table", columns=["row"])
    assert reference.get() == table and store.scan("table").head() == table and one.get() == table.to_batches()[0]
    assert scan.to_arrow().num_columns == 1 and len(list(scan.batches())) == 1
    assert pa.schema(reference.schema) == table.schema and len(scan.schema) == 1
    assert store.put("reader", table.to_reader()).get().read_all() == table
    print(sorted({"pandas", "polars", "duckdb"} & set(sys.modules)))
    """
    assert output(code, str(tmp_path)) == "[]\n"


def test_what_works_without_any_library(bare: str, tmp_path: Path) -> None:
    code = """
    import sys, coldframe
    store = coldframe.Store(sys.argv[1])
    for value in (None, True, 7, 1.5, "text", [1, {"a": None}], b"abc"):
        assert store.put("value", value).get() == value
    received = coldframe.ResultReference.from_json(store.put("value", 8).json(), store)
    assert received.get() == 8 and store.get("value", version=1) is None
    assert [reference.key for reference in store.list()] == ["value"]
    assert len(store.versions("value")) == 8 and store.verify().ok and store.delete("value@8") == [8]
    assert store.put("pickle", {1, 2}, serializer="pickle").get(allow_pickle=True) == {1, 2}
    print("done")
    """
    assert in_bare(bare, code, str(tmp_path)) == "done\n"


def test_frames_travel_without_any_library(bare: str, tmp_path: Path) -> None:
    """A scan gives Arrow streams itself: so does whatever else a bare Python has, and that can be put."""
    Store(tmp_path).put("table", pa.table({"row": range(1000), "name": ["a"] * 1000}))
    code = """
    import sys, coldframe
    store = coldframe.Store(sys.argv[1])
    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return store.scan("table", limit=10).__arrow_c_stream__(requested_schema)
    class Batch:
        def __init__(self, native):
            self.native = native
        def __arrow_c_array__(self, requested_schema=None):
            return self.native.__arrow_c_array__(requested_schema)
    assert store.put("stream", Stream()).rows == 10
    assert store.put("scan", store.scan("table", ["name"])).shape == (1000, 1)
    assert store.put("reference", store.reference("table")).shape == (1000, 2)
    batches = store.scan("table", batch_rows=300)._each(None)
    assert store.put("batches", (Batch(native) for native in batches)).rows == 1000
    assert store.reference("stream").schema.names == ["row", "name"]
    str(store.show("stream")), store.show("stream")._repr_html_()
    print("done")
    """
    assert in_bare(bare, code, str(tmp_path)) == "done\n"
    assert Store(tmp_path).scan("stream").to_arrow()["row"].to_pylist() == list(range(10))
    assert Store(tmp_path).scan("batches").to_arrow().num_rows == 1000


def test_missing_library_is_named(bare: str, tmp_path: Path) -> None:
    import duckdb
    import pandas
    import polars

    store = Store(tmp_path)
    store.put("pandas", pandas.DataFrame({"a": [1]}))
    store.put("polars", polars.DataFrame({"a": [1]}))
    store.put("lazy", polars.LazyFrame({"a": [1]}))
    store.put("pyarrow", pa.table({"a": [1]}))
    store.put("reader", pa.table({"a": [1]}).to_reader())
    store.put("batch", pa.table({"a": [1]}).to_batches()[0])
    store.put("duckdb", duckdb.sql("select 1 as a"))
    code = """
    import sys, coldframe
    store = coldframe.Store(sys.argv[1])
    for key, install in {
        "pandas": "coldframe[pandas]", "polars": "coldframe[polars]", "lazy": "coldframe[polars]",
        "pyarrow": "coldframe[arrow]", "reader": "coldframe[arrow]", "batch": "coldframe[arrow]",
        "duckdb": "coldframe[duckdb]",
    }.items():
        for work in (lambda: store.get(key), lambda: store.get(store.reference(key)), lambda: store.scan(key).head()):
            try:
                work()
            except coldframe.errors.MissingLibraryError as error:
                assert isinstance(error, ImportError)
                assert f'pip install "{install}"' in str(error), (key, str(error))
            else:
                raise AssertionError(key)
    for name, install in {"to_pandas": "pandas", "to_polars": "polars", "to_arrow": "arrow", "to_duckdb": "duckdb",
                          "lazy": "polars"}.items():
        try:
            getattr(store.scan("pyarrow"), name)()
        except ImportError as error:
            assert f"coldframe[{install}]" in str(error), (name, str(error))
        else:
            raise AssertionError(name)
    try:
        list(store.scan("pyarrow").batches())
    except ImportError as error:
        assert "coldframe[arrow]" in str(error)
    for serializer in ("pickle(cloudpickle)", coldframe.Pickle("dill")):
        try:
            store.put("value", 1, serializer=serializer)
        except ImportError as error:
            assert "pip install" in str(error)
        else:
            raise AssertionError(serializer)
    try:
        coldframe.Json(lib="orjson")
    except ImportError as error:
        assert "pip install" in str(error)
    else:
        raise AssertionError("orjson")
    print("done")
    """
    assert in_bare(bare, code, str(tmp_path)) == "done\n"


def test_module_runs_as_a_command(tmp_path: Path) -> None:
    code = (
        "import sys; from coldframe.command import main; sys.argv = ['coldframe', 'ls', '--store', sys.argv[1]]; main()"
    )
    Store(tmp_path / "store").put("some/key", 1)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "store")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "some/key" in done.stdout
