"""The text that stands for a returned value in Prefect's record: the value without its frames, and where those are.

It is JSON, so that it is valid wherever Prefect keeps results:

.. code-block:: json

    {"coldframe":1,"crc32":"5f3b2c1d","value":{"train":{"$frame":0},"score":0.5},"frames":[{"reference":{"…":"…"}}]}

- ``coldframe``: the version of this form, 1. It comes first.
- ``crc32``: the CRC-32 of all bytes that come after it and its comma, in eight hexadecimal digits. It comes second.
- ``value``: the value, if it comes back equal from JSON once its frames are taken out. ``{"$frame":0}`` stands where
  the first of ``frames`` was.
- ``pickle``: instead of ``value``, the value as a pickle in base64. In it, frames are calls of the function
  ``coldframe.prefect.envelope.frame`` with their number: 0, 1, 2, … ``by`` says who wrote it: ``lib``, ``lib_version``,
  ``python``, ``protocol``.
- ``frames``: each has a ``reference``. In inline records each also has ``bytes``, a whole Parquet or Arrow file in
  base64, and its ``reference`` is what is needed to read them.
  ``is`` is ``"reference"`` where not a frame was returned but a reference, ``"batches"`` where it was a handle that
  stands for a reader, and ``"pickle"`` where the frame is one that only Python can hold: then
  inline ``bytes`` are a pickle, and ``reference`` says who wrote it.
- ``block``: the id of the saved Prefect block whose credentials open the store of the references, if there is one.

No name at the top is ``data`` or ``result``: Prefect would take the text for a record of its own. A reader refuses a
version that it does not know, and passes over names that it does not know.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from coldframe import pickling
from coldframe.errors import DamagedError, InternalError, UnsupportedError
from coldframe.prefect import parting
from coldframe.prefect.parting import PLACE, Place
from coldframe.prefect.recognition import is_leaf, is_leaf_kind

VERSION = 1
_LIBRARY = "cloudpickle"
_MEND = "delete the record, or run again with `refresh_cache=True`"
_BEGIN = re.compile(rb'\{"coldframe":%d,"crc32":"([0-9a-f]{8})",' % VERSION)


@dataclass(frozen=True)
class Parted:
    """A value, taken apart: its frames, and the rest, either as JSON or as a pickle."""

    places: list[Place]
    tree: Any = None
    """The rest as JSON has it."""
    json: str | None = None
    """Its text, of a value that is on its way into a record."""
    pickle: bytes | None = None
    by: dict[str, Any] = field(default_factory=dict)
    """Who wrote the pickle."""

    def text(self, frames: list[dict[str, Any]], block: str | None = None) -> bytes:
        """The envelope, with what stands for each frame."""
        if self.pickle is None:
            pieces = [b'"value":', (_dumped(self.tree) if self.json is None else self.json).encode()]
        else:
            pickled = binascii.b2a_base64(self.pickle, newline=False)
            pieces = [b'"pickle":"', pickled, b'","by":', _dumped(self.by).encode()]
        pieces.append(b',"frames":[')
        for number, entry in enumerate(frames):
            pieces.append(b"," if number else b"")
            pieces.extend(_entry_pieces(entry))
        pieces.append(b"]")
        if block is not None:
            pieces.append(b',"block":' + _dumped(block).encode())
        pieces.append(b"}")
        checksum = 0
        for piece in pieces:
            checksum = zlib.crc32(piece, checksum)
        return b"".join([b'{"coldframe":%d,"crc32":"%08x",' % (VERSION, checksum), *pieces])

    def joined(self, give: Callable[[int], Any]) -> Any:
        """The value with `give(0)`, `give(1)`, … where its frames were. Each is asked for once."""
        given: dict[int, Any] = {}

        def at(number: object) -> Any:
            if type(number) is not int:
                raise DamagedError("the record names a frame by what is no number", hint=_MEND)
            if number not in given:
                given[number] = give(number)
            return given[number]

        if self.pickle is None:
            return parting.filled(self.tree, at)
        return pickling.load(_Unpickler(io.BytesIO(self.pickle), at).load, self.by)


def part(value: Any, *, allow_pickle: bool = True) -> Parted:
    """Takes the frames out of a value, at any depth.

    Raises UnsupportedError, with the path, for what is not JSON and cannot be pickled, or must not without
    `allow_pickle`.
    """
    if is_leaf(value):
        return Parted([Place(value, ())], {PLACE: 0})
    folder = parting.Folder(each_once=allow_pickle)
    try:
        tree = folder.fold(value)
    except UnsupportedError as error:
        if allow_pickle:
            return _pickled(value)
        hint = f"{error.hint or ''}; or allow pickles: ColdframeSerializer(pickle=True)".lstrip("; ")
        raise UnsupportedError(error.message, hint=hint) from error
    # As of now: the value may change while its frames are stored.
    return Parted(folder.places, tree, _dumped(tree))


def read(text: bytes) -> tuple[Parted, list[dict[str, Any]], str | None]:
    """Reads an envelope: the value without its frames, what stands for each of them, and the block.

    Raises DamagedError if it is none, or not as it was written; UnsupportedError if a newer version wrote it.
    """
    begin = _BEGIN.match(text)
    if begin is None:
        _refuse(text)
    if zlib.crc32(memoryview(text)[begin.end() :]) != int(begin[1], 16):
        raise DamagedError("the record is not as it was written: its checksum is another", hint=_MEND)
    try:
        envelope = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"the record is no JSON: {error}", hint=_MEND) from error
    frames = envelope.get("frames")
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
    return Parted([], None, None, pickled, by if isinstance(by, dict) else {"type": "pickle"}), frames, block


def _refuse(text: bytes) -> NoReturn:
    """Says what a text is that does not begin as an envelope of this version does."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"the record is no JSON, and so none of coldframe: {error}", hint=_MEND) from error
    version = found.get("coldframe") if isinstance(found, dict) else None
    if type(version) is not int:
        raise DamagedError("the record was not written by coldframe", hint=_MEND)
    if version != VERSION:
        raise UnsupportedError(
            f"the record has version {version}, and this coldframe knows version {VERSION}",
            hint="upgrade coldframe where it is read",
        )
    raise DamagedError("the record is not as it was written: it has no checksum where that belongs", hint=_MEND)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _entry_pieces(entry: dict[str, Any]) -> list[bytes]:
    """The JSON of an entry. The bytes of a frame are not looked through for what JSON would escape."""
    if "bytes" not in entry:
        return [_dumped(entry).encode()]
    rest = _dumped({name: part for name, part in entry.items() if name != "bytes"})
    return [rest[:-1].encode(), b',"bytes":"' if rest != "{}" else b'"bytes":"', entry["bytes"].encode(), b'"}']


def frame(number: int) -> Any:
    """What stands for a frame in a pickle of this form. Such a pickle is read only by its record."""
    raise InternalError(f"frame {number} of a pickle was asked for outside of its record")


def _pickled(value: Any) -> Parted:
    pickler_class = _pickler_class()
    places: list[Place] = []
    numbers: dict[int, int] = {}

    def number_of(part: Any) -> int:
        number = numbers.setdefault(id(part), len(places))
        if number == len(places):
            places.append(Place(part, (number,)))
        return number

    def dump(part: Any, file: Any) -> None:
        pickler_class(file, number_of).dump(part)

    pickled = pickling.dump(value, dump, _LIBRARY)
    return Parted(places, pickle=pickled, by=pickling.describe(_LIBRARY))


def _pickler_class() -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Pickles a value, and calls `number_of` for each frame in it."""

        def __init__(self, file: Any, number_of: Callable[[Any], int]) -> None:
            super().__init__(file, protocol=pickling.PROTOCOL)
            self._number_of = number_of
            self._leaf_kinds: dict[type, bool] = {}

        # A `persistent_id` would be called for every number and text as well, which takes five times as long.
        def reducer_override(self, part: Any) -> Any:
            kind = type(part)
            leaf = self._leaf_kinds.get(kind)
            if leaf is None:
                leaf = self._leaf_kinds[kind] = is_leaf_kind(kind)
            return (frame, (self._number_of(part),)) if leaf else super().reducer_override(part)

    return Pickler


def _Unpickler(file: io.BytesIO, give: Callable[[object], Any]) -> Any:  # noqa: N802
    import pickle

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return give if (module, name) == (frame.__module__, frame.__name__) else super().find_class(module, name)

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
    return {"reference": reference, "bytes": binascii.b2a_base64(data, newline=False).decode("ascii")}


def bytes_in(entry: Mapping[str, Any]) -> bytes:
    """The bytes of an inline frame. Raises DamagedError if there are none."""
    try:
        return base64.b64decode(entry["bytes"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError("a frame in the record has no bytes, or damaged ones", hint=_MEND) from error


__all__ = ["VERSION", "Parted", "Place", "bytes_in", "entry_at", "inline_entry", "part", "read", "reference_in"]
