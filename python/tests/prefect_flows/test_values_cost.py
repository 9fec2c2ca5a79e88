"""What values cost on their way into a record: memory for frames, time for what else is in them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from support import output

from coldframe.prefect import envelope

MEBIBYTE = 1024**2

_GROWTH = """
    import sys
    import numpy, pandas
    from coldframe.prefect import ColdframeSerializer

    folder, size = sys.argv[1], int(sys.argv[2])
    columns = {f"column {number}": numpy.random.default_rng(number).standard_normal(size // 80) for number in range(10)}
    frame = pandas.DataFrame(columns, copy=False)
    del columns
    serializer = ColdframeSerializer(store=folder)
    # What is imported and started once is no cost of the frame.
    serializer.dumps((frame[:10], 1))

    def resident(field):
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before = resident("VmRSS")
    record = serializer.dumps({"model": (frame, {1, 2})})
    print(resident("VmHWM") - before, len(record))
"""


def test_a_large_nested_frame_is_not_copied(tmp_path: Path) -> None:
    most, length = map(int, output(_GROWTH, str(tmp_path / "store"), "400000000").split())
    assert length < 2_000
    # The put itself may hold 192 MiB.
    assert most < 192 * MEBIBYTE


def calls(work: Callable[[], Any]) -> int:
    """How many functions in Python it calls, which is what takes long where values are many."""
    counted = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def there_and_back(value: Any) -> Any:
    return envelope.read(envelope.part(value).text([]))[0].joined(int)


MANY: dict[str, Any] = {
    "ints": range(10_000),
    "floats": [0.5 * number for number in range(10_000)],
    "texts": [f"text {number}" for number in range(10_000)],
    "texts beyond ASCII": ["ü"] * 10_000,
    "all of these": [1, 0.5, "text", None, True] * 2_000,
}


@pytest.mark.parametrize("what", MANY)
@pytest.mark.parametrize("shape", [list, tuple, lambda items: {str(number): item for number, item in enumerate(items)}])
def test_many_scalars_take_no_call_for_each(what: str, shape: Callable[[Any], Any]) -> None:
    value = shape(MANY[what])
    there_and_back(value)
    assert there_and_back(value) == value
    # Text beyond ASCII is tried one by one.
    assert calls(lambda: there_and_back(value)) < (200 if "beyond" not in what else 10_200)


def test_many_records_take_few_calls_for_each() -> None:
    records = [{"number": number, "name": "x", "tags": []} for number in range(1_000)]
    there_and_back(records)
    assert calls(lambda: there_and_back(records)) < 20_000


def test_many_objects_take_one_call_more_than_in_cloudpickle() -> None:
    objects = [Path(f"/{number}") for number in range(1_000)]
    plain = calls(lambda: cloudpickle.loads(cloudpickle.dumps(objects)))
    assert calls(lambda: there_and_back(objects)) < plain + 1_500
