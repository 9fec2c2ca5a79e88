"""JSON values that come back equal, and a clear refusal of all others."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from coldframe.errors import InvalidInputError, MissingLibraryError, UnsupportedError
from coldframe.wording import class_name, path_text, show

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

LIBRARIES = ("json", "orjson")
"""The libraries that may write the text. It is plain JSON either way."""

DEEPEST = 127
"""So many lists and dicts may lie in one another: the core's parser refuses the next."""

LEAST_INTEGER = -(2**63)
GREATEST_INTEGER = 2**64 - 1

SCALARS = frozenset({type(None), bool, int, float, str})
_EXACT = SCALARS | {list, dict}
_PICKLE = 'serializer="pickle"'
REFERENCE_HINT = "put its text, `reference.json()`, and read it with `ResultReference.from_json`"
_PYDANTIC = 'with pydantic installed, serializer="json" takes it, and names what is lost'


def dump(value: object, lib: str = "json") -> str:
    """The JSON text of `value`, if it comes back equal and of the same types.

    That are None, bool, int from -2^63 to 2^64-1, finite float, str, list, and dict with str keys, whose order is kept.
    Subclasses of these types are refused. `lib` is `json` or `orjson`.

    Raises `UnsupportedError` that names the path of what cannot be kept, such as `value["a"][3]`;
    `InvalidInputError` for an unknown library, `MissingLibraryError` for one that is not installed.
    """
    encode = encoder(lib)
    check_exact(value)
    return encode(value)


def prepare_json(value: object, lib: str = "json", explicit: bool = False) -> tuple[str, list[dict[str, str]]]:
    """The JSON text of `value`, and what is lost on the way: `[{"path": "value", "loses": "…"}]`.

    What comes back equal loses nothing. Other values go through pydantic, if the caller chose `json` (`explicit`), or
    if the value is a pydantic model or a pydantic dataclass. A model is then read back once, to say truly whether
    `get(..., type=...)` restores it.

    Raises as `dump`, and `UnsupportedError` for what pydantic does not take either.
    """
    from coldframe import pydantic_values

    encode = encoder(lib)
    if pydantic_values.is_model(value):
        json_value, losses = pydantic_values.to_json_value(value)
        return encode(json_value), losses
    try:
        check_exact(value)
    except UnsupportedError:
        if not explicit or not pydantic_values.is_installed():
            raise
        json_value, losses = pydantic_values.to_json_value(value)
        return encode(json_value), losses
    return encode(value), []


def restore(json_value: object, type: Any) -> Any:
    """The value of `type` that pydantic makes of a JSON value: a model, a dataclass, `list[datetime]`, …

    Raises `MissingLibraryError` without pydantic, and `InvalidInputError` if it knows no such type, or finds that the
    value is none.
    """
    return restore_text(dump(json_value), type)


def restore_text(text: str, type: Any) -> Any:
    """As `restore`, from the JSON text, which saves a step."""
    from coldframe import pydantic_values

    return pydantic_values.from_json_text(text, type)


def encoder(lib: str) -> Callable[[Any], str]:
    """The function of `lib` that makes the text of a value that was checked before.

    Raises `InvalidInputError` for an unknown library, `MissingLibraryError` for one that is not installed.
    """
    check_library(lib)
    if lib == "json":
        return _dump_with_json
    try:
        import orjson
    except ImportError:
        raise MissingLibraryError("`orjson` is not installed", hint="`pip install orjson`, or use lib='json'") from None
    return lambda value: orjson.dumps(value).decode()


def check_library(lib: object) -> None:
    """Refuses, with `InvalidInputError`, what is no library for JSON."""
    if type(lib) is not str or lib not in LIBRARIES:
        raise InvalidInputError(
            f"serializer `json`: `lib` is {show(lib)}", hint=f"the libraries are {' and '.join(LIBRARIES)}"
        )


def check_exact(value: object) -> None:
    """Refuses what would not come back equal from JSON, or is nested too deep.

    Raises `UnsupportedError` with the path. It needs no recursion.
    """
    path: list[str | int] = []
    if type(value) is not list and type(value) is not dict:
        reason = _reason(value)
        if reason is not None:
            raise UnsupportedError(f"value: {reason[0]}", hint=reason[1])
        return
    ancestors = {id(value)}
    stack = [(id(value), _nested(value, path))]
    while stack:
        identity, children = stack[-1]
        found = next(children, None)
        if found is None:
            stack.pop()
            ancestors.discard(identity)
            if stack:
                path.pop()
            continue
        step, child = found
        path.append(step)
        if id(child) in ancestors:
            raise cycle(path_text(path))
        if len(stack) == DEEPEST:
            raise too_deep()
        ancestors.add(id(child))
        stack.append((id(child), _nested(child, path)))


def cycle(path: str) -> UnsupportedError:
    """The error for a value that holds itself."""
    return UnsupportedError(f"{path}: it holds itself, which JSON cannot say", hint='use serializer="pickle"')


def too_deep() -> UnsupportedError:
    """The error for a value that is nested deeper than the core's parser goes."""
    return UnsupportedError(
        f"value: it is nested deeper than {DEEPEST} levels, which is as far as JSON goes here",
        hint='make it flatter, or use serializer="pickle"',
    )


def _dump_with_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _nested(container: Any, path: list[str | int]) -> Iterator[tuple[str | int, Any]]:
    """Checks the scalars of a list or dict, and gives the lists and dicts in it with their steps."""
    if type(container) is dict:
        for key in container:
            if type(key) is not str or (not key.isascii() and is_broken(key)):
                raise _wrong_key(key, path)
    nested = []
    for step, item in container.items() if type(container) is dict else enumerate(container):
        kind = type(item)
        # `_reason` says all of this as well; the common cases are told here, without a call for each.
        if kind is str and item.isascii():
            continue
        if kind is int and LEAST_INTEGER <= item <= GREATEST_INTEGER:
            continue
        if kind is float and math.isfinite(item):
            continue
        if kind is list or kind is dict:
            nested.append((step, item))
            continue
        reason = _reason(item)
        if reason is not None:
            raise UnsupportedError(f"{path_text([*path, step])}: {reason[0]}", hint=reason[1])
    return iter(nested)


def is_broken(text: str) -> bool:
    """Whether it has half of a surrogate pair, so that it has no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _wrong_key(key: object, path: list[str | int]) -> UnsupportedError:
    if type(key) is str:
        return UnsupportedError(
            f"{path_text(path)}: the key {show(key)} has half of a surrogate pair, which is no text",
            hint=f"mend it, or use {_PICKLE}",
        )
    return UnsupportedError(
        f"{path_text(path)}: {show(key)} is a key, and JSON has str keys only",
        hint=f"use str keys, or {_PICKLE}; {_PYDANTIC}",
    )


def _reason(item: object) -> tuple[str, str] | None:
    """Why a value does not come back equal, and the way out; None if it does, or is a container to look into."""
    kind = type(item)
    if kind is int:
        if LEAST_INTEGER <= item <= GREATEST_INTEGER:  # type: ignore[operator]
            return None
        return "an int of more than 64 bits would not come back exactly", f"use `str(...)`, or {_PICKLE}"
    if kind is float:
        if math.isfinite(item):  # type: ignore[arg-type]
            return None
        return f"JSON has no {item}", f"use None, or {_PICKLE}"
    if kind is str:
        if not is_broken(item):  # type: ignore[arg-type]
            return None
        return "the text has half of a surrogate pair, which is no text", f"mend it, or use {_PICKLE}"
    return None if kind in _EXACT else _reason_of_type(item)


def _reason_of_type(item: object) -> tuple[str, str]:
    name = class_name(type(item))
    if is_numpy(item):
        if hasattr(item, "tolist") and getattr(item, "ndim", None):
            hint = f"put it as a column of a frame, use `.tolist()`, or {_PICKLE}"
            return f"a numpy.{name} is no JSON value", hint
        return f"a numpy.{name} is no JSON value", f"use `.item()`, or {_PICKLE}"
    bases: tuple[tuple[type, str], ...] = (
        (list, "list"),
        (tuple, "list"),
        (dict, "dict"),
        (set, "list"),
        (frozenset, "list"),
    )
    for base, way in bases:
        if isinstance(item, base):
            return f"a {name} would come back as a {way}", f"use `{way}(...)`, or {_PICKLE}; {_PYDANTIC}"
    if _is_taken_by_pydantic(item):
        return f"a {name} is no JSON value", f"use {_PICKLE}; {_PYDANTIC}"
    for scalar in (bool, int, float, str):
        if isinstance(item, scalar):
            return (
                f"a {name} would come back as a plain {scalar.__name__}",
                f"use `{scalar.__name__}(...)`, or {_PICKLE}",
            )
    if isinstance(item, (bytes, bytearray, memoryview)):
        return f"JSON has no {name}", f'put bytes alone with serializer="bytes", or use {_PICKLE}'
    if type(item).__module__ == "coldframe.reference":
        return f"a {name} is no JSON value", REFERENCE_HINT
    if hasattr(item, "__arrow_c_stream__") or hasattr(item, "__arrow_c_array__"):
        return (
            f"a {name} is a table or a column, and no JSON value",
            f"put each frame under its own key, or use {_PICKLE}",
        )
    return f"a {name} is no JSON value", f"use {_PICKLE}"


def _is_taken_by_pydantic(item: object) -> bool:
    modules = ("datetime", "decimal", "uuid", "pathlib")
    is_data = dataclasses.is_dataclass(item) and not isinstance(item, type)
    return (
        is_data
        or isinstance(item, Enum)
        or type(item).__module__.partition(".")[0] in modules
        or hasattr(type(item), "__pydantic_serializer__")
    )


def is_numpy(item: object) -> bool:
    """Whether it is a scalar or an array of numpy."""
    return type(item).__module__.partition(".")[0] == "numpy"
