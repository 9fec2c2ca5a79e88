"""Stores for tests: a local folder, memory, and S3 where a server runs."""

from __future__ import annotations

import itertools
import os
import pathlib
from typing import Any

import pytest

from coldframe import Store

_SERVER = "COLDFRAME_TEST_S3"
"""The environment variable that holds the URL of an S3 server with a bucket `coldframe`."""
_NUMBERS = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"s3: needs an S3 server, whose URL {_SERVER} holds")


def open_store(kind: str, folder: pathlib.Path, **options: Any) -> Store:
    """An empty store of a kind (`local`, `memory`, `s3`); the test is skipped where there is no server."""
    if kind == "local":
        return Store(folder / "store", durable=False, cache=False, progress=False, **options)
    number = next(_NUMBERS)
    if kind == "memory":
        return Store(f"memory://test-{number}", progress=False, **options)
    server = os.environ.get(_SERVER)
    if not server:
        pytest.skip(f"{_SERVER} is not set")
    options = {
        "endpoint": server,
        "allow_http": True,
        "region": "us-east-1",
        "virtual_hosted_style_request": False,
        "access_key_id": "test",
        "secret_access_key": "testtesttest",
        **options,
    }
    return Store(f"s3://coldframe/python/{os.getpid()}/{number}", cache=False, progress=False, **options)


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Store:
    """An empty store on each kind of storage."""
    return open_store(request.param, tmp_path)


@pytest.fixture
def local_store(tmp_path: pathlib.Path) -> Store:
    """An empty store in a local folder."""
    return open_store("local", tmp_path)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store in a local folder, which the tests of a module share."""
    return open_store("local", tmp_path_factory.mktemp("shared"))
