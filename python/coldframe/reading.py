"""Stored values that are no tables, on their way out."""

from __future__ import annotations

import json
from typing import Any

from coldframe import _coldframe, json_values, serializers
from coldframe.errors import InvalidInputError


def value(opened: _coldframe.Opened, *, allow_pickle: bool, type: Any) -> Any:
    """The JSON value, the bytes, or what a Python serializer makes of them."""
    if opened.kind in ("json", "literal"):
        text = opened.json() or "null"
        return json.loads(text) if type is None else json_values.restore_text(text, type)
    if type is not None:
        raise InvalidInputError(
            "type: it is for JSON values, and this result is none", subject=str(opened.reference.key)
        )
    descriptor = json.loads(opened.reference.json())["serializer"]
    reader = serializers.reader(descriptor)
    if reader is None:
        return opened.bytes() or b""
    if reader.descriptor["type"] == "pickle" and not allow_pickle:
        # Says why, before anything is read.
        reader.loads(b"", allow_pickle=False)
    return reader.loads(opened.bytes() or b"", allow_pickle=allow_pickle)
