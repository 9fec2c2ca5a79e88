"""Values that pydantic turns into JSON, with what is lost named, and back."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

from coldframe.errors import ColdframeError, InvalidInputError, MissingLibraryError, UnsupportedError
from coldframe.json_values import (
    DEEPEST,
    REFERENCE_HINT,
    SCALARS,
    JsonValue,
    check_exact,
    cycle,
    is_numpy,
    too_deep,
)
from coldframe.wording import class_name, path_text

_MOST_LOSSES = 20
_SEQUENCES = (list, tuple, set, frozenset, deque)
_ABSENT = object()


def is_installed() -> bool:
    """Whether pydantic can be imported."""
    return "pydantic" in sys.modules or importlib.util.find_spec("pydantic") is not None


def is_model(value: object) -> bool:
    """Whether it is an instance of a pydantic model or of a pydantic dataclass. Does not import pydantic."""
    if isinstance(value, type) or "pydantic" not in sys.modules:
        return False
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return bool(getattr(kind, "__is_pydantic_dataclass__", False))
    return isinstance(value, sys.modules["pydantic"].BaseModel)


def to_json_value(value: object) -> tuple[JsonValue, list[dict[str, str]]]:
    """The JSON value that pydantic makes of `value`, and what is lost: `[{"path": "value", "loses": "…"}]`.

    At most twenty losses are named; places in one list that lose the same are one. Where `get(..., type=...)` is said
    to restore the value, that was tried.

    Raises `UnsupportedError` naming the path of what pydantic does not take, of a number that JSON cannot hold, of a
    secret, of which JSON keeps asterisks, of two keys that become one, and of values that hold themselves.
    """
    conversion = _Conversion()
    json_value = conversion.convert(value, [], 0)
    check_exact(json_value)
    return json_value, conversion.named(value, json_value)


def from_json_text(text: str, type: Any) -> Any:
    """The value of `type` that pydantic makes of a JSON text.

    Raises `MissingLibraryError` without pydantic, and `InvalidInputError` if it knows no such type, or finds that the
    value is none.
    """
    if not is_installed():
        raise MissingLibraryError("`type=` needs pydantic, which is not installed", hint="`pip install pydantic`")
    import pydantic

    name = getattr(type, "__qualname__", None) or str(type)
    try:
        return pydantic.TypeAdapter(type).validate_json(text)
    except (pydantic.errors.PydanticUserError, NameError, TypeError) as error:
        raise InvalidInputError(
            f"pydantic cannot make a value of type `{name}`: {_first_line(error)}",
            hint="give a model, a dataclass, or a type such as list[int]",
        ) from error
    except pydantic.ValidationError as error:
        raise InvalidInputError(
            f"the stored value is no `{name}`: {_validation_text(error)}",
            hint="give the type that it was made from, or none, for the plain JSON value",
        ) from None


class _Conversion:
    """One walk through a value: makes the JSON value and gathers what is lost."""

    def __init__(self) -> None:
        self._losses: dict[tuple[str, str], None] = {}
        self._ancestors: set[int] = set()

    def convert(self, value: Any, path: list[str | int], depth: int) -> Any:
        kind = type(value)
        if kind in SCALARS:
            return value
        if is_numpy(value):
            check_exact_at(value, path)
        is_model_or_dataclass = is_model(value) or dataclasses.is_dataclass(value)
        if is_model_or_dataclass or not isinstance(value, (*_SEQUENCES, dict)):
            return self._leaf(value, path)
        if id(value) in self._ancestors:
            raise cycle(path_text(path))
        if depth == DEEPEST:
            raise too_deep()
        self._ancestors.add(id(value))
        converted = self._dict(value, path, depth) if isinstance(value, dict) else self._sequence(value, path, depth)
        self._ancestors.discard(id(value))
        if kind is not type(converted):
            self._lose(path, type(converted), kind)
        return converted

    def _sequence(self, value: Any, path: list[str | int], depth: int) -> list[Any]:
        if set(map(type, value)) <= SCALARS:
            return list(value)
        return [self.convert(item, [*path, position], depth + 1) for position, item in enumerate(value)]

    def _dict(self, value: dict[Any, Any], path: list[str | int], depth: int) -> dict[str, Any]:
        converted: dict[str, Any] = {}
        for key, item in value.items():
            name = key if type(key) is str else self._key(key, path)
            if name in converted:
                raise UnsupportedError(
                    f"{path_text(path)}: two keys become `{name[:60]}` in JSON", hint='use serializer="pickle"'
                )
            converted[name] = self.convert(item, [*path, name], depth + 1)
        return converted

    def _key(self, key: Any, path: list[str | int]) -> str:
        if is_numpy(key):
            check_exact_at(key, path)
        name = next(iter(_by_pydantic({key: None}, path)))
        name = str.__str__(name) if isinstance(name, str) else str(name)
        self._losses[(path_text([*path, name]), f"its key comes back as str, not {class_name(type(key))}")] = None
        return name

    def _leaf(self, value: Any, path: list[str | int]) -> Any:
        if isinstance(value, Iterator):
            raise UnsupportedError(
                f"{path_text(path)}: a {class_name(type(value))} would be used up by writing it",
                hint="use `list(...)`",
            )
        converted = _by_pydantic(value, path)
        check_exact_at(converted, path)
        _refuse_hidden(value, path, converted)
        self._lose(path, type(converted), type(value))
        return converted

    def _lose(self, path: list[str | int], back: type, kind: type) -> None:
        pattern = path_text(path) if not any(isinstance(step, int) for step in path) else _pattern(path)
        self._losses[(pattern, f"it comes back as {back.__name__}, not {class_name(kind)}")] = None

    def named(self, value: object, json_value: JsonValue) -> list[dict[str, str]]:
        """The losses, with what is known about restoring the whole."""
        kind = type(value)
        named = []
        for path, loses in sorted(self._losses, key=lambda loss: loss[0] != "value"):
            if path == "value" and loses.startswith("it comes back"):
                loses = f"{loses}{_restoring(value, kind, json_value)}"
            named.append({"path": path, "loses": loses})
        if len(named) > _MOST_LOSSES:
            more = len(named) - _MOST_LOSSES + 1
            named = named[: _MOST_LOSSES - 1]
            named.append({"path": "value", "loses": f"{more} more places come back as other types"})
        return named


def check_exact_at(value: object, path: list[str | int]) -> None:
    """As `check_exact`, of a value that lies at `path`."""
    try:
        check_exact(value)
    except UnsupportedError as error:
        inside = error.message.removeprefix("value")
        raise UnsupportedError(path_text(path) + inside, hint=error.hint) from None


def _by_pydantic(value: Any, path: list[str | int]) -> Any:
    import pydantic_core

    try:
        return pydantic_core.to_jsonable_python(value, round_trip=True)
    except RecursionError:
        raise too_deep() from None
    except (pydantic_core.PydanticSerializationError, ValueError, TypeError) as error:
        if "ircular" in str(error):
            raise cycle(path_text(path)) from error
        hint = 'use serializer="pickle"'
        if _is_attrs(value):
            hint = f"use `attrs.asdict(...)`, or {hint.removeprefix('use ')}"
        elif type(value).__module__ == "coldframe.reference":
            hint = REFERENCE_HINT
        raise UnsupportedError(
            f"{path_text(path)}: pydantic makes no JSON of a {class_name(type(value))}: {_first_line(error)}",
            hint=hint,
        ) from error


def _refuse_hidden(value: Any, path: list[str | int], json_value: Any) -> None:
    """Refuses what pydantic changes in silence inside a model: nan, infinity, which may become null, and secrets."""
    pending: list[tuple[list[str | int], Any, int]] = [(path, value, 0)]
    while pending:
        at, found, depth = pending.pop()
        # A serializer that always gives another model would never end.
        if depth > 4 * DEEPEST:
            raise too_deep()
        if isinstance(found, float):
            if not math.isfinite(found):
                check_exact_at(float(found), at)
        elif _is_secret(found):
            _refuse_masked(found, at, _inside(json_value, at[len(path) :]))
        else:
            for step, item in _parts(found):
                pending.append((at if step is None else [*at, step], item, depth + 1))


def _parts(found: Any) -> Iterator[tuple[str | int | None, Any]]:
    """What lies directly in a value, each with the step to it: None for what a model says that it is."""
    if hasattr(type(found), "__pydantic_serializer__") and not isinstance(found, type):
        dumped = type(found).__pydantic_serializer__.to_python(found, round_trip=True)
        # URLs give themselves.
        if type(dumped) is not type(found):
            yield None, dumped
    elif dataclasses.is_dataclass(found) and not isinstance(found, type):
        for field in dataclasses.fields(found):
            yield field.name, getattr(found, field.name)
    elif isinstance(found, dict):
        for key, item in found.items():
            yield str(key), item
    elif isinstance(found, _SEQUENCES):
        yield from enumerate(found)


def _is_secret(value: object) -> bool:
    return type(value).__module__ != "builtins" and callable(getattr(type(value), "get_secret_value", None))


def _refuse_masked(secret: Any, path: list[str | int], json_value: Any) -> None:
    """Refuses a secret, unless the model itself says how to write it, or there is nothing in it."""
    # The text of secret bytes has `b'…'` around the asterisks that JSON holds.
    masked = isinstance(json_value, str) and json_value in str(secret)
    if json_value is not _ABSENT and (not masked or not secret.get_secret_value()):
        return
    raise UnsupportedError(
        f"{path_text(path)}: of a {class_name(type(secret))} JSON keeps only asterisks, so the value would be lost",
        hint="leave the field out with Field(exclude=True); "
        "or, if the secret may be stored in the open, put its `get_secret_value()`",
    )


def _inside(json_value: Any, steps: list[str | int]) -> Any:
    """What lies in a JSON value behind these steps; `_ABSENT` if there is no such place."""
    for step in steps:
        try:
            json_value = json_value[step]
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return json_value


def _restoring(value: object, kind: type, json_value: JsonValue) -> str:
    """Whether `get(..., type=kind)` gives `value` again; it is tried."""
    name = class_name(kind)
    try:
        restored = from_json_text(json.dumps(json_value), kind)
        equal = type(restored) is kind and bool(restored == value)
    except ColdframeError:
        return f", and get(..., type={name}) cannot restore it"
    except Exception:
        # Validators and `==` are the user's code: what they raise is no reason to refuse the value.
        return f", and get(..., type={name}) may not restore it"
    if equal:
        return f": get(..., type={name}) restores it"
    return f", and get(..., type={name}) gives one that is not equal"


def _is_attrs(value: object) -> bool:
    return hasattr(type(value), "__attrs_attrs__")


def _pattern(path: list[str | int]) -> str:
    """The path with `[*]` for positions, so that a long list is one place."""
    parts: list[str] = []
    run: list[str | int] = []
    for step in path:
        if isinstance(step, int):
            parts.append(path_text(run).removeprefix("value") + "[*]")
            run = []
        else:
            run.append(step)
    return "value" + "".join(parts) + path_text(run).removeprefix("value")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _validation_text(error: Any) -> str:
    """The first faults, without the stored values, which may be secret."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    texts = [f"at {'.'.join(map(str, fault['loc'])) or 'the top'}: {fault['msg']}" for fault in faults[:3]]
    more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    return "; ".join(texts) + more
