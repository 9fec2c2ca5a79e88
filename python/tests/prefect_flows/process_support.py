"""Processes of their own, with their own environment and folder: workers, writers and readers."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import get_current_settings

LIMIT = 240
"""Seconds until a process counts as hung. Nothing waits that long unless it is broken."""
_OWN = ("PREFECT", "COLDFRAME", "AWS", "AZURE", "GOOGLE")
"""How the names of variables begin that no process gets from the tests."""


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The environment of a process that reaches the tests' server, and has nothing else of the tests'."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    server = get_current_settings().api.url
    assert server, "there is no server: the test lacks the fixture `prefect_server`"
    return {
        **kept,
        "PREFECT_API_URL": server,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }


def run(arguments: Sequence[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs this Python with arguments, in a folder, and waits until it ends."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


_HEADING = """
import json, sys

def answer(value):
    print("ANSWER", json.dumps(value))

def state_of(run):
    from prefect.client.orchestration import get_client
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run).state
"""


def answer(code: str, *arguments: str, home: Path, **variables: str) -> Any:
    """What code gives to its function `answer`, in a process of its own, which has to end well.

    It also has `state_of(run)`: the state of a flow run, as the server has it.
    """
    folder = home / "working"
    folder.mkdir(parents=True, exist_ok=True)
    done = run(["-c", _HEADING + textwrap.dedent(code), *arguments], folder, environment(home, **variables))
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    assert done.returncode == 0 and answers, f"{done.stdout}\n{done.stderr}"
    assert files(folder) == []
    return json.loads(answers[-1].removeprefix("ANSWER "))


def files(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def need_installed_package() -> None:
    """Skips a test where coldframe runs from a folder of sources, which has no entry points."""
    try:
        importlib.metadata.distribution("coldframe")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("coldframe is not installed: a folder of sources has no entry points")
