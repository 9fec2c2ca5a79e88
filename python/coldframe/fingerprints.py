"""Fingerprints: a hash of what a value says, whatever its bytes are."""

from __future__ import annotations

from typing import Any

from coldframe import _coldframe, frames, json_values, putting, values
from coldframe.errors import UnsupportedError
from coldframe.wording import class_name

__all__ = ["fingerprint"]


def fingerprint(value: Any) -> str:
    """The fingerprint of a frame or JSON value: `fp1:` and 32 hexadecimal digits.

    Two frames have one fingerprint if their columns have the same names, order and types, and the same rows in the same
    order. Chunks, dictionaries (categories), and the ways in which text lies in memory do not count, nor do metadata
    and what is under nulls. It is the hash that a put keeps in its reference (`reference.fingerprint`), so it tells
    whether a result is what is in hand, without reading it.

    >>> import coldframe, polars, pyarrow
    >>> frame = polars.DataFrame({"town": ["Cork", "Ystad"]})
    >>> coldframe.fingerprint(frame)
    'fp1:bbc7468ee48a79f80552f1f216dd98c9'
    >>> coldframe.fingerprint(frame) == coldframe.fingerprint(pyarrow.table({"town": ["Cork", "Ystad"]}))
    True
    >>> coldframe.fingerprint({"rate": 0.5, "on": True}) == coldframe.fingerprint({"on": True, "rate": 0.5})
    True

    Args:
        value: What `Store.put` takes as a frame or as JSON. A reader that can be read only once is read to its end. A
            frame of pandas counts as the Arrow table that a put makes of it: with its index, unless that is a
            RangeIndex, which is no column there.

    Raises UnsupportedError for bytes and other objects, and for JSON with whole numbers that no double is; what a put
    raises for frames that cannot be stored.
    """
    kind = values.classify(value)
    if kind in ("frame?", "object"):
        frame = frames.prepare(value)
        if frame is not None:
            return _coldframe.fingerprint(putting.table(frame))
    elif kind != "bytes":
        text, _ = json_values.prepare_json(value)
        return _coldframe.fingerprint(_coldframe.Content.from_json(text))
    name = class_name(type(value))
    raise UnsupportedError(
        f"value: frames and JSON values have fingerprints, and this is a {name}", operation="fingerprint"
    )
