"""The examples of the docstrings run, and show what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import coldframe

MODULES = [
    module.name
    for module in pkgutil.walk_packages(coldframe.__path__, "coldframe.")
    if not module.name.endswith("._coldframe")
]


@pytest.mark.parametrize("name", ["coldframe", *MODULES])
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An example that writes into the working folder must not write into this one.
    monkeypatch.chdir(tmp_path)
    failed, _ = doctest.testmod(importlib.import_module(name), verbose=False)
    assert failed == 0
    assert list(tmp_path.iterdir()) == []


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    found = [test for name in ["coldframe", *MODULES] for test in finder.find(importlib.import_module(name))]
    assert sum(len(test.examples) > 0 for test in found) >= 7
