"""In a notebook, run for real: results draw themselves, errors stay errors, and a cell can be interrupted."""

from __future__ import annotations

import html.parser
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LIMIT = 120
VOID = {"br", "hr", "img", "input", "meta", "link", "col"}

CELLS = {
    "put": """
import coldframe, pandas as pd, pyarrow as pa
store = coldframe.Store("store", durable=False)
frame = pd.DataFrame({"carrier": ["B6", "UA", None], "delay": [1.5, -6.0, 9.25], "<b>&\\"quoted\\"": [1, 2, 3]})
store.put("etl/trips", frame, title="Trips <script>alert(1)</script>", metadata={"owner": "Ada"}, expires="7d")
""",
    "reference": "reference = store.reference('etl/trips')\nreference",
    "compact": "reference.compact()",
    "denied": "coldframe.ResultReference.from_json(reference.json())",
    "json": "store.put('etl/settings', {'rate': 0.5})",
    "listing": "store.put('etl/other', pa.table({'a': [1]}))\nstore.list()",
    "empty listing": "store.list('nothing/')",
    "deleted": "store.put('etl/trips', frame)\nstore.delete('etl/trips@1', reason='a <mistake>')",
    "versions": "store.versions('etl/trips')",
    "store": "store",
    "schema": "reference.schema",
    "card": "store.show('etl/trips')",
    "scan": "store.scan('etl/trips', ['delay'], limit=2)",
    "head": "store.reference('etl/trips').head(2)",
    "verification": "store.verify()",
    "error": "store.get('etl/trip')",
    "gone": "reference",
}
DRAWN = {
    "put",
    "reference",
    "compact",
    "denied",
    "json",
    "listing",
    "empty listing",
    "versions",
    "store",
    "schema",
    "card",
    "gone",
}
"""Cells whose output is HTML of ours."""


class Checked(html.parser.HTMLParser):
    """Checks that every tag is closed where it was opened, and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def checked(text: str) -> Checked:
    parser = Checked()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def kernel_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A kernel of this very Python, whatever kernels are installed, that imports what this process imports."""
    for name in ("nbformat", "nbconvert", "ipykernel"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("jupyter")
    kernel = folder / "kernels" / "coldframe-tests"
    kernel.mkdir(parents=True)
    import json

    # Debugger warnings of frozen modules are no concern of ours.
    command = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    description = {"argv": command, "display_name": "tests", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(description))
    before = {
        name: os.environ.get(name) for name in ("JUPYTER_PATH", "PYTHONPATH", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    os.environ["JUPYTER_PATH"] = str(folder)
    os.environ["JUPYTER_RUNTIME_DIR"] = str(folder / "runtime")
    os.environ["IPYTHONDIR"] = str(folder / "ipython")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="module")
def executed(kernel_environment: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The cells of the notebook after they ran, by name."""
    import nbformat
    from nbconvert.preprocessors import ExecutePreprocessor

    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(code.strip()) for code in CELLS.values()]
    runner = ExecutePreprocessor(timeout=LIMIT, kernel_name="coldframe-tests", allow_errors=True)
    runner.preprocess(notebook, {"metadata": {"path": str(folder)}})
    kept = os.environ.get("COLDFRAME_TEST_NOTEBOOK")
    if kept:
        # For people who want to look at it: jupyter nbconvert --to html.
        nbformat.write(notebook, Path(kept))
    return dict(zip(CELLS, notebook.cells))


def data(cell: Any) -> Any:
    (result,) = (output for output in cell.outputs if output.output_type == "execute_result")
    return result.data


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_results_draw_themselves(executed: dict[str, Any], name: str) -> None:
    assert [output.output_type for output in executed[name].outputs] == ["execute_result"], executed[name].outputs
    shown = data(executed[name])
    parsed = checked(shown["text/html"])
    assert "script" not in parsed.tags
    assert "mistake" not in parsed.tags
    assert shown["text/plain"].strip()
    assert "<div" not in shown["text/plain"]
    assert "object at 0x" not in shown["text/plain"]


def test_reference_shows_what_it_is(executed: dict[str, Any]) -> None:
    for name in ("put", "reference"):
        shown = data(executed[name])
        text = checked(shown["text/html"]).text
        for part in (
            "etl/trips@1",
            "3 rows",
            "3 columns",
            "carrier",
            "delay",
            '<b>&"quoted"',
            "Trips <script>",
            "Ada",
            "parquet",
        ):
            assert part in text, (name, part)
            assert part in shown["text/plain"], (name, part)
        # The size of its files, and when it expires.
        assert "KiB" in text
        assert "expires in 7 days" in text


def test_other_cards(executed: dict[str, Any]) -> None:
    def text(name: str) -> str:
        return checked(data(executed[name])["text/html"]).text

    assert all(key in text("listing") for key in ("etl/other", "etl/settings", "etl/trips", "Trips <script>"))
    assert "a <mistake>" in text("versions")
    assert "deleted" in text("versions")
    assert "store" in text("store")
    assert all(part in text("schema") for part in ("carrier", "delay", "Float64"))
    assert "JSON" in text("json")
    assert "etl/trips@2" in text("card")
    # A card whose result is gone, or whose store may not be opened, says so and does not fail.
    assert "a <mistake>" in text("gone")
    assert "etl/trips@1" in text("denied")


def test_plain_results(executed: dict[str, Any]) -> None:
    assert "etl/trips" in data(executed["scan"])["text/plain"]
    assert "B6" in data(executed["head"])["text/html"]
    assert "versions" in data(executed["verification"])["text/plain"]


def test_error_is_one_message(executed: dict[str, Any]) -> None:
    (error,) = executed["error"].outputs
    assert error.output_type == "error"
    assert error.ename == "NotFoundError"
    assert "did you mean `etl/trips`" in error.evalue


def test_cells_without_a_mistake_have_no_error(executed: dict[str, Any]) -> None:
    for name, cell in executed.items():
        if name != "error":
            kinds = {output.output_type for output in cell.outputs}
            assert kinds == {"execute_result"}, (name, cell.outputs)


def test_interrupted_cell(kernel_environment: None, tmp_path: Path) -> None:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="coldframe-tests", startup_timeout=LIMIT, cwd=str(tmp_path))
    try:
        for endless in ("endless()", "pa.RecordBatchReader.from_batches(batch.schema, endless())"):
            code = f"""
import coldframe, pyarrow as pa, time
store = coldframe.Store("store", durable=False)
batch = pa.record_batch({{"row": pa.array(range(1000))}})
def endless():
    while True:
        yield batch
        print("begun", flush=True)
        time.sleep(0.05)
store.put("key", {endless})
"""
            replies = run(client, code, interrupt=manager.interrupt_kernel)
            errors = [reply["content"]["ename"] for reply in replies if reply["msg_type"] == "error"]
            assert errors == ["KeyboardInterrupt"]
            after = "print(len(store.list()), store.verify().notes, store.put('other', 1).get(), store.delete('other'))"
            told = "".join(reply["content"]["text"] for reply in run(client, after) if reply["msg_type"] == "stream")
            assert "0 [] 1 [" in told
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert not list((tmp_path / "store").glob("data/**/*.parquet"))


def run(client: Any, code: str, interrupt: Any = None) -> list[Any]:
    """What the kernel tells while it runs the code; it is interrupted when the code prints for the first time."""
    sent, replies = client.execute(code), []
    while True:
        message = client.get_iopub_msg(timeout=LIMIT)
        if message["parent_header"].get("msg_id") != sent:
            continue
        replies.append(message)
        if message["msg_type"] == "stream" and interrupt is not None:
            interrupt()
            interrupt = None
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return replies
