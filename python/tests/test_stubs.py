"""Types and style: the stub says what the native part has, and mypy and ruff find nothing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
LIMIT = 300


def found(*command: str, module: str) -> str:
    """What a tool reports of the package; nothing if it is content."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    done = subprocess.run(
        [sys.executable, "-P", "-m", *command],
        cwd=HERE,
        env={**os.environ, "MYPY_CACHE_DIR": os.environ.get("MYPY_CACHE_DIR", os.devnull)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return "" if done.returncode == 0 else f"{command}: {done.stdout}{done.stderr}"


def test_stub_is_what_the_native_part_has() -> None:
    command = ["mypy.stubtest", "coldframe._coldframe", "--mypy-config-file", "pyproject.toml"]
    assert found(*command, module="mypy") == ""


def test_package_is_typed() -> None:
    assert found("mypy", "--strict", "--config-file", "pyproject.toml", module="mypy") == ""


@pytest.mark.parametrize("command", ["check", "format"])
def test_style(command: str) -> None:
    arguments = ["--check"] if command == "format" else []
    assert found("ruff", command, *arguments, "--no-cache", ".", module="ruff") == ""
