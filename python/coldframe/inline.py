"""Frames as bytes, without a store: the file that a put would write, and what is needed to read it back.

Where somebody else keeps the bytes (a workflow's own result storage, a database, a message), `encode` makes them of a
frame, and `decode` makes the same frame of them, of the same kind, every byte checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coldframe import _coldframe, putting, serializers
from coldframe.arguments import check_flag
from coldframe.errors import ColdframeError, InvalidInputError, WrongTypeError
from coldframe.scan import Scan
from coldframe.serializers import CoreChoice

__all__ = ["Encoded", "decode", "encode", "scan"]

_PUT = ("put", "inline")
"""What the native part calls an encoding: a put under the only key of a store that nobody else knows."""
_PATH = re.compile(r"data/inline/[0-9A-Z]{26}\.\w+")
_OTHER_REFERENCE = "hand in the `reference` that `encode` made together with these bytes"


@dataclass(frozen=True)
class Encoded:
    """A frame as the bytes of one file.

    Attributes:
        data: A complete Parquet or Arrow file, which every library of tables opens as it is.
        reference: What `decode` needs besides: JSON, with the kind of frame, the schema, and the file's checksum.
    """

    data: bytes = field(repr=False)
    reference: dict[str, Any] = field(repr=False)

    def scan(self, columns: Sequence[Any] | None = None, **selection: Any) -> Scan:
        """Some columns and rows; see `inline.scan`."""
        return scan(self.data, self.reference, columns, **selection)

    @property
    def rows(self) -> int | None:
        """How many rows there are."""
        return self.reference.get("rows")


def encode(value: Any, serializer: Any = "parquet", *, strict: bool = False) -> Encoded | None:
    """The bytes of one file that holds a frame; None if `value` is no frame.

    Takes the frames that `Store.put` takes, and writes the file that it writes.

    >>> import coldframe.inline, polars
    >>> encoded = coldframe.inline.encode(polars.DataFrame({"fare": [12.5, 7.0]}))
    >>> encoded.data[:4]
    b'PAR1'
    >>> coldframe.inline.decode(encoded.data, encoded.reference)["fare"].to_list()
    [12.5, 7.0]

    Args:
        value: What is made bytes.
        serializer: One that holds tables, in any way in which `Store.put` takes it: ``"parquet/zstd(3)"``, ``"arrow"``,
            a descriptor as a dict, ``coldframe.Parquet(level=3)``.
        strict: Raises LossyError if anything would be lost on the way and back, instead of a LossyWarning.

    Raises InvalidInputError for any other serializer and for what is nearly a frame (a Series), UnsupportedError for a
    frame that the serializer cannot give back, and for one that takes several files (tens of thousands of columns, or
    batches whose dictionaries have little in common).
    """
    check_flag("strict", strict)
    wanted = putting.Wanted(
        if_absent=False, after=None, title=None, description=None, strict=strict, expires=None, metadata=None
    )
    destination = putting.Destination("encode", None, _coldframe.losses)
    try:
        frame = putting.prepare_frame(destination, value, _table_serializer(serializer), wanted)
        if frame is None:
            return None
        data, text = _coldframe.encode(frame.content, wanted)
    except ColdframeError as error:
        # One that an iterator of batches raised on its way says itself what it is about.
        if error.subject is None or (error.operation, error.subject) == _PUT:
            error.operation, error.subject = "encode", None
        raise
    reference: dict[str, Any] = json.loads(text)
    putting.tell_late("encode", wanted, reference.get("lossy") or [])
    return Encoded(data, reference)


def decode(data: bytes | memoryview, reference: Mapping[str, Any]) -> Any:
    """The frame that was encoded, as the kind that it was.

    All bytes are compared with what was written before anything is made of them. They are not copied; a frame that is
    read when it is used (a LazyFrame, a relation of DuckDB, a RecordBatchReader) keeps them alive.

    Args:
        data: The bytes. A memoryview of a part of something else is copied first.
        reference: What `encode` gave together with them.

    Raises DamagedError if the bytes are not those that were written, or belong to another reference, InvalidInputError
    if that is no reference, and MissingLibraryError if the frame's library is not installed.
    """
    try:
        return scan(data, reference).frame()
    except ColdframeError as error:
        raise _named(error) from error.__cause__


def scan(
    data: bytes | memoryview, reference: Mapping[str, Any], columns: Sequence[Any] | None = None, **selection: Any
) -> Scan:
    """Some columns and rows of the frame that was encoded, in whatever library they are wanted; nothing is read yet.

    Selected as by `Store.scan`; args and errors as of `decode`, raised when rows are asked for.
    """
    held = _bytes(data)
    try:
        native = _reference(reference)
    except ColdframeError as error:
        raise _named(error) from error.__cause__
    encoded = Encoded(held, dict(reference))
    return Scan(
        lambda: _opened(held, native), "", columns=columns, progress=False, again=lambda _: encoded, **selection
    )


def _opened(data: bytes, reference: _coldframe.Reference) -> _coldframe.Opened:
    # Again in a process that a fork made, where a lazy frame is read.
    try:
        return _coldframe.decode(data, reference)
    except ColdframeError as error:
        raise _named(error) from error.__cause__


def _named(error: ColdframeError) -> ColdframeError:
    """The error without the names of a store that nobody else knows."""
    error.operation, error.subject = "decode", None
    error.message = _PATH.sub("the file", error.message)
    if isinstance(error, InvalidInputError):
        error.hint = _OTHER_REFERENCE
    return error


def _table_serializer(serializer: Any) -> CoreChoice:
    """The serializer that was chosen, if its files are plain ones that hold tables."""
    choice = serializers.resolve(serializer)
    name = choice.holds if isinstance(choice, CoreChoice) else choice.descriptor["type"]
    hint = '"parquet", "arrow", or with a codec such as "parquet/zstd(3)"'
    if not isinstance(choice, CoreChoice) or name not in ("parquet", "arrow"):
        raise InvalidInputError(f"serializer: `{name}` holds no tables", hint=hint)
    if _is_compressed(choice.text):
        raise InvalidInputError(
            f"serializer: a `compressed` file cannot be opened as the {name} file that it holds",
            hint=f"let {name} compress its columns: {hint}",
        )
    return choice


def _is_compressed(text: str) -> bool:
    """Whether the file itself is compressed, by a short form or a descriptor as JSON."""
    name = json.loads(text)["type"] if text.startswith("{") else text
    return bool(name.startswith("compressed"))


def _bytes(data: Any) -> bytes:
    """The bytes; of a memoryview of a whole bytes object that object itself."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, memoryview):
        owner = data.obj
        if isinstance(owner, bytes) and data.c_contiguous and data.nbytes == len(owner):
            return owner
        return data.tobytes()
    if isinstance(data, bytearray):
        return bytes(data)
    raise WrongTypeError(f"data: bytes are expected, and this is a {type(data).__qualname__}", operation="decode")


def _reference(reference: Any) -> _coldframe.Reference:
    if not isinstance(reference, Mapping):
        raise WrongTypeError(f"reference: a dict is expected, and this is a {type(reference).__qualname__}")
    try:
        text = json.dumps(dict(reference))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"reference: it is no JSON: {error}") from error
    return _coldframe.Reference(text)
