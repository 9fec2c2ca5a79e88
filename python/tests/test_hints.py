"""Hints say what can be done in Python: with what exists, under the names that it has there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import coldframe
from coldframe.errors import ColdframeError, InvalidInputError, MissingSerializerError, UnsupportedError


@pytest.fixture
def store() -> coldframe.Store:
    """A store with two versions of `a/k`."""
    store = coldframe.Store("memory://")
    store.put("a/k", 1)
    store.put("a/k", 2)
    return store


def failure(call: Callable[[], Any]) -> ColdframeError:
    """What a call raises."""
    with pytest.raises(ColdframeError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda store: store.delete("zz"), "store.list() shows the keys"),
        (lambda store: store.copy("zz", coldframe.Store("memory://")), "store.list() shows the keys"),
        (lambda store: store.versions("zz"), "store.list() shows the keys"),
        (lambda store: store.put("a/k", 3, if_absent=True), "read it as a/k@2, or put without if_absent=True"),
        (lambda store: store.delete("a/k", version=9), "versions go up to 2; store.versions('a/k') shows them"),
        (
            lambda store: store.copy("a/k@9", coldframe.Store("memory://")),
            "store.versions('a/k') shows which there are",
        ),
        (
            lambda store: coldframe.ResultReference.from_json("{}"),
            "a reference is the JSON that a put returns; `reference.json()` gives it",
        ),
    ],
    ids=["delete", "copy", "versions", "if_absent", "delete a version", "copy a version", "from_json"],
)
def test_hints_of_the_native_part_speak_python(
    store: coldframe.Store, call: Callable[[coldframe.Store], Any], hint: str
) -> None:
    assert failure(lambda: call(store)).hint == hint


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("csv", "there are parquet, arrow, json, bytes, compressed, pickle"),
        ("gzip", 'that is a codec: choose serializer="parquet/gzip" or "compressed(gzip)/json"'),
        ("parkay", "did you mean `parquet`? Otherwise there are parquet, arrow,"),
    ],
)
def test_an_unknown_serializer_is_told_what_there_is(store: coldframe.Store, wrong: str, hint: str) -> None:
    error = failure(lambda: store.put("x", 1, serializer=wrong))
    assert isinstance(error, MissingSerializerError)
    assert (error.hint or "").startswith(hint)


@pytest.mark.parametrize("choice", ["zstd", "gzip", "lz4", "snappy", "bzip2", "xz"])
def test_what_is_named_for_a_codec_can_be_chosen(choice: str) -> None:
    store = coldframe.Store("memory://")
    hint = failure(lambda: store.put("x", 1, serializer=choice)).hint or ""
    named = hint.split('"')[1::2]
    assert named
    for serializer in named:
        value = {"a": [1]} if serializer.endswith("json") else pa.table({"a": [1]})
        store.put("x", value, serializer=serializer)
        assert store.get("x") == value


def test_a_class_that_is_not_registered_is_told_a_function_that_exists(store: coldframe.Store) -> None:
    class Shout:
        name = "shout"

        def dumps(self, value: Any) -> bytes:
            return str(value).encode()

        def loads(self, data: bytes) -> str:
            return data.decode()

    error = failure(lambda: store.put("x", "hello", serializer=Shout()))
    assert error.hint == "register it first: coldframe.register_serializer(Shout)"
    assert callable(coldframe.register_serializer)


@pytest.mark.parametrize("serializer", ["pickle", "compressed/pickle", "bytes"])
def test_type_of_what_is_no_json_names_the_serializer(store: coldframe.Store, serializer: str) -> None:
    store.put("x", b"x", serializer=serializer)
    error = failure(lambda: store.get("x", type=int))
    assert isinstance(error, InvalidInputError)
    assert error.message == (
        f"type: it is for JSON values, and this result was put by serializer `{serializer.removeprefix('compressed/')}`"
    )


@pytest.mark.parametrize("serializer", [None, "json"])
def test_a_reference_inside_json_is_told_its_text(store: coldframe.Store, serializer: str | None) -> None:
    reference = store.reference("a/k")
    error = failure(lambda: store.put("x", {"a": reference}, serializer=serializer))
    assert isinstance(error, UnsupportedError)
    assert error.message.startswith('value["a"]: ')
    assert "`reference.json()`" in (error.hint or "")
    store.put("x", {"a": reference.json()})
    assert coldframe.ResultReference.from_json(store.get("x")["a"], store).get() == 2


def test_a_version_said_twice(store: coldframe.Store) -> None:
    error = failure(lambda: store.get("a/k@1", version=2))
    assert error.message == "key: a/k@1 names a version, and version=2 was given as well"
    assert error.hint == "say it once: 'a/k@1' alone, or 'a/k' with version=2"
    error = failure(lambda: store.delete("a/k@1", version=2))
    assert error.message == "key: a/k@1 names another version than version=2"
    error = failure(lambda: store.versions("a/k@1"))
    assert (error.hint or "").startswith("store.versions('a/k')")
    assert len(store.versions("a/k")) == 2
