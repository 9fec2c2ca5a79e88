"""What kind of value a put was given, and which serializer it gets where none is chosen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Literal

from coldframe.errors import UnsupportedError
from coldframe.json_values import is_numpy
from coldframe.wording import class_name

Kind = Literal["literal", "json", "bytes", "frame?", "object"]

_FRAME_LIBRARIES = frozenset(
    {"pandas", "polars", "pyarrow", "duckdb", "_duckdb", "arro3", "nanoarrow", "geopandas", "modin", "dask", "ibis"}
)


def is_literal(value: object) -> bool:
    """Whether it is None, True or False, which are kept in the reference itself."""
    return value is None or value is True or value is False


def classify(value: object) -> Kind:
    """What kind of value it is, told by its type alone, without looking through it.

    - `literal`: None, True, False. They are kept in the reference.
    - `json`: int, float, str, list, dict, pydantic models and pydantic dataclasses. `prepare_json` may still refuse it.
    - `bytes`: bytes, bytearray, memoryview.
    - `frame?`: what gives Arrow, what comes from a library of frames, a list of such, and iterators. The caller finds
      out whether it is one.
    - `object`: all else. It needs a serializer to be chosen; `needs_choice` is the error.
    """
    from coldframe import pydantic_values

    if is_literal(value):
        return "literal"
    if isinstance(value, type):
        return "object"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes"
    if _gives_arrow(value) or isinstance(value, Iterator):
        return "frame?"
    if type(value) in (list, tuple) and value and _gives_arrow(value[0]):  # type: ignore[index]
        return "frame?"
    if type(value) in (int, float, str, list, dict) or pydantic_values.is_model(value):
        return "json"
    return "object"


def needs_choice(value: object) -> UnsupportedError:
    """The error for a value of kind `object` that was put without a serializer."""
    if isinstance(value, type):
        name = class_name(value)
        return UnsupportedError(
            f"value: the class `{name}` was put, and no value of it", hint=f"did you mean `{name}(...)`?"
        )
    name = class_name(type(value))
    choices = 'choose serializer="json" (pydantic makes JSON of many types, and what is lost is named) or "pickle"'
    if is_numpy(value):
        name = f"numpy.{name}"
        if getattr(value, "ndim", 0):
            choices = 'put it as a column of a frame, or choose serializer="pickle"'
        else:
            choices = 'put `.item()`, or choose serializer="pickle"'
    return UnsupportedError(f"value: no serializer is chosen by itself for a {name}", hint=choices)


def prepare_bytes(value: object) -> tuple[bytes | memoryview, list[dict[str, str]]]:
    """The bytes of `value`, without a copy where it lies in one piece, and what is lost: they come back as bytes.

    Raises `UnsupportedError` if it is neither bytes, bytearray nor memoryview.
    """
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise UnsupportedError(
            f"value: serializer `bytes` holds bytes, and this is a {class_name(type(value))}",
            hint="encode it first (`text.encode()`), or choose another serializer",
        )
    if type(value) is bytes:
        return value, []
    view = memoryview(value)
    data = view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()
    return data, [{"path": "value", "loses": f"it comes back as bytes, not {class_name(type(value))}"}]


def _gives_arrow(value: Any) -> bool:
    if isinstance(value, type):
        return False
    kind = type(value)
    if any(hasattr(kind, name) for name in ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__")):
        return True
    if any(base.__module__.partition(".")[0] in _FRAME_LIBRARIES & sys.modules.keys() for base in kind.__mro__):
        return not isinstance(value, (int, float, str, BaseException))
    return False
