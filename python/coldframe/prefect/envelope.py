"""The text that stands for a returned value in Prefect's record: the value without its frames, and where those are.

It is JSON, so that it is valid wherever Prefect keeps results:

.. code-block:: json

    {"coldframe": 1, "value": {"train": {"$frame": 0}, "score": 0.5}, "frames": [{"reference": {"…": "…"}}]}

- ``coldframe``: the version of this form, 1.
- ``value``: the value, if it comes back equal from JSON once its frames are taken out. ``{"$frame": 0}`` stands where the
  first of ``frames`` was.
- ``pickle``: instead of ``value``, the value as a pickle in base64, in which the frames are persistent ids: 0, 1, 2, …
  ``by`` says who wrote it: ``lib``, ``lib_version``, ``python``, ``protocol``.
- ``frames``: each has a ``reference``, and in inline records ``bytes``: a whole Parquet or Arrow file, in base64, and as
  its ``reference`` what is needed to read it.
  ``is`` is ``"reference"`` where not a frame was returned but a reference, ``"batches"`` where it was a handle that stands
  for a reader, and ``"pickle"`` where the frame is one that only Python can hold: then inline ``bytes`` are a pickle, and
  ``reference`` says who wrote it.
- ``block``: the id of the saved Prefect block whose credentials open the store of the references, if there is one.

No name at the top is ``data`` or ``result``: Prefect would take the text for a record of its own. A reader refuses a
version that it does not know, and passes over names that it does not know.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from coldframe import json_values, pickling
from coldframe.errors import DamagedError, InvalidInputError, UnsupportedError
from coldframe.prefect.recognition import is_leaf

VERSION = 1
_PLACE = "$frame"
_LIBRARY = "cloudpickle"


@dataclass(frozen=True)
class Place:
    """A frame in a value, and how one gets there: `("train",)`; nothing for the value itself."""

    frame: Any
    path: tuple[str | int, ...]


@dataclass(frozen=True)
class Parted:
    """A value, taken apart: its frames, and the rest, either as JSON or as a pickle."""

    places: list[Place]
    tree: Any = None
    pickle: bytes | None = None
    by: dict[str, Any] = field(default_factory=dict)

    def text(self, frames: list[dict[str, Any]], block: str | None = None) -> bytes:
        """The envelope, with what stands for each frame."""
        envelope: dict[str, Any] = {"coldframe": VERSION}
        if self.pickle is None:
            envelope["value"] = self.tree
        else:
            envelope["pickle"] = base64.b64encode(self.pickle).decode("ascii")
            envelope["by"] = self.by
        envelope["frames"] = frames
        if block is not None:
            envelope["block"] = block
        return json.dumps(envelope, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    def joined(self, give: Callable[[int], Any]) -> Any:
        """The value with `give(0)`, `give(1)`, … where its frames were. Each is asked for once."""
        given: dict[int, Any] = {}

        def frame(number: int) -> Any:
            if number not in given:
                given[number] = give(number)
            return given[number]

        if self.pickle is None:
            return _filled(self.tree, frame)
        unpickler = _Unpickler(io.BytesIO(self.pickle), frame)
        return pickling.load(unpickler.load, self.by)


def part(value: Any, *, allow_pickle: bool = True) -> Parted:
    """Takes the frames out of a value, at any depth.

    Raises UnsupportedError for what can be pickled neither, with its path; or which is not JSON, without `allow_pickle`.
    """
    if is_leaf(value):
        return Parted([Place(value, ())], {_PLACE: 0})
    places: list[Place] = []
    try:
        tree = _Folder(places).fold(value)
        json_values.check_exact(tree)
    except UnsupportedError as error:
        if not allow_pickle:
            raise UnsupportedError(
                error.message,
                hint=f"{error.hint or ''}; or allow pickles: ColdframeSerializer(pickle=True)".lstrip("; "),
            ) from error
        return _pickled(value)
    return Parted(places, tree)


def read(text: bytes) -> tuple[Parted, list[dict[str, Any]], str | None]:
    """Reads an envelope: the value without its frames, what stands for each of them, and the block.

    Raises DamagedError if it is none, UnsupportedError if a newer version wrote it.
    """
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"the record is no JSON, and so none of coldframe: {error}", hint=_MEND) from error
    if not isinstance(envelope, dict) or not isinstance(envelope.get("coldframe"), int):
        raise DamagedError("the record was not written by coldframe", hint=_MEND)
    if envelope["coldframe"] != VERSION:
        raise UnsupportedError(
            f"the record has version {envelope['coldframe']}, and this coldframe knows version {VERSION}",
            hint="upgrade coldframe where it is read",
        )
    frames = envelope.get("frames", [])
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise DamagedError("the record has no list of frames", hint=_MEND)
    block = envelope.get("block")
    block = block if isinstance(block, str) else None
    if "pickle" not in envelope:
        if "value" not in envelope:
            raise DamagedError("the record has no value", hint=_MEND)
        return Parted([], envelope["value"]), frames, block
    try:
        pickled = base64.b64decode(envelope["pickle"], validate=True)
    except (TypeError, ValueError) as error:
        raise DamagedError("the pickle in the record is damaged", hint=_MEND) from error
    by = envelope.get("by")
    return Parted([], None, pickled, by if isinstance(by, dict) else {"type": "pickle"}), frames, block


_MEND = "delete the record, or run again with `refresh_cache=True`"


class _Folder:
    """Puts places where the frames of lists and dicts are. The places of one frame are one."""

    def __init__(self, places: list[Place]) -> None:
        self._places = places
        self._numbers: dict[int, int] = {}
        self._path: list[str | int] = []

    def fold(self, value: Any) -> Any:
        kind = type(value)
        if kind is dict:
            if _PLACE in value:
                raise UnsupportedError(f"value: a dict with the key `{_PLACE}` would be taken for a frame")
            return {
                key: item if type(item) in json_values.SCALARS else self._step(key, item) for key, item in value.items()
            }
        if kind is list:
            return [
                item if type(item) in json_values.SCALARS else self._step(number, item)
                for number, item in enumerate(value)
            ]
        return self._place(value) if is_leaf(value) else value

    def _step(self, step: Any, item: Any) -> Any:
        if len(self._path) == json_values.DEEPEST:
            raise json_values.too_deep()
        self._path.append(step)
        folded = self.fold(item)
        self._path.pop()
        return folded

    def _place(self, frame: Any) -> dict[str, int]:
        number = self._numbers.setdefault(id(frame), len(self._places))
        if number == len(self._places):
            self._places.append(Place(frame, tuple(self._path)))
        return {_PLACE: number}


def _filled(tree: Any, give: Callable[[int], Any]) -> Any:
    if isinstance(tree, list):
        return [_filled(item, give) for item in tree]
    if isinstance(tree, dict):
        if _PLACE in tree:
            return give(tree[_PLACE])
        return {key: _filled(item, give) for key, item in tree.items()}
    return tree


def _pickled(value: Any) -> Parted:
    pickler_class = _pickler_class()
    places: list[Place] = []
    numbers: dict[int, int] = {}

    def number_of(frame: Any) -> int:
        number = numbers.setdefault(id(frame), len(places))
        if number == len(places):
            places.append(Place(frame, (number,)))
        return number

    def dump(part: Any, file: Any) -> None:
        pickler_class(file, number_of).dump(part)

    pickled = pickling.dump(value, dump, _LIBRARY)
    return Parted(places, None, pickled, pickling.describe(_LIBRARY))


def _pickler_class() -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Pickles a value, and calls `number_of` for each frame in it."""

        def __init__(self, file: Any, number_of: Callable[[Any], int]) -> None:
            super().__init__(file, protocol=pickling.PROTOCOL)
            self._number_of = number_of

        def persistent_id(self, part: Any) -> int | None:
            return self._number_of(part) if is_leaf(part) else None

    return Pickler


def _Unpickler(file: io.BytesIO, give: Callable[[int], Any]) -> Any:  # noqa: N802
    import pickle

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, number: Any) -> Any:
            return give(number)

    return Unpickler(file)


def reference_in(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The reference of a frame. Raises DamagedError if there is none."""
    reference = entry.get("reference")
    if not isinstance(reference, dict):
        raise DamagedError("a frame in the record has no reference", hint=_MEND)
    return reference


def entry_at(frames: list[dict[str, Any]], number: object) -> dict[str, Any]:
    """What stands for a frame. Raises DamagedError if there is no such one."""
    if type(number) is not int or not 0 <= number < len(frames):
        raise DamagedError(f"the record names frame {number!r}, and has {len(frames)}", hint=_MEND)
    return frames[number]


def inline_entry(data: bytes, reference: dict[str, Any]) -> dict[str, Any]:
    """What stands in a record for a frame whose bytes it holds."""
    return {"reference": reference, "bytes": base64.b64encode(data).decode("ascii")}


def bytes_in(entry: Mapping[str, Any]) -> bytes:
    """The bytes of an inline frame. Raises DamagedError if there are none."""
    try:
        return base64.b64decode(entry["bytes"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError("a frame in the record has no bytes, or damaged ones", hint=_MEND) from error


__all__ = ["VERSION", "Parted", "Place", "bytes_in", "entry_at", "inline_entry", "part", "read", "reference_in"]
