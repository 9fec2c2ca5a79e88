"""What may be given as a serializer, and what is made of it; serializers of users; kinds of values."""

from __future__ import annotations

import copy
import datetime
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe import pickling, registration, serializers, values
from coldframe.errors import (
    ColdframeError,
    InvalidInputError,
    MissingSerializerError,
    PickleDeniedError,
    UnsupportedError,
)
from coldframe.serializers import (
    Arrow,
    Bytes,
    Compressed,
    CoreChoice,
    Json,
    Parquet,
    Pickle,
    PythonChoice,
    find,
    reader,
    register,
    resolve,
)


@pytest.fixture(autouse=True)
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "_registered", {})


class Reversed:
    """Text, backwards."""

    name = "reversed-text"
    extension = "rev.txt"

    def __init__(self, shout: bool = False) -> None:
        self.shout = shout

    def settings(self) -> dict[str, Any]:
        return {"shout": self.shout}

    def dumps(self, value: str) -> bytes:
        return (value.upper() if self.shout else value)[::-1].encode()

    def loads(self, data: bytes) -> str:
        return data.decode()[::-1]


def variant(**attributes: Any) -> type[Any]:
    return type("Variant", (Reversed,), {"name": "variant", **attributes})


# The same pairs as in the core's own tests.
DESCRIPTORS = [
    (Parquet(), "parquet", '{"type":"parquet"}'),
    (Parquet(preset="fast"), "parquet(fast)", '{"type":"parquet","preset":"fast"}'),
    (
        Parquet("zstd", 3, preset="small"),
        "parquet(small)/zstd(3)",
        '{"type":"parquet","preset":"small","compression":"zstd","level":3}',
    ),
    (Parquet("zstd"), "parquet/zstd", '{"type":"parquet","compression":"zstd","level":1}'),
    (Parquet(compression=None), "parquet/none", '{"type":"parquet","compression":"none"}'),
    (Parquet("none"), "parquet/none", '{"type":"parquet","compression":"none"}'),
    (Parquet("snappy"), "parquet/snappy", '{"type":"parquet","compression":"snappy"}'),
    (Parquet("lz4"), "parquet/lz4", '{"type":"parquet","compression":"lz4"}'),
    (Parquet("gzip"), "parquet/gzip", '{"type":"parquet","compression":"gzip","level":6}'),
    (Parquet("gzip", 9), "parquet/gzip(9)", '{"type":"parquet","compression":"gzip","level":9}'),
    (Parquet("zstd", level=3), "parquet/zstd(3)", '{"type":"parquet","compression":"zstd","level":3}'),
    (Arrow(), "arrow", '{"type":"arrow","compression":"none"}'),
    (Arrow("lz4"), "arrow/lz4", '{"type":"arrow","compression":"lz4"}'),
    (Arrow("zstd"), "arrow/zstd", '{"type":"arrow","compression":"zstd","level":1}'),
    (Arrow("zstd", 5), "arrow/zstd(5)", '{"type":"arrow","compression":"zstd","level":5}'),
    (Json(), "json", '{"type":"json"}'),
    (Json("orjson"), "json", '{"type":"json"}'),
    (Bytes(), "bytes", '{"type":"bytes"}'),
    (Bytes("text/csv"), "bytes(text/csv)", '{"type":"bytes","media_type":"text/csv"}'),
    (Compressed(Json()), "compressed/json", '{"type":"compressed","codec":"zstd","level":3,"inner":{"type":"json"}}'),
    (
        Compressed("bytes", "lz4"),
        "compressed(lz4)/bytes",
        '{"type":"compressed","codec":"lz4","inner":{"type":"bytes"}}',
    ),
    (
        Compressed({"type": "arrow"}, "xz", 9),
        "compressed(xz(9))/arrow",
        '{"type":"compressed","codec":"xz","level":9,"inner":{"type":"arrow","compression":"none"}}',
    ),
]


@pytest.mark.parametrize(("instance", "text", "descriptor"), DESCRIPTORS)
def test_instances_have_the_descriptors_of_the_core(instance: Any, text: str, descriptor: str) -> None:
    assert json.dumps(instance.descriptor(), separators=(",", ":")) == descriptor
    choice = resolve(instance)
    assert isinstance(choice, CoreChoice)
    assert choice.text == descriptor
    # A short form is the core's to read; inside an instance it is read here, to the same end.
    assert resolve(text) == CoreChoice(text, choice.holds)
    if not text.startswith("compressed"):
        assert Compressed(text).inner.descriptor() == instance.descriptor()
        assert Compressed(instance.descriptor()).inner.descriptor() == instance.descriptor()
    for form in (json.loads(descriptor), descriptor, f"  {descriptor}"):
        assert resolve(form) == CoreChoice(descriptor, choice.holds)


def test_bloom_filters_have_no_short_form() -> None:
    descriptor = {"type": "parquet", "compression": "lz4", "bloom_filters": ["a", "b"]}
    choice = resolve(Parquet("lz4", bloom_filters=["a", "b"]))
    assert choice == resolve(descriptor) == resolve(json.dumps(descriptor, separators=(",", ":")))
    for wrong in ["a", [1], 5]:
        with pytest.raises(InvalidInputError, match="bloom_filters"):
            Parquet(bloom_filters=wrong)  # type: ignore[arg-type]


def test_what_a_choice_holds() -> None:
    for given_as, holds in [
        ("parquet/zstd(3)", "parquet"),
        ("compressed(xz(9))/arrow/lz4", "arrow"),
        (Compressed("json"), "json"),
        (Bytes("image/png"), "bytes"),
    ]:
        choice = resolve(given_as)
        assert isinstance(choice, CoreChoice)
        assert choice.holds == holds
    for chosen in (Json("orjson"), Compressed(Json("orjson"))):
        choice = resolve(chosen)
        assert isinstance(choice, CoreChoice)
        assert choice.json_lib == "orjson"


def test_instances_are_values() -> None:
    assert Parquet("zstd", 3) == Parquet("zstd", level=3) != Parquet("zstd", 4)
    assert len({Json(), Json(), Json("orjson"), Pickle(), Arrow()}) == 4
    assert Parquet(bloom_filters=["a"]) == Parquet(bloom_filters=("a",)) != Parquet()
    assert Compressed("json") == Compressed(Json()) == Compressed({"type": "json"})
    assert repr(Parquet("zstd", 3)) == "Parquet(compression='zstd', level=3, preset='default', bloom_filters=())"
    assert repr(Compressed("json")) == "Compressed(inner=Json(lib='json'), codec='zstd', level=None)"
    instances: list[Any] = [Parquet(), Pickle("dill"), Compressed(Arrow("lz4"), "xz", 3)]
    for instance in instances:
        assert copy.deepcopy(instance) == instance == pickle.loads(pickle.dumps(instance))
        with pytest.raises(AttributeError):
            instance.level = 4


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Parquet(compression=3), "serializer `parquet`: `compression` is 3"),  # type: ignore[arg-type]
        (lambda: Parquet(level="3"), 'serializer `parquet`: `level` is "3"'),  # type: ignore[arg-type]
        (lambda: Arrow("zstd", level=True), "serializer `arrow`: `level` is True"),
        (lambda: Arrow("zstd", level=1.0), "serializer `arrow`: `level` is 1.0"),  # type: ignore[arg-type]
        (lambda: Json("ujson"), 'serializer `json`: `lib` is "ujson"'),
        (lambda: Bytes(3), "serializer `bytes`: `media_type` is 3"),  # type: ignore[arg-type]
        (lambda: Pickle("joblib"), 'serializer `pickle`: `lib` is "joblib"'),
        (lambda: Pickle(protocol=77), "serializer `pickle`: `protocol` is 77"),
        (lambda: Compressed("json", codec=None), "serializer `compressed`: `codec` is None"),  # type: ignore[arg-type]
        (lambda: Compressed("json", codec=7), "serializer `compressed`: `codec` is 7"),  # type: ignore[arg-type]
        (lambda: Compressed(Compressed("json")), "compressing twice gains nothing"),
        (lambda: Compressed("compressed/json"), "compressing twice gains nothing"),
        (lambda: Compressed(Json), "the class `Json` was given"),
        (lambda: Compressed(None), "None is no serializer"),
        (lambda: Compressed("parquet(wide)"), "is no short form"),
        (lambda: Compressed("parquet/zstd(x)"), "a level is a whole number"),
        (lambda: Compressed("parquet/zstd(٣)"), "a level is a whole number"),
        (lambda: Compressed("parquet/zstd/x"), "cannot stand there"),
    ],
)
def test_wrong_settings_are_refused_when_built(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        build()
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("kind", [Parquet, Arrow, Json, Bytes, Pickle, Compressed, Reversed])
def test_a_class_is_not_an_instance(kind: type[Any]) -> None:
    with pytest.raises(InvalidInputError, match=f"the class `{kind.__name__}` was given") as caught:
        resolve(kind)
    assert caught.value.hint == f"write `{kind.__name__}()`"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        " ",
        "/",
        "(x)",
        "json(",
        "a(b(c)",
        "pickle/x",
        "pickle(os)",
        "pickle(",
        "compressed",
        "compressed/",
        "compressed(zstd)",
        "compressed(zstd/pickle",
        "compressed(zstd)x/pickle",
        "compressed(zstd(x))/pickle",
        "compressed/compressed/json",
        "compressed(zstd)/compressed(xz)/pickle",
        "{",
        '{"type": 3}',
        "{}",
        "{" * 5000,
        {},
        {"type": None},
        {"type": "parquet", "compresion": "zstd"},
        {"type": "json", "lib": "orjson"},
        {"type": "compressed"},
        {"type": "compressed", "inner": None},
        {"type": "compressed", "inner": {"type": "compressed", "inner": {"type": "json"}}},
        {"type": "pickle", "lib": "os"},
        None,
        3,
        ["json"],
        b"json",
        object(),
    ],
)
def test_what_is_no_serializer_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        resolve(wrong)
    assert caught.value.message.startswith("serializer")
    assert caught.value.hint


@given(st.text(alphabet='abjsonpickle()/{}":,\x00é\ud800 ', max_size=30))
def test_no_text_breaks_it(text: str) -> None:
    for call in (resolve, Compressed):
        try:
            made = call(text)
            if isinstance(made, CoreChoice):
                made.text.encode()
        except ColdframeError as error:
            assert len(error.message) < 300
            str(error).encode()


@pytest.mark.parametrize(
    ("given_as", "descriptor", "codec"),
    [
        ("pickle", pickling.describe(), None),
        ("pickle(cloudpickle)", pickling.describe("cloudpickle"), None),
        (Pickle("dill", 4), pickling.describe("dill", 4), None),
        ({"type": "pickle", "lib": "cloudpickle"}, pickling.describe("cloudpickle"), None),
        # A descriptor from a reference: who wrote that one does not matter, the new one is described anew.
        (
            {"type": "pickle", "lib": "cloudpickle", "lib_version": "1.0", "python": "3.6", "protocol": 4},
            pickling.describe("cloudpickle", 4),
            None,
        ),
        ("compressed/pickle", pickling.describe(), {"codec": "zstd", "level": 3}),
        ("compressed(xz(9))/pickle(dill)", pickling.describe("dill"), {"codec": "xz", "level": 9}),
        (Compressed(Pickle(), "lz4"), pickling.describe(), {"codec": "lz4"}),
        (
            {"type": "compressed", "codec": "gzip", "inner": {"type": "pickle"}},
            pickling.describe(),
            {"codec": "gzip", "level": 6},
        ),
    ],
)
def test_pickles(given_as: Any, descriptor: dict[str, Any], codec: dict[str, Any] | None) -> None:
    choice = resolve(given_as)
    assert isinstance(choice, PythonChoice)
    assert choice.codec == codec
    assert choice.extension == "pkl"
    whole = descriptor if codec is None else {"type": "compressed", **codec, "inner": descriptor}
    assert choice.descriptor == whole
    data = choice.dumps({"a": (1,)})
    assert choice.loads(data, whole, allow_pickle=True) == {"a": (1,)}
    with pytest.raises(PickleDeniedError, match="its writer chose"):
        choice.loads(data, whole)
    found = reader(json.loads(json.dumps(whole)))
    assert found is not None
    assert found.loads(data, allow_pickle=True) == {"a": (1,)}
    with pytest.raises(PickleDeniedError, match="its writer chose"):
        found.loads(data)
    again = resolve(choice.descriptor)
    assert isinstance(again, PythonChoice)
    assert (again.descriptor, again.codec) == (choice.descriptor, choice.codec)


def test_what_the_core_reads_has_no_reader_in_python() -> None:
    instance: Any
    for instance, _, _ in DESCRIPTORS:
        assert reader(instance.descriptor()) is None
    assert reader({"type": "literal", "value": None}) is None
    for wrong in ({}, {"type": 3}, {"type": "compressed"}, {"type": "compressed", "inner": {"type": "compressed"}}):
        with pytest.raises(InvalidInputError):
            reader(wrong)


def test_a_registered_serializer_writes_and_reads() -> None:
    assert register(Reversed) is Reversed
    assert find("reversed-text") is Reversed
    for given_as, shout in [
        ("reversed-text", False),
        (Reversed(shout=True), True),
        ({"type": "reversed-text", "shout": True}, True),
        ('{"type": "reversed-text", "shout": true}', True),
    ]:
        choice = resolve(given_as)
        assert isinstance(choice, PythonChoice)
        assert choice.descriptor == {"type": "reversed-text", "shout": shout}
        assert (choice.extension, choice.codec) == ("rev.txt", None)
        data = choice.dumps("abc")
        assert data == (b"CBA" if shout else b"cba")
        assert choice.loads(data, choice.descriptor) == ("ABC" if shout else "abc")
    for outer in ("compressed(lz4)/reversed-text", Compressed(Reversed(), "lz4"), Compressed("reversed-text", "lz4")):
        choice = resolve(outer)
        assert isinstance(choice, PythonChoice)
        inner = {"type": "reversed-text", "shout": False}
        assert choice.descriptor == {"type": "compressed", "codec": "lz4", "inner": inner}
        assert choice.codec == {"codec": "lz4"}
        found = reader(choice.descriptor)
        assert found is not None
        assert found.loads(b"cba") == "abc"


def test_register_is_a_decorator() -> None:
    @register
    class First:
        name = "mine"
        dumps = loads = staticmethod(lambda value: value)

    assert find("mine") is First

    @register(replace=True)
    class Second:
        name = "mine"
        dumps = loads = staticmethod(lambda value: value)

    assert find("mine") is Second
    choice = resolve("mine")
    assert isinstance(choice, PythonChoice)
    assert (choice.extension, choice.descriptor) == ("bin", {"type": "mine"})
    with pytest.raises(InvalidInputError, match="`First` is not registered"):
        resolve(First())


def test_a_name_has_one_class() -> None:
    register(Reversed)
    register(Reversed)
    other = variant(name="reversed-text")
    with pytest.raises(InvalidInputError, match="there is a serializer `reversed-text` already") as caught:
        register(other)
    assert "replace=True" in (caught.value.hint or "")
    assert find("reversed-text") is Reversed
    register(other, replace=True)
    assert find("reversed-text") is other


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a/b", "a(b)", "../x", "a\n", "é", "２", "x" * 65, "{", "a\x00", 3, None, b"x"]
    + list(registration.BUILT_IN),
)
def test_names_that_cannot_be(name: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        register(variant(name=name))
    assert "`Variant`" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "extension", ["", ".txt", "a/b", "../x", "a..b", "TXT", "txt\n", "x" * 25, "é", "a b", "txt.", "\x00"]
)
def test_extensions_that_cannot_be(extension: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be the extension of a file"):
        register(variant(extension=extension))
    register(variant(extension=property(lambda self: extension)))
    with pytest.raises(InvalidInputError, match="cannot be the extension of a file"):
        resolve("variant")


def test_what_is_no_serializer_class() -> None:
    class Half:
        name = "half"

        def dumps(self, value: Any) -> bytes:
            return b""

    for wrong, message in [
        (Reversed(), "an instance of `Reversed`"),
        ("reversed", "an instance of `str`"),
        (Half, "has no method `loads`"),
        (object, "has no `name`"),
        (Json, "has no `name`"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            register(wrong)  # type: ignore[call-overload]


def test_who_has_not_registered_it_is_told_how() -> None:
    for call in (
        lambda: find("far-away"),
        lambda: resolve("far-away"),
        lambda: resolve({"type": "far-away", "x": 1}),
        lambda: resolve("compressed/far-away"),
        lambda: reader({"type": "far-away"}),
        lambda: reader({"type": "compressed", "codec": "xz", "inner": {"type": "far-away"}}),
    ):
        with pytest.raises(MissingSerializerError, match='there is no serializer "far-away" here') as caught:
            call()
        assert "coldframe.register_serializer(" in (caught.value.hint or "")
    with pytest.raises(MissingSerializerError) as caught:
        resolve("parket")
    assert (caught.value.hint or "").startswith("did you mean `parquet`?")
    with pytest.raises(InvalidInputError, match="`Reversed` is not registered") as unregistered:
        resolve(Reversed())
    assert "coldframe.register_serializer(Reversed)" in (unregistered.value.hint or "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "x"}, "has a setting `type`"),
        ([1], "has settings that are no dict"),
        ({"a": (1,)}, 'settings()["a"]: a tuple'),
        ({1: 2}, "settings(): 1 is a key"),
        ({"a": float("nan")}, "JSON has no nan"),
        ({"a": datetime.date(2020, 1, 1)}, 'settings()["a"]: a date'),
    ],
)
def test_settings_are_json(settings: Any, message: str) -> None:
    register(variant(settings=lambda self: settings))
    with pytest.raises(InvalidInputError) as caught:
        resolve("variant")
    assert message in caught.value.message


def test_settings_that_the_class_does_not_take() -> None:
    register(Reversed)
    with pytest.raises(InvalidInputError, match='does not take the settings "loud"') as caught:
        resolve({"type": "reversed-text", "loud": 3})
    assert "keywords" in (caught.value.hint or "")
    found = reader({"type": "reversed-text", "loud": 3})
    assert found is not None
    with pytest.raises(InvalidInputError, match="does not take the settings"):
        found.loads(b"")


def test_faults_of_a_registered_serializer() -> None:
    register(Reversed)
    choice = resolve("reversed-text")
    assert isinstance(choice, PythonChoice)
    with pytest.raises(UnsupportedError, match="serializer `reversed-text` cannot write a int: TypeError") as caught:
        choice.dumps(3)
    assert isinstance(caught.value.__cause__, TypeError)
    with pytest.raises(UnsupportedError, match="`reversed-text` cannot read what was stored: UnicodeDecodeError"):
        choice.loads(b"\xff", choice.descriptor)
    register(variant(dumps=lambda self, value: "text"))
    choice = resolve("variant")
    assert isinstance(choice, PythonChoice)
    with pytest.raises(UnsupportedError, match="gave a str, and no bytes"):
        choice.dumps("x")
    with pytest.raises(UnsupportedError, match="was not written by a serializer in Python"):
        choice.loads(b"", {"type": "json"})


def test_everything_exported_is_there() -> None:
    assert all(hasattr(serializers, name) for name in serializers.__all__)


class Frame:
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise AssertionError("telling a kind reads nothing")


class Model(pydantic.BaseModel):
    x: int = 1


def numbers() -> Iterator[int]:
    raise AssertionError("telling a kind reads nothing")
    yield 1


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "literal"),
        (True, "literal"),
        (False, "literal"),
        (0, "json"),
        (1.5, "json"),
        ("", "json"),
        ([], "json"),
        ([1, (2,)], "json"),
        ({}, "json"),
        (Model(), "json"),
        (b"", "bytes"),
        (bytearray(), "bytes"),
        (memoryview(b""), "bytes"),
        (Frame(), "frame?"),
        ([Frame()], "frame?"),
        ((Frame(),), "frame?"),
        (numbers(), "frame?"),
        (iter([]), "frame?"),
        (Frame, "object"),
        (Model, "object"),
        ((), "object"),
        ({1}, "object"),
        (object(), "object"),
        (np.float64(1), "object"),
        (np.bool_(True), "object"),
        (np.zeros(2), "object"),
        (datetime.date(2020, 1, 1), "object"),
    ],
)
def test_kinds(value: Any, kind: str) -> None:
    assert values.classify(value) == kind
    assert values.is_literal(value) == (kind == "literal")
    if kind == "object":
        error = values.needs_choice(value)
        assert type(value).__name__ in error.message or isinstance(value, type)
        assert isinstance(value, type) or '"pickle"' in (error.hint or "")


def test_a_number_equal_to_true_is_no_literal() -> None:
    assert not any(map(values.is_literal, [1, 0, 1.0, "", np.bool_(True)]))


def test_bytes_are_prepared_without_a_copy() -> None:
    data = b"abc"
    assert values.prepare_bytes(data)[0] is data
    array = bytearray(b"abc")
    view, losses = values.prepare_bytes(array)
    array[0] = ord("x")
    assert bytes(view) == b"xbc"
    assert losses == [{"path": "value", "loses": "it comes back as bytes, not bytearray"}]
    grid = np.arange(6, dtype="int16").reshape(2, 3)
    assert bytes(values.prepare_bytes(memoryview(grid.data))[0]) == grid.tobytes()
    assert bytes(values.prepare_bytes(memoryview(grid[:, ::2].data))[0]) == grid[:, ::2].tobytes()
    assert bytes(values.prepare_bytes(memoryview(b"abcdef")[::-2])[0]) == b"fdb"
    assert bytes(values.prepare_bytes(memoryview(b""))[0]) == b""
    with pytest.raises(UnsupportedError, match="this is a str"):
        values.prepare_bytes("abc")
