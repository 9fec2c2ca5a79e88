"""JSON values: what is taken comes back equal; all else is refused by its path, or its losses are named."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import math
import subprocess
import sys
import uuid
from typing import Any

import attrs
import numpy as np
import pydantic
import pydantic.dataclasses
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe import pydantic_values
from coldframe.errors import InvalidInputError, MissingLibraryError, UnsupportedError
from coldframe.json_values import DEEPEST, dump, prepare_json, restore, restore_text

LIBRARIES = ("json", "orjson")

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5), max_leaves=30
)
# What JSON cannot hold is mixed in, so that both answers occur.
wild = st.recursive(
    scalars
    | st.integers()
    | st.floats()
    | st.text(st.characters(categories=["Cs", "L"]))
    | st.binary()
    | st.sampled_from([(), (1,), {1}, frozenset(), 1j, collections.OrderedDict(), np.float64(1)]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(texts | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=15,
)


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types all through, with the order of names and the sign of zero."""
    if type(left) is not type(right):
        return False
    if type(left) is list:
        return len(left) == len(right) and all(map(same, left, right))
    if type(left) is dict:
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if type(left) is float:
        return bool(left == right and math.copysign(1, left) == math.copysign(1, right))
    return bool(left == right)


def nested(levels: int, step: Any) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = step(value)
    return value


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Trip(pydantic.BaseModel):
    start: datetime.datetime
    fare: decimal.Decimal = decimal.Decimal("1.50")
    zones: tuple[str, ...] = ()


class Loose(pydantic.BaseModel):
    anything: Any = None


@dataclasses.dataclass
class Plain:
    pair: tuple[int, int]


@pydantic.dataclasses.dataclass
class Checked:
    day: datetime.date


@attrs.define
class Attrs:
    x: int = 1


@pytest.mark.parametrize("lib", LIBRARIES)
@given(value=values)
def test_what_is_taken_comes_back_equal(lib: str, value: Any) -> None:
    text = dump(value, lib)
    text.encode()
    assert same(json.loads(text), value)


@settings(max_examples=400)
@given(value=wild)
def test_nothing_inexact_is_taken(value: Any) -> None:
    try:
        text = dump(value)
    except UnsupportedError as error:
        assert error.message.startswith("value")
        assert error.hint
        # It is refused for a reason: its own round trip is not exact, or no JSON at all.
        try:
            back = json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
        except (TypeError, ValueError):
            return
        assert not same(back, value) or "64 bits" in error.message
    else:
        assert same(json.loads(text), value)


@pytest.mark.parametrize("lib", LIBRARIES)
def test_the_limits_of_integers(lib: str) -> None:
    for exact in (-(2**63), 2**63, 2**64 - 1):
        assert json.loads(dump([exact, "x"], lib)) == [exact, "x"]
    for beyond in (-(2**63) - 1, 2**64, 10**5000):
        with pytest.raises(UnsupportedError, match=r"^value\[1\]: an int of more than 64 bits"):
            dump(["x", beyond], lib)
        with pytest.raises(UnsupportedError, match=r"^value\[1\]: an int of more than 64 bits"):
            dump([1, beyond], lib)


@pytest.mark.parametrize(
    ("value", "message", "way_out"),
    [
        ({"a": [1, 2, 3, (4,)]}, 'value["a"][3]: a tuple would come back as a list', "list(...)"),
        ((1, 2), "value: a tuple would come back as a list", 'serializer="pickle"'),
        ([{1, 2}], "value[0]: a set would come back as a list", "list(...)"),
        ({"a": {1: 2}}, 'value["a"]: 1 is a key, and JSON has str keys only', "str keys"),
        ({"a": {None: 2}}, 'value["a"]: None is a key', "str keys"),
        ({10**5000: 2}, "value: a value of type int is a key", "str keys"),
        ({"\ud800": 1}, 'value: the key "\\ud800" has half of a surrogate pair', "mend"),
        (["ok", "\udfff"], "value[1]: the text has half of a surrogate pair", "mend"),
        ([0.0, float("nan")], "value[1]: JSON has no nan", "None"),
        (float("-inf"), "value: JSON has no -inf", "None"),
        ([np.float64(1)], "value[0]: a numpy.float64 is no JSON value", ".item()"),
        ([np.int8(1)], "value[0]: a numpy.int8 is no JSON value", ".item()"),
        ({"a": np.zeros(3)}, 'value["a"]: a numpy.ndarray is no JSON value', "column of a frame"),
        ([True, Level.HIGH], "value[1]: a Level is no JSON value", "pickle"),
        ([datetime.date(2020, 1, 1)], "value[0]: a date is no JSON value", 'serializer="json" takes it'),
        (collections.OrderedDict(a=1), "value: a OrderedDict would come back as a dict", "dict(...)"),
        (b"x", "value: JSON has no bytes", 'serializer="bytes"'),
        ({"x" * 500: (1,)}, 'value["' + "x" * 60 + '..."]', "list(...)"),
        ({'a"]\n': (1,)}, 'value["a\\"]\\n"]: a tuple', "list(...)"),
        (object(), "value: a object is no JSON value", "pickle"),
    ],
)
def test_refusals_name_the_path_and_the_way_out(value: Any, message: str, way_out: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        prepare_json(value, "json", explicit=False)
    assert caught.value.message.startswith(message)
    assert way_out in (caught.value.hint or "")


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("step", [lambda inner: [inner], lambda inner: {"k": inner}, lambda inner: [1, inner, "x"]])
def test_nesting_ends_where_the_parser_of_the_core_ends(step: Any, explicit: bool) -> None:
    deepest = nested(DEEPEST, step)
    assert json.loads(prepare_json(deepest, "json", explicit)[0]) == deepest
    assert json.loads(prepare_json(deepest, "orjson", explicit)[0]) == deepest
    for levels in (DEEPEST + 1, 100_000):
        with pytest.raises(UnsupportedError, match="nested deeper than 127 levels"):
            prepare_json(nested(levels, step), "json", explicit)


@pytest.mark.parametrize("explicit", [False, True])
def test_cycles_are_refused_and_shared_parts_are_not(explicit: bool) -> None:
    shared = [1]
    assert prepare_json({"a": shared, "b": [shared, shared]}, "json", explicit)[0] == '{"a":[1],"b":[[1],[1]]}'
    cycle: dict[str, Any] = {"a": [1]}
    cycle["a"].append(cycle)
    with pytest.raises(UnsupportedError, match=r'^value\["a"\]\[1\]: it holds itself'):
        prepare_json(cycle, "json", explicit)
    with pytest.raises(UnsupportedError, match="it holds itself"):
        loose = Loose()
        loose.anything = loose
        prepare_json(loose, "json", explicit)


def test_a_library_is_checked() -> None:
    for wrong in ("ujson", None, 3, ["json"]):
        with pytest.raises(InvalidInputError, match="`lib` is") as caught:
            dump(1, wrong)  # type: ignore[arg-type]
        assert "json and orjson" in (caught.value.hint or "")


def test_orjson_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "orjson", None)
    with pytest.raises(MissingLibraryError, match="not installed") as caught:
        dump(1, "orjson")
    assert "pip install orjson" in (caught.value.hint or "")


def test_a_model_is_taken_without_being_asked_for_and_restored() -> None:
    trip = Trip(start=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc), zones=("a", "b"))
    text, losses = prepare_json(trip, "json", explicit=False)
    assert losses == [
        {"path": "value", "loses": "it comes back as dict, not Trip: get(..., type=Trip) restores it"},
    ]
    assert restore(json.loads(text), Trip) == trip
    checked = Checked(day=datetime.date(2020, 1, 1))
    text, losses = prepare_json(checked, "orjson", explicit=False)
    assert restore_text(text, Checked) == checked
    assert losses[0]["loses"].endswith("get(..., type=Checked) restores it")


def test_it_is_tried_whether_a_model_is_restored() -> None:
    class Renamed(pydantic.BaseModel):
        x: int = pydantic.Field(serialization_alias="y", validation_alias="z")

    class Quarrelsome(pydantic.BaseModel):
        x: int = 1

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

    for value, said in [
        (Loose(anything=(1, 2)), "gives one that is not equal"),
        (Renamed.model_validate({"z": 3}), "cannot restore it"),
        (Quarrelsome(), "may not restore it"),
    ]:
        _, [loss] = prepare_json(value)
        assert loss["path"] == "value"
        assert loss["loses"].endswith(said)


@pytest.mark.parametrize(
    ("value", "stored", "losses"),
    [
        ((1, 2), [1, 2], {"value": "list, not tuple: get(..., type=tuple) restores it"}),
        ({"a": (1,)}, {"a": [1]}, {'value["a"]': "list, not tuple"}),
        ([{1}, frozenset({2})], [[1], [2]], {"value[*]": "list, not frozenset"}),
        ({"d": datetime.date(2020, 1, 2)}, {"d": "2020-01-02"}, {'value["d"]': "str, not date"}),
        ({"u": uuid.UUID(int=1)}, {"u": str(uuid.UUID(int=1))}, {'value["u"]': "str, not UUID"}),
        ({"m": decimal.Decimal("1.10")}, {"m": "1.10"}, {'value["m"]': "str, not Decimal"}),
        ({"c": Color.RED, "l": Level.HIGH}, {"c": "red", "l": 3}, {'value["c"]': "str, not Color"}),
        ([Plain((1, 2))], [{"pair": [1, 2]}], {"value[*]": "dict, not Plain"}),
        (Plain((1, 2)), {"pair": [1, 2]}, {"value": "get(..., type=Plain) restores it"}),
        ({1: "a"}, {"1": "a"}, {'value["1"]': "its key comes back as str, not int"}),
        (b"abc", "abc", {"value": "str, not bytes"}),
        (collections.deque([1]), [1], {"value": "list, not deque"}),
    ],
)
def test_losses_are_named(value: Any, stored: Any, losses: dict[str, str]) -> None:
    text, found = prepare_json(value, "json", explicit=True)
    assert json.loads(text) == stored
    for path, words in losses.items():
        assert any(loss["path"] == path and words in loss["loses"] for loss in found), found


def test_what_is_exact_loses_nothing_even_if_json_was_chosen() -> None:
    assert prepare_json({"a": [1, None, "x"]}, "json", explicit=True) == ('{"a":[1,null,"x"]}', [])


def test_a_long_list_of_losses_stays_short() -> None:
    _, losses = prepare_json([datetime.date(2020, 1, 1)] * 5000, explicit=True)
    assert losses == [{"path": "value[*]", "loses": "it comes back as str, not date"}]
    _, losses = prepare_json({str(name): (name,) for name in range(5000)}, explicit=True)
    assert len(losses) == 20
    assert losses[-1] == {"path": "value", "loses": "4981 more places come back as other types"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([float("nan"), ()], "value[0]: JSON has no nan"),
        (Loose(anything=float("nan")), 'value["anything"]: JSON has no nan'),
        ([Loose(anything=Loose(anything=[float("inf")]))], 'value[0]["anything"]["anything"][0]: JSON has no inf'),
        ([Plain((Loose(anything=float("nan")), 1))], 'value[0]["pair"][0]["anything"]: JSON has no nan'),  # type: ignore[arg-type]
        ((2**70,), "value[0]: an int of more than 64 bits"),
        (Loose(anything=2**70), 'value["anything"]: an int of more than 64 bits'),
        ({"a": (np.float64(2),)}, 'value["a"][0]: a numpy.float64 is no JSON value'),
        ((np.zeros(2),), "value[0]: a numpy.ndarray is no JSON value"),
        ({np.int64(1): ()}, "value: a numpy.int64 is no JSON value"),
        (({1: 2, "1": 3},), "value[0]: two keys become `1`"),
        (("\ud800",), "value[0]: the text has half of a surrogate pair"),
        ((b"\xff",), "value[0]: pydantic makes no JSON of a bytes"),
        ((object(),), "value[0]: pydantic makes no JSON of a object"),
        ((Attrs(),), "value[0]: pydantic makes no JSON of a Attrs"),
        ((number for number in [1]), "value: a generator would be used up"),
    ],
)
def test_what_pydantic_may_not_turn_into_json(value: Any, message: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        prepare_json(value, "json", explicit=True)
    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_deep_models_are_refused_by_an_error() -> None:
    for levels in (DEEPEST + 1, 200, 5000):
        with pytest.raises(UnsupportedError):
            prepare_json(nested(levels, lambda inner: Loose.model_construct(anything=inner)))


def test_pydantic_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydantic_values, "is_installed", lambda: False)
    with pytest.raises(UnsupportedError, match="a tuple would come back as a list") as caught:
        prepare_json((1,), "json", explicit=True)
    assert "with pydantic installed" in (caught.value.hint or "")
    with pytest.raises(MissingLibraryError, match="not installed") as missing:
        restore([1], list[int])
    assert "pip install pydantic" in (missing.value.hint or "")


def test_restoring() -> None:
    class Strict(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(strict=True)
        day: datetime.date

    assert restore({"day": "2020-01-02"}, Strict).day == datetime.date(2020, 1, 2)
    assert restore(["2020-01-02"], list[datetime.date]) == [datetime.date(2020, 1, 2)]
    assert restore([1, 1], set[int]) == {1}
    with pytest.raises(InvalidInputError, match=r"the stored value is no `Trip`: at start: ") as caught:
        restore({"start": "my secret"}, Trip)
    assert "secret" not in caught.value.message
    assert caught.value.__cause__ is None
    for no_type in (object(), Attrs, "Unheard"):
        with pytest.raises(InvalidInputError, match="pydantic cannot make a value of type"):
            restore({}, no_type)


def test_importing_it_loads_no_library() -> None:
    loads = "import sys, coldframe.serializers, coldframe.values, coldframe.json_values\n"
    heavy = "('pydantic', 'numpy', 'orjson', 'cloudpickle', 'dill', 'pandas', 'pyarrow')"
    script = loads + "from coldframe.json_values import prepare_json\nprepare_json([1])\n"
    script += f"assert not [name for name in {heavy} if name in sys.modules]\n"
    subprocess.run([sys.executable, "-c", script], check=True)
