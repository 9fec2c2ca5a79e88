"""The example is what a newcomer runs first: as it stands in the repository, without a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import get_current_settings

EXAMPLE = Path(__file__).parents[3] / "examples" / "prefect_frames.py"


def run(folder: Path, *arguments: str, server: str | None = None) -> str:
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("PREFECT_", "COLDFRAME_"))}
    environment |= {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "COLDFRAME_STORE": str(folder / "store"),
        # Prefect starts its server by a name on the path.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    if server is not None:
        environment["PREFECT_API_URL"] = server
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        env=environment,
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(elsewhere.iterdir()) == []
    return done.stdout


@pytest.mark.usefixtures("prefect_server")
def test_the_second_run_computes_nothing_and_a_third_process_reads_the_result(tmp_path: Path) -> None:
    # Which server the second has does not matter, and starting one takes long.
    first = run(tmp_path)
    second, third = run(tmp_path, server=get_current_settings().api.url), run(tmp_path, "read")
    assert "create_dataframe makes 1000 rows" in first and "process_dataframe adds col3" in first
    assert "makes" not in second and "adds" not in second
    tail = [line.split() for line in third.splitlines()[-3:]]
    assert tail == [
        ["997", "997", "498.5", "1495.5"],
        ["998", "998", "499.0", "1497.0"],
        ["999", "999", "499.5", "1498.5"],
    ]
    assert [line.split() for line in first.splitlines()[-3:]] == tail
    assert [line.split() for line in second.splitlines()[-3:]] == tail
    assert third.startswith("prefect/frames/process_dataframe/")
