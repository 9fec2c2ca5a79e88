"""The record of a value: what it holds, that it comes back, and that a damaged one is never taken for a value."""

from __future__ import annotations

import base64
import collections
import datetime
import enum
import json
import pickle
import re
import threading
import uuid
import zlib
from collections.abc import Callable
from typing import Any

import cloudpickle
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from values_support import FRAMES, Fitted, Frozen, Measured, Pair, Report, assert_same, pandas_frame, table

from coldframe.errors import ColdframeError, DamagedError, InternalError, UnsupportedError
from coldframe.prefect import envelope, parting

FRAME = pl.DataFrame({"n": [1, 2]})
OTHER = pl.DataFrame({"m": ["x"]})


class Color(enum.Enum):
    RED = 1


def text_of(value: Any, *, allow_pickle: bool = True) -> tuple[bytes, list[envelope.Place]]:
    parted = envelope.part(value, allow_pickle=allow_pickle)
    text = parted.text([{"reference": {"key": str(number)}} for number in range(len(parted.places))])
    found = json.loads(text.decode("utf-8", errors="strict"))
    assert not {"data", "result"} & set(found)
    return text, parted.places


def back(text: bytes, places: list[envelope.Place]) -> Any:
    parted, frames, _ = envelope.read(text)
    return parted.joined(lambda number: places[int(envelope.entry_at(frames, number)["reference"]["key"])].frame)


def comes_back(value: Any, *, allow_pickle: bool = True) -> Any:
    return back(*text_of(value, allow_pickle=allow_pickle))


def is_json(value: Any) -> bool:
    return b'"pickle":' not in text_of(value)[0]


JSON_VALUES: dict[str, Any] = {
    "nothing": None,
    "numbers": [0, -1, 2**63, -(2**63), 2**64 - 1, 1.5, -0.0, 1e-320, True, False],
    "texts": ["", "a", "ü", "日本語", "\u2028\x00\x7f", "😀", '"\\'],
    "keys of a record": {"data": 1, "result": 2, "coldframe": 9, "value": 3, "frames": [], "metadata": {}},
    "nested": {"a": [{"b": [[]]}, {}], "": {"c": None}},
    "a frame": FRAME,
    "frames in dicts and lists": {"train": FRAME, "rest": [OTHER, {"more": FRAME}], "score": 0.5},
    "many numbers": list(range(100)),
    "many texts": ["ü" * number for number in range(40)],
    "many of all": [*range(20), None, "a", 0.5, True, FRAME, {"a": 1}],
}


@pytest.mark.parametrize("what", JSON_VALUES)
def test_what_json_gives_back_equal_is_json(what: str) -> None:
    value = JSON_VALUES[what]
    assert is_json(value)
    assert_same(value, comes_back(value))
    assert_same(value, comes_back(value, allow_pickle=False))


PICKLED: dict[str, Any] = {
    "a tuple": (FRAME, 1),
    "keys that are numbers": {1: FRAME, "1": OTHER},
    "not a number": [float("nan"), float("inf"), -float("inf"), FRAME],
    "not a number, alone": float("nan"),
    "a large int": {"n": 2**64},
    "a small int among many": [*range(30), -(2**63) - 1],
    "half a surrogate pair": ["\ud800", FRAME],
    "half a surrogate pair in a key": {"\udfff": FRAME},
    "our own key": {"$frame": 0, "frame": FRAME},
    "our own key, alone": {"$frame": 0},
    "bytes": [b"\x00\xff", bytearray(b"a"), FRAME],
    "times": [datetime.datetime(2026, 1, 1), datetime.timedelta(1), datetime.date(2026, 1, 1)],
    "a uuid": uuid.UUID(int=1),
    "sets": {"a": {1, 2}, "b": frozenset({3}), "frame": FRAME},
    "a dataclass": Fitted(FRAME),
    "a frozen dataclass with slots": Frozen(FRAME, "name"),
    "a model": Report(frame=FRAME, parts=[OTHER, {"a": pandas_frame()}]),
    "a named tuple": Pair(FRAME, [OTHER]),
    "a class of attrs": Measured(FRAME),
    "an enum": [Color.RED, FRAME],
    "an ordered dict": collections.OrderedDict(a=FRAME),
    "a default dict": collections.defaultdict(list, a=[FRAME]),
    "a deque": collections.deque([FRAME], maxlen=3),
    "complex numbers": [1j, FRAME],
    "ranges": range(3),
    "the class of a frame": [pd.DataFrame, FRAME],
}


@pytest.mark.parametrize("what", PICKLED)
def test_what_json_changes_is_pickled_without_its_frames(what: str) -> None:
    value = PICKLED[what]
    text, places = text_of(value)
    assert b'"pickle":' in text
    assert_same(value, back(text, places))
    with pytest.raises(UnsupportedError, match="(?s)value.*allow pickles"):
        envelope.part(value, allow_pickle=False)


def test_what_pickle_false_refuses_is_named_with_its_path() -> None:
    with pytest.raises(UnsupportedError, match=re.escape('value["a"][1]: JSON has no nan')):
        envelope.part({"a": [FRAME, float("nan")]}, allow_pickle=False)
    with pytest.raises(UnsupportedError, match=re.escape('value["a"]: 1 is a key')):
        envelope.part({"a": {1: FRAME}}, allow_pickle=False)
    with pytest.raises(UnsupportedError, match=re.escape("value[20]: a tuple")):
        envelope.part([*range(20), (1,)], allow_pickle=False)


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("shape", [lambda f: f, lambda f: {"a": [f, 1]}, lambda f: (f,), lambda f: Report(frame=f)])
def test_every_kind_of_frame_is_taken_out_as_it_is(kind: str, shape: Callable[[Any], Any]) -> None:
    frame = FRAMES[kind]()
    text, places = text_of(shape(frame))
    assert [place.frame is frame for place in places] == [True]
    assert len(text) < 2_000


def test_attributes_of_models_that_are_private_have_their_frames_taken_out() -> None:
    report = Report(frame=None)
    report._hidden = FRAME
    text, places = text_of(report)
    assert len(places) == 1
    assert_same(FRAME, back(text, places)._hidden)


def test_exceptions_come_back_with_the_frames_that_they_hold() -> None:
    found = comes_back(ValueError("broken", FRAME))
    assert type(found) is ValueError
    assert found.args[0] == "broken"
    assert_same(FRAME, found.args[1])


def test_functions_that_use_frames_come_back_with_them() -> None:
    frame = FRAME

    def annotated(other: pd.DataFrame) -> pl.DataFrame:
        return frame

    class Local:
        kept = frame

        def __init__(self) -> None:
            self.own = frame

    for value, use in (
        (annotated, lambda found: found(None)),
        (lambda: frame, lambda found: found()),
        (Local, lambda found: found.kept),
        (Local(), lambda found: found.own),
    ):
        text, places = text_of([value])
        assert len(places) == 1
        assert use(back(text, places)[0]) is frame


def test_a_frame_in_several_places_is_one() -> None:
    for value in ({"a": FRAME, "b": [FRAME]}, (FRAME, FRAME), Fitted([FRAME, FRAME])):
        text, places = text_of(value)
        assert len(places) == 1
        asked: list[int] = []
        parted, _, _ = envelope.read(text)
        found = parted.joined(lambda number, asked=asked: asked.append(number) or table())
        assert asked == [0]
        one, other = found.frame if isinstance(found, Fitted) else found.values() if isinstance(found, dict) else found
        assert one is (other[0] if isinstance(other, list) else other)


def test_equal_frames_stay_two() -> None:
    assert len(text_of([FRAME, FRAME.clone()])[1]) == 2


def test_a_list_in_several_places_stays_one() -> None:
    shared = [1, FRAME]
    found = comes_back({"a": shared, "b": shared})
    assert found["a"] is found["b"]
    assert_same({"a": shared, "b": shared}, comes_back({"a": shared, "b": shared}, allow_pickle=False))


def test_values_that_hold_themselves_come_back() -> None:
    value: list[Any] = [FRAME]
    value.append(value)
    found = comes_back(value)
    assert found[1] is found
    with pytest.raises(UnsupportedError, match=re.escape("value[1]: it holds itself")):
        envelope.part(value, allow_pickle=False)


def test_a_value_whose_json_would_be_endless_is_told_early() -> None:
    value: list[Any] = list(range(1000))
    for _ in range(100):
        value = [value, value]
    found = comes_back(value)
    assert found[0] is found[1]
    with pytest.raises(UnsupportedError, match="it is in several places"):
        envelope.part(value, allow_pickle=False)


@pytest.mark.parametrize("levels", [100, 126, 127, 128, 200])
def test_nested_values_come_back_from_any_depth(levels: int) -> None:
    value: Any = FRAME
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    assert_same(value, comes_back(value))


def test_what_is_too_deep_for_pickle_as_well_is_told() -> None:
    value: Any = FRAME
    for _ in range(100_000):
        value = [value]
    with pytest.raises(UnsupportedError, match="value"):
        envelope.part(value)


def test_what_cannot_be_pickled_is_named_with_its_path() -> None:
    with pytest.raises(UnsupportedError, match=re.escape('value["models"][1].frame')):
        envelope.part({"models": [FRAME, Fitted(threading.Lock())]})


def test_a_generator_is_refused_and_not_used_up() -> None:
    generator = (batch for batch in table().to_batches())
    with pytest.raises(UnsupportedError, match=r'value\["a"\].*generator'):
        envelope.part({"a": generator, "b": FRAME})
    assert len(list(generator)) == 1


def test_what_changes_while_its_frames_are_stored_is_kept_as_it_was() -> None:
    value = {"count": [1], "frame": FRAME}
    parted = envelope.part(value)
    value["count"].append(2)  # type: ignore[union-attr]
    value["count"].append(float("nan"))  # type: ignore[union-attr]
    text = parted.text([{"reference": {"key": "0"}}])
    assert back(text, parted.places)["count"] == [1]


def test_the_value_that_was_parted_is_not_changed() -> None:
    value = {"a": [FRAME, 1], "b": {"c": FRAME}}
    text_of(value)
    assert value["a"][0] is FRAME  # type: ignore[index]
    assert value["b"]["c"] is FRAME  # type: ignore[index]


def test_a_pickle_of_a_record_is_not_read_without_its_record() -> None:
    found = json.loads(text_of((FRAME,))[0])
    with pytest.raises(InternalError, match="outside of its record"):
        pickle.loads(base64.b64decode(found["pickle"]))


def test_the_block_is_kept() -> None:
    parted = envelope.part([FRAME])
    assert envelope.read(parted.text([{"reference": {}}], "some-id"))[2] == "some-id"
    assert envelope.read(parted.text([{"reference": {}}]))[2] is None


def test_the_bytes_of_inline_frames_come_back() -> None:
    data = bytes(range(256)) * 10
    parted = envelope.part([FRAME, OTHER])
    frames = [envelope.inline_entry(data, {"key": "a"}), {"reference": {"key": "b"}, "is": "reference"}]
    text = parted.text(frames)
    assert json.loads(text)["frames"] == frames
    entries = envelope.read(text)[1]
    assert envelope.bytes_in(entries[0]) == data
    assert envelope.reference_in(entries[1]) == {"key": "b"}


# --- damage


SAMPLES = {"json": {"a": [FRAME, 1.5, "text"], "n": 12}, "pickle": (FRAME, 1.5, "text", b"bytes")}


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_flipped_bit_goes_unseen(sample: str) -> None:
    text, places = text_of(SAMPLES[sample])
    for at in range(len(text)):
        for bit in range(8):
            damaged = bytearray(text)
            damaged[at] ^= 1 << bit
            with pytest.raises((DamagedError, UnsupportedError)):
                back(bytes(damaged), places)


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_end_that_is_missing_goes_unseen(sample: str) -> None:
    text, places = text_of(SAMPLES[sample])
    for length in range(len(text)):
        with pytest.raises(DamagedError):
            back(text[:length], places)


@given(st.binary(max_size=300))
def test_no_bytes_of_others_are_taken_for_a_record(text: bytes) -> None:
    with pytest.raises(DamagedError):
        envelope.read(text)


@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b"[]",
        b'{"a": 1}',
        b'{"coldframe": true, "value": 1, "frames": []}',
        b'{"coldframe": 1.0, "value": 1, "frames": []}',
        b'{"coldframe": 1, "value": 1, "frames": []}',
        b'{"coldframe":1,"value":1,"frames":[]}',
        b"[" * 100_000,
        b'{"coldframe":' * 100_000,
        b"9" * 100_000,
        pickle.dumps(1),
        cloudpickle.dumps({"a": FRAME}),
    ],
)
def test_records_of_others_are_told(text: bytes) -> None:
    with pytest.raises(DamagedError) as raised:
        envelope.read(text)
    assert "refresh_cache" in (raised.value.hint or "")
    assert len(str(raised.value)) < 500


def test_a_newer_version_is_refused_with_its_number() -> None:
    with pytest.raises(UnsupportedError, match=r"version 2(.|\n)*upgrade"):
        envelope.read(b'{"coldframe":2,"something":"new"}')


def sealed(rest: str) -> bytes:
    """A record with a checksum that fits, of whoever can count one."""
    return b'{"coldframe":1,"crc32":"%08x",%b' % (zlib.crc32(rest.encode()), rest.encode())


@pytest.mark.parametrize(
    "rest",
    [
        '"value":{"$frame":1},"frames":[{}]}',
        '"value":{"$frame":-1},"frames":[{}]}',
        '"value":{"$frame":0},"frames":[]}',
        '"value":{"$frame":true},"frames":[{},{}]}',
        '"value":{"$frame":0.0},"frames":[{}]}',
        '"value":{"$frame":"0"},"frames":[{}]}',
        '"value":{"$frame":[0]},"frames":[{}]}',
        '"value":{"$frame":null},"frames":[{}]}',
        '"value":{"$frame":0,"more":1},"frames":[{}]}',
        '"value":{"$frame":0},"frames":[{"reference":7}]}',
        '"value":{"$frame":0},"frames":[{"reference":{}},7]}',
        '"value":{"$frame":0},"frames":{"0":{}}}',
        '"value":{"$frame":0}}',
        '"frames":[]}',
        '"value":NaN,"frames":[]}',
        '"value":-Infinity,"frames":[]}',
        '"value":1,"frames":[]',
        '"value":' + "[" * 300 + '{"$frame":0}' + "]" * 300 + ',"frames":[{"reference":{}}]}',
        '"value":' + "[" * 50_000 + "]" * 50_000 + ',"frames":[]}',
        '"pickle":7,"frames":[]}',
        '"pickle":"?","frames":[]}',
        '"pickle":null,"frames":[]}',
    ],
)
def test_a_record_that_somebody_made_up_is_refused(rest: str) -> None:
    with pytest.raises(DamagedError):
        parted, frames, _ = envelope.read(sealed(rest))
        parted.joined(lambda number: envelope.reference_in(envelope.entry_at(frames, number)))


@pytest.mark.parametrize("pickled", [b"", b"\x80", b"garbage", pickle.dumps(FRAME.schema)[:-4], b"cno_such\nmodule\n."])
def test_a_pickle_that_cannot_be_loaded_is_told(pickled: bytes) -> None:
    parted, _, _ = envelope.read(sealed(f'"pickle":"{base64.b64encode(pickled).decode()}","by":7,"frames":[]}}'))
    with pytest.raises(UnsupportedError, match="the pickle cannot be loaded"):
        parted.joined(lambda number: None)


def test_a_pickle_that_asks_for_frames_that_are_not_there_is_told() -> None:
    class Asking:
        def __init__(self, number: Any) -> None:
            self.number = number

        def __reduce__(self) -> Any:
            return envelope.frame, (self.number,)

    for number in (5, -1, "0", None, [0]):
        pickled = base64.b64encode(pickle.dumps(Asking(number))).decode()
        parted, frames, _ = envelope.read(sealed(f'"pickle":"{pickled}","frames":[]}}'))
        with pytest.raises(DamagedError, match="the record names"):
            parted.joined(lambda at, frames=frames: envelope.entry_at(frames, at))


@pytest.mark.parametrize("entry", [{}, {"bytes": 7}, {"bytes": "?"}, {"bytes": None}, {"bytes": "YQ"}])
def test_inline_bytes_that_are_damaged_are_told(entry: dict[str, Any]) -> None:
    with pytest.raises(DamagedError):
        envelope.bytes_in(entry)


# --- whatever people return

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8)
    | st.text(st.characters(categories=["Cs", "Lu"]), max_size=3) | st.binary(max_size=5)
    | st.integers(min_value=2**62, max_value=2**66) | st.sampled_from([FRAME, OTHER, Color.RED, pl.DataFrame])
    | st.datetimes() | st.uuids()
)  # fmt: skip
keys = st.text(max_size=4) | st.sampled_from(["$frame", "data", "result", "coldframe"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.dictionaries(keys, inner, max_size=20)
        | st.dictionaries(st.integers() | keys, inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(Fitted, inner)
        | st.builds(Frozen, inner, st.text(max_size=2))
        | st.builds(Pair, inner, inner)
        | st.builds(Measured, inner)
        | st.builds(lambda part: Report(frame=part, parts=[part]), inner)
    ),
    max_leaves=25,
)


@given(values)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_comes_back_of_the_same_types(value: Any) -> None:
    assert_same(value, comes_back(value))


@given(values)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_is_json_or_refused_without_pickles(value: Any) -> None:
    try:
        text, places = text_of(value, allow_pickle=False)
    except ColdframeError as error:
        assert str(error).startswith("value")
        return
    assert b'"pickle":' not in text
    assert_same(value, back(text, places))


@given(st.lists(st.integers() | st.floats() | st.text() | st.booleans() | st.none(), max_size=40))
def test_the_quick_look_at_scalars_says_what_the_slow_one_says(items: list[Any]) -> None:
    """Many items are looked at together, a few one by one."""
    together = parting._are_exact(items)
    assert together is all(parting._are_exact([item]) for item in items)
    if together:
        assert_same(items, json.loads(json.dumps(items)))
