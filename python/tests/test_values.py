"""Values that are no tables, by every serializer, through a store and back, in this process and in another."""

from __future__ import annotations

import array
import json
import math
from pathlib import Path
from typing import Any

import cloudpickle
import orjson
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import output

import coldframe
from coldframe import LossyWarning, Store, registration
from coldframe.errors import InvalidInputError, LossyError, MissingSerializerError, PickleDeniedError, UnsupportedError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


def same(value: Any, other: Any) -> bool:
    """Equal in type too, and in the sign of zero."""
    if type(value) is not type(other):
        return False
    if isinstance(value, dict):
        return list(value) == list(other) and all(same(value[name], other[name]) for name in value)
    if isinstance(value, list):
        return len(value) == len(other) and all(map(same, value, other))
    return bool(value == other) and (not isinstance(value, float) or math.copysign(1, value) == math.copysign(1, other))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_json_values_come_back_equal(value: Any) -> None:
    store = Store("memory://")
    for serializer in (None, "json", coldframe.Json(lib="orjson"), "compressed/json"):
        if value in (None, True, False) and isinstance(value, (bool, type(None))) and serializer == "compressed/json":
            continue
        assert same(store.get(store.put("key", value, serializer=serializer)), value)


@pytest.mark.parametrize("value", [None, True, False])
def test_literals_are_kept_in_the_reference(store: Store, tmp_path: Path, value: bool | None) -> None:
    reference = store.put("key", value)
    assert reference.get() is value
    assert store.get("key") is value
    assert reference.serializer["type"] == "literal"
    assert reference.rows is None
    assert not list((tmp_path / "store").glob("data/**/*"))


@pytest.mark.parametrize("data", [b"", b"abc", b"\0\xff" * 100_000])
@pytest.mark.parametrize(
    "serializer", [None, "bytes", "bytes(image/png)", "compressed(lz4)/bytes", "compressed(xz)/bytes"]
)
def test_bytes(store: Store, data: bytes, serializer: str | None) -> None:
    reference = store.put("key", data, serializer=serializer)
    found = reference.get()
    assert type(found) is bytes
    assert found == data
    assert reference.lossy == []


@pytest.mark.parametrize(
    "data", [bytearray(b"abc"), memoryview(b"abcdef")[::2], memoryview(array.array("i", [1, 2])), memoryview(b"")]
)
def test_other_bytes_come_back_as_bytes(store: Store, data: Any) -> None:
    with pytest.warns(LossyWarning, match="comes back as bytes"):
        reference = store.put("key", data)
    assert reference.get() == bytes(data)
    assert reference.lossy
    with pytest.raises(LossyError):
        store.put("key", data, strict=True)
    assert len(store.versions("key")) == 1


def test_bytes_that_change_after_the_put(store: Store) -> None:
    data = bytearray(b"before")
    with pytest.warns(LossyWarning):
        reference = store.put("key", data)
    data[:] = b"after!"
    assert reference.get() == b"before"


class Trip(pydantic.BaseModel):
    fare: float
    zones: list[str] = []


def test_pydantic_models(store: Store) -> None:
    trip = Trip(fare=12.5, zones=["Soho"])
    with pytest.warns(LossyWarning, match="Trip"):
        reference = store.put("key", trip)
    assert reference.get() == {"fare": 12.5, "zones": ["Soho"]}
    assert reference.get(type=Trip) == trip
    assert store.get("key", type=Trip) == trip
    with pytest.warns(LossyWarning):
        store.put("list", [trip, trip], serializer="json")
    assert store.get("list", type=list[Trip]) == [trip, trip]
    with pytest.raises(ValueError, match="fare"):
        store.put("other", {"fare": "x"}).get(type=Trip)


def test_orjson_writes_the_same_kind_of_file(store: Store, tmp_path: Path) -> None:
    value = {"text": "ü", "numbers": [1, 1.5, None]}
    reference = store.put("key", value, serializer=coldframe.Json(lib="orjson"))
    (path,) = (tmp_path / "store" / "data").rglob("*.json")
    assert orjson.loads(path.read_bytes()) == json.loads(path.read_text(encoding="utf-8")) == value
    assert reference.serializer == {"type": "json"}
    assert reference.get() == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), (1, 2), {1: "a"}, 2**70, "\ud800", {"a": {1, 2}}])
def test_json_that_would_not_come_back_is_refused(store: Store, value: Any) -> None:
    with pytest.raises(UnsupportedError) as raised:
        store.put("key", value, strict=True)
    assert raised.value.hint
    assert len(store.list()) == 0


class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.x == other.x

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "serializer", ["pickle", "pickle(cloudpickle)", coldframe.Pickle(protocol=4), "compressed(zstd(3))/pickle"]
)
def test_pickle_needs_permission(store: Store, serializer: Any) -> None:
    value = {"set": {1, 2}, "nested": [(1, 2), complex(1, 2)]}
    reference = store.put("key", value, serializer=serializer)
    for work in (reference.get, lambda: store.get("key")):
        with pytest.raises(PickleDeniedError, match="allow_pickle=True") as raised:
            work()
        assert isinstance(raised.value, PermissionError)
    assert reference.get(allow_pickle=True) == value
    assert store.get("key", allow_pickle=True) == value


def test_cloudpickle_carries_what_has_no_name(store: Store) -> None:
    offset = 5
    reference = store.put("function", lambda x: x + offset, serializer=coldframe.Pickle(lib="cloudpickle"))
    assert reference.get(allow_pickle=True)(2) == 7
    assert reference.serializer["lib_version"] == cloudpickle.__version__
    with pytest.raises(UnsupportedError, match="lambda"):
        store.put("function", lambda x: x, serializer="pickle")
    code = """
    import sys, coldframe
    function = coldframe.Store(sys.argv[1]).get("function", allow_pickle=True)
    print(function(3))
    """
    assert output(code, store.url or "") == "8\n"


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> type:
    monkeypatch.setattr(registration, "_registered", {})

    @coldframe.register_serializer
    class PointSerializer:
        name = "point-text"
        extension = "point"

        def __init__(self, base: int = 10) -> None:
            self.base = base

        def settings(self) -> dict[str, Any]:
            return {"base": self.base}

        def dumps(self, value: Point) -> bytes:
            return str(value.x + self.base).encode()

        def loads(self, data: bytes) -> Point:
            return Point(int(data) - self.base)

    return PointSerializer


def test_registered_serializer(store: Store, registered: type, tmp_path: Path) -> None:
    for serializer in ("point-text", registered(base=16), {"type": "point-text", "base": 2}):
        reference = store.put("key", Point(7), serializer=serializer)
        assert reference.get() == Point(7)
    assert reference.serializer == {"type": "point-text", "base": 2}
    assert len(list((tmp_path / "store" / "data").rglob("*.point"))) == 3
    compressed = store.put("compressed", Point(9), serializer=coldframe.Compressed(registered(base=16), "gzip"))
    assert compressed.get() == Point(9)
    assert list((tmp_path / "store" / "data" / "compressed").rglob("*.point.gz"))
    copied = store.copy("key", Store(tmp_path / "other", durable=False))
    assert copied.get() == Point(7)
    assert store.verify().ok


def test_reader_without_the_class_is_told_its_name(store: Store, registered: type) -> None:
    reference = store.put("key", Point(7), serializer="point-text")
    store.put("compressed", Point(7), serializer="compressed(zstd)/point-text")
    code = """
    import sys, coldframe
    store = coldframe.Store(sys.argv[1])
    for key in ("key", "compressed"):
        try:
            store.get(key)
        except coldframe.errors.MissingSerializerError as error:
            assert isinstance(error, LookupError), key
            assert "point-text" in str(error) and "register" in error.hint, str(error)
        else:
            raise AssertionError(key)
    # All that needs no reading of the value still works.
    assert len(store.list()) == 2 and store.verify().ok and "point-text" in str(store.show("key"))
    print("done")
    """
    assert output(code, store.url or "") == "done\n"
    assert reference.get() == Point(7)


def test_serializer_that_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "_registered", {})

    @coldframe.register_serializer
    class Failing:
        name = "failing"

        def dumps(self, value: Any) -> bytes:
            raise RuntimeError("cannot write")

        def loads(self, data: bytes) -> Any:
            raise RuntimeError("cannot read")

    with pytest.raises(UnsupportedError, match="(?s)failing.*cannot write"):
        store.put("key", 1, serializer="failing")
    assert len(store.list()) == 0
    monkeypatch.setattr(Failing, "dumps", lambda self, value: b"x")
    store.put("key", 1, serializer="failing")
    with pytest.raises(UnsupportedError, match="(?s)failing.*cannot read"):
        store.get("key")


def test_unregistered_instance_is_refused(store: Store) -> None:
    class Unknown:
        name = "unknown"

        def dumps(self, value: Any) -> bytes:
            return b""

        def loads(self, data: bytes) -> Any:
            return None

    with pytest.raises(InvalidInputError, match="register"):
        store.put("key", 1, serializer=Unknown())
    with pytest.raises(MissingSerializerError, match="unknown"):
        store.put("key", 1, serializer="unknown")
    assert len(store.list()) == 0
