"""Stored values that are no tables, on their way out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from coldframe import _coldframe, json_values, serializers
from coldframe.errors import InvalidInputError


def value(opened: _coldframe.Opened, *, allow_pickle: bool, type: Any) -> Any:
    """The JSON value, the bytes, or what a Python serializer makes of them."""
    if opened.kind in ("json", "literal"):
        text = opened.json() or "null"
        return json.loads(text) if type is None else json_values.restore_text(text, type)
    descriptor = json.loads(opened.reference.json())["serializer"]
    if type is not None:
        raise InvalidInputError(
            f"type: it is for JSON values, and this result was put by serializer `{_innermost(descriptor)}`",
            hint="leave type out",
            subject=str(opened.reference.key),
        )
    reader = serializers.reader(descriptor)
    if reader is None:
        return opened.bytes() or b""
    if reader.descriptor["type"] == "pickle" and not allow_pickle:
        # Says why, before anything is read.
        reader.loads(b"", allow_pickle=False)
    return reader.loads(opened.bytes() or b"", allow_pickle=allow_pickle)


def _innermost(descriptor: Mapping[str, Any]) -> str:
    name = descriptor["type"]
    return _innermost(descriptor["inner"]) if name == "compressed" else str(name)
