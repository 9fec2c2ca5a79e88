"""Pickles: what cannot be pickled is named, what wrote them is recorded, and loading needs permission."""

from __future__ import annotations

import collections
import dataclasses
import functools
import pickle
import platform
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import dill  # type: ignore[import-untyped]
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe import pickle_culprit, pickling
from coldframe.errors import InvalidInputError, MissingLibraryError, PickleDeniedError, UnsupportedError

LIBRARIES = pickling.LIBRARIES


class Holder:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("layers", "name")

    def __init__(self, layers: Any) -> None:
        self.layers = layers


class Stateful:
    def __getstate__(self) -> Any:
        return ["state", threading.Lock()]


class Refusing:
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("not me")


@dataclasses.dataclass
class Data:
    inner: Any


class Model(pydantic.BaseModel):
    inner: Any = None


class Fruits(list[Any]):
    pass


def loaded(data: bytes, lib: str = "pickle") -> Any:
    return pickling.loads(data, pickling.describe(lib), allow_pickle=True)


@pytest.mark.parametrize("lib", LIBRARIES)
def test_values_come_back(lib: str) -> None:
    value = {"a": (1, {2}, frozenset({3})), 4: [None, 1j, b"x", range(3)]}
    assert loaded(pickling.dumps(value, lib), lib) == value
    array = np.arange(1000.0)
    assert np.array_equal(loaded(pickling.dumps(array, lib), lib), array)


@given(st.recursive(st.integers() | st.text() | st.floats(allow_nan=False) | st.binary(), st.lists))
def test_any_plain_value_comes_back(value: Any) -> None:
    assert loaded(pickling.dumps(value)) == value


@pytest.mark.parametrize("lib", ["cloudpickle", "dill"])
def test_lambdas_and_local_classes_come_back(lib: str) -> None:
    class Local:
        x = 3

    def add(y: int) -> int:
        return Local.x + y

    assert loaded(pickling.dumps({"f": add, "l": Local()}, lib), lib)["f"](4) == 7


def test_the_descriptor_says_who_wrote_it() -> None:
    python = platform.python_version()
    assert pickling.describe() == {"type": "pickle", "lib": "pickle", "python": python, "protocol": 5}
    assert pickling.describe("cloudpickle", 4) == {
        "type": "pickle",
        "lib": "cloudpickle",
        "lib_version": cloudpickle.__version__,
        "python": python,
        "protocol": 4,
    }
    assert pickling.describe("dill")["lib_version"] == dill.__version__


@pytest.mark.parametrize("lib", LIBRARIES)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_the_protocol_is_the_one_that_was_chosen(lib: str, protocol: int) -> None:
    data = pickling.dumps([1], lib, protocol)
    assert (data[0] == 0x80) == (protocol >= 2)
    if protocol >= 2:
        assert data[1] == protocol
    assert pickling.dumps([1], lib)[1] == 5


@pytest.mark.parametrize(
    ("lib", "protocol", "message"),
    [
        ("joblib", None, '`lib` is "joblib"'),
        (None, None, "`lib` is None"),
        (["pickle"], None, "`lib` is a value of type list"),
        ("os; import this", None, "`lib` is"),
        ("pickle", 99, "`protocol` is 99"),
        ("pickle", -1, "`protocol` is -1"),
        ("pickle", True, "`protocol` is True"),
        ("pickle", "5", "`protocol` is"),
    ],
)
def test_wrong_settings_are_refused(lib: Any, protocol: Any, message: str) -> None:
    for call in (pickling.describe, functools.partial(pickling.dumps, 1)):
        with pytest.raises(InvalidInputError) as caught:
            call(lib, protocol)
        assert message in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize("lib", ["cloudpickle", "dill"])
def test_a_library_that_is_not_there(lib: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, lib, None)
    for call in (pickling.describe, functools.partial(pickling.dumps, 1)):
        with pytest.raises(MissingLibraryError, match=f"`{lib}` is not installed") as caught:
            call(lib)
        assert caught.value.hint == f"`pip install {lib}`"


LOCK = threading.Lock()
LOCK_MESSAGE = "cannot pickle '_thread.lock' object"
CULPRITS = [
    (LOCK, ""),
    ([1, LOCK], "[1]"),
    ((1, [2, LOCK]), "[1][1]"),
    ({"a": {3: LOCK}}, '["a"][3]'),
    ({(1, LOCK): 2}, "{the key a value of type tuple}[1]"),
    ({1, LOCK}, "{an item}"),
    (frozenset({LOCK}), "{an item}"),
    (Holder(model=Slotted([0, 1, Holder(lock=LOCK)])), ".model.layers[2].lock"),
    (Holder(**{"not a name": LOCK}), '["not a name"]'),
    (Data(Data(LOCK)), ".inner.inner"),
    (collections.deque([1, LOCK]), "[1]"),
    (collections.OrderedDict(a=LOCK), '["a"]'),
    (collections.defaultdict(list, a=[LOCK]), '["a"][0]'),
    (Fruits([LOCK]), "[0]"),
    (types.SimpleNamespace(x=LOCK), ".x"),
    (functools.partial(print, LOCK), ".__getstate__()[1][0]"),
    (Holder(lock=LOCK).__init__, ".__reduce_ex__(4)[1][0].lock"),  # type: ignore[misc]
    (Stateful(), ".__getstate__()[1]"),
    (Model(inner=[LOCK]), '.__dict__["inner"][0]'),
    (np.array([1, LOCK], dtype=object), ".__getstate__()[4][1]"),
]


@pytest.mark.parametrize(("value", "path"), CULPRITS, ids=[path or "itself" for _, path in CULPRITS])
def test_the_culprit_is_named(value: Any, path: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        pickling.dumps(value)
    assert caught.value.message == f"value{path}: {LOCK_MESSAGE}"
    assert "leave the lock out" in (caught.value.hint or "")
    assert isinstance(caught.value.__cause__, TypeError)


def test_what_a_function_takes_along_is_looked_into() -> None:
    held = [LOCK]

    def closure() -> Any:
        return held

    with pytest.raises(UnsupportedError) as caught:
        pickling.dumps({"f": closure}, "cloudpickle")
    assert caught.value.message == f'value["f"]{{its variable held}}[0]: {LOCK_MESSAGE}'
    apart: dict[str, Any] = {"held": held}
    exec("def function(): return held", apart)  # a function whose globals hold a lock
    with pytest.raises(UnsupportedError) as caught:
        pickling.dumps(apart["function"], "cloudpickle")
    assert caught.value.message == f"value{{its global held}}[0]: {LOCK_MESSAGE}"


def test_an_object_that_refuses_is_the_culprit_itself() -> None:
    with pytest.raises(UnsupportedError, match=r"^value\[0\]\.a: not me\n"):
        pickling.dumps([Holder(a=Refusing())])


def test_cloudpickle_is_the_way_out_for_lambdas_and_local_classes() -> None:
    class Local:
        pass

    for value, path in [([lambda: 1], "value[0]"), ({"k": Local()}, 'value["k"]'), ((1, Local), "value[1]")]:
        with pytest.raises(UnsupportedError) as caught:
            pickling.dumps(value)
        assert caught.value.message.startswith(f"{path}: ")
        assert 'Pickle(lib="cloudpickle")' in (caught.value.hint or "")
        assert pickling.dumps(value, "cloudpickle")
    with pytest.raises(UnsupportedError) as caught:
        pickling.dumps([1, (number for number in [1])])
    assert "list(...)" in (caught.value.hint or "")


def test_what_only_refers_back_is_not_to_blame() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = [cycle, Holder(back=cycle)]
    cycle["children"] = [Holder(parent=cycle, number=number) for number in range(3)]
    cycle["held"] = Holder(back=cycle, lock=LOCK)
    with pytest.raises(UnsupportedError) as caught:
        pickling.dumps(cycle)
    assert caught.value.message == f'value["held"].lock: {LOCK_MESSAGE}'


def test_a_culprit_that_is_met_twice_is_named_once() -> None:
    shared = Holder(lock=LOCK)
    with pytest.raises(UnsupportedError) as caught:
        pickling.dumps([Holder(a=[shared]), shared])
    assert caught.value.message == f"value[0].a[0].lock: {LOCK_MESSAGE}"


def test_of_parts_that_only_fail_together_the_first_is_named() -> None:
    one, other = Holder(), Holder()
    one.other, other.other = other, one  # type: ignore[attr-defined]
    attempts = 0

    def dump(part: Any, file: Any) -> None:
        nonlocal attempts
        attempts += 1
        raise TypeError(f"attempt {attempts}")

    found = pickle_culprit.find([one, other], dump, TypeError("the whole"))
    assert (found.path, str(found.error), attempts) == ("value[0].other", "attempt 2", 2)


def test_nesting_that_is_too_deep_is_an_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UnsupportedError, match="nested too deep to be pickled"):
        pickling.dumps(deep)


def test_the_search_has_an_end() -> None:
    def dump(part: Any, file: Any) -> None:
        pickle.dump(part, file, protocol=5)

    value = [Holder(number=number) for number in range(500)]
    value.append(Holder(lock=LOCK))
    error = TypeError("the whole")
    found = pickle_culprit.find(value, dump, error)
    assert (found.path, found.value) == ("value[500].lock", LOCK)
    ended = pickle_culprit.find(value, dump, error, most_attempts=100)
    assert (ended.path, ended.value, ended.error) == ("value", value, error)
    # A clock that is past the end at its second look: the first is the start.
    ticks = iter([0.0] + [1000.0] * 10)
    ended = pickle_culprit.find(value, dump, error, clock=lambda: next(ticks))
    assert ended.error is error


def test_the_search_keeps_no_bytes() -> None:
    import tracemalloc

    value = [bytes(1000) for _ in range(20_000)]
    whole = {"large": [value, np.zeros(4_000_000)], "lock": LOCK}
    tracemalloc.start()
    try:
        found = pickle_culprit.find(whole, lambda part, file: pickle.dump(part, file, 5), TypeError())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.path == 'value["lock"]'
    assert peak < 8_000_000, "the parts take 52 MB"


def test_hostile_objects_do_not_break_the_search() -> None:
    class Key:
        def __repr__(self) -> str:
            raise RuntimeError("repr")

        def __reduce_ex__(self, protocol: Any) -> Any:
            raise ValueError("")

    class Text(str):
        def __repr__(self) -> str:
            raise RuntimeError("repr")

    with pytest.raises(UnsupportedError, match="ValueError"):
        pickling.dumps({Key(): 1})
    with pytest.raises(UnsupportedError, match=LOCK_MESSAGE):
        pickling.dumps({Text("x"): 1, 10**5000: LOCK})


class Witness:
    """Leaves a trace when it is loaded."""

    loaded = 0

    def __reduce__(self) -> Any:
        return _loaded, ()


def _loaded() -> str:
    Witness.loaded += 1
    return "loaded"


@pytest.mark.parametrize("permission", [False, None, 1, "yes", "False"])
def test_nothing_is_loaded_without_permission(permission: Any) -> None:
    data, descriptor = pickling.dumps(Witness(), "cloudpickle"), pickling.describe("cloudpickle")
    before = Witness.loaded
    with pytest.raises(PickleDeniedError, match="loading one runs code that its writer chose") as caught:
        pickling.loads(data, descriptor, allow_pickle=permission)
    assert "get(..., allow_pickle=True)" in (caught.value.hint or "")
    assert Witness.loaded == before
    assert pickling.loads(data, descriptor, allow_pickle=True) == "loaded"
    assert Witness.loaded == before + 1


def old(**facts: Any) -> dict[str, Any]:
    return {"type": "pickle", "lib": "cloudpickle", "lib_version": "2.2", "python": "3.9.1", "protocol": 5, **facts}


def test_a_failure_to_load_names_the_versions() -> None:
    with pytest.raises(UnsupportedError) as caught:
        pickling.loads(b"\x80\x05garbage", old(), allow_pickle=True)
    text = caught.value.message
    assert "written by Python 3.9.1 with cloudpickle 2.2" in text
    assert f"this is Python {platform.python_version()} with cloudpickle {cloudpickle.__version__}" in text
    for broken in (b"", b"\x80\x63.", pickling.dumps([1] * 100)[:-20]):
        with pytest.raises(UnsupportedError, match=r"written by Python 3\.9\.1"):
            pickling.loads(broken, old(), allow_pickle=True)


def test_a_missing_module_or_class_is_named(tmp_path: Path) -> None:
    (tmp_path / "far_away.py").write_text("class Thing:\n    pass\n")
    script = "import far_away, pickle, sys; sys.stdout.buffer.write(pickle.dumps(far_away.Thing()))"
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True)
    with pytest.raises(UnsupportedError, match="module `far_away` is not here") as caught:
        pickling.loads(run.stdout, old(), allow_pickle=True)
    assert "install `far_away`" in (caught.value.hint or "")
    gone = pickle.dumps(Holder()).replace(b"Holder", b"Hidden")
    with pytest.raises(UnsupportedError, match="Hidden") as caught:
        pickling.loads(gone, old(), allow_pickle=True)
    assert "importable here" in (caught.value.hint or "")


def test_dill_is_needed_for_what_dill_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dill", None)
    with pytest.raises(MissingLibraryError, match="`dill` is not installed"):
        pickling.loads(b"", old(lib="dill"), allow_pickle=True)


@pytest.mark.parametrize(
    "facts",
    [
        {"lib": "os"},
        {"lib": ["pickle"]},
        {"lib": None},
        {"type": "json"},
        {"lib": "antigravity", "lib_version": "\x1b[31m" + "9" * 1000, "python": {"a": 1}},
    ],
)
def test_a_descriptor_cannot_make_it_import_anything(facts: dict[str, Any]) -> None:
    before = set(sys.modules)
    for permission in (False, True):
        with pytest.raises(UnsupportedError if permission else PickleDeniedError) as caught:
            pickling.loads(pickling.dumps(1), old(**facts), allow_pickle=permission)
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 400
    assert "antigravity" not in set(sys.modules) - before


def test_memory_and_interrupts_are_not_taken_for_faults_of_the_value() -> None:
    class Interrupting:
        def __init__(self, error: BaseException) -> None:
            self.error = error

        def __reduce__(self) -> Any:
            raise self.error

    for error in (MemoryError(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            pickling.dumps([Interrupting(error)])
