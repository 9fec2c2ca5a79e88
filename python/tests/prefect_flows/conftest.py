"""Prefect for tests: settings of their own, and one real server for the session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

HERE = Path(__file__).parent
STARTUP = 240
"""Seconds until the server counts as broken."""
_OTHERS = (
    # Prefect leaves connections to its server for the garbage collector to close.
    r"ignore:unclosed <socket:ResourceWarning",
    r"ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in Path(item.path).parents:
            for ignored in _OTHERS:
                item.add_marker(pytest.mark.filterwarnings(ignored))


@pytest.fixture(scope="session", autouse=True)
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of Prefect's own for the tests, which touch no other."""
    home = tmp_path_factory.mktemp("prefect")
    with temporary_settings(
        {
            PREFECT_HOME: home,
            PREFECT_LOCAL_STORAGE_PATH: home / "storage",
            PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True,
            PREFECT_SERVER_ANALYTICS_ENABLED: False,
            # The end of its thread is waited for at the end of each flow, for up to a second.
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        }
    ):
        yield home


@pytest.fixture(scope="session")
def prefect_server(prefect_home: Path) -> Iterator[None]:
    """A real server, which takes some ten seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        # The server is started by a name on the path.
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
        patch.setenv("DO_NOT_TRACK", "1")
        with prefect_test_harness(server_startup_timeout=STARTUP):
            yield


@pytest.fixture
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials but those of the test: neither of the environment nor of this machine's files."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "STORAGE_EMULATOR", "COLDFRAME_STORE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
