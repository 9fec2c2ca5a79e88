"""Serializers that users write in Python, by name."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, overload, runtime_checkable

from coldframe.errors import ColdframeError, InvalidInputError, MissingSerializerError, UnsupportedError
from coldframe.json_values import check_exact
from coldframe.wording import class_name, show

BUILT_IN = ("parquet", "arrow", "json", "bytes", "compressed", "pickle", "literal")
"""The names that cannot be registered."""

CODECS = {
    "zstd": '"parquet/zstd" or "compressed(zstd)/json"',
    "gzip": '"parquet/gzip" or "compressed(gzip)/json"',
    "lz4": '"parquet/lz4", "arrow/lz4" or "compressed(lz4)/json"',
    "snappy": '"parquet/snappy"',
    "bzip2": '"compressed(bzip2)/json"',
    "xz": '"compressed(xz)/json"',
}
"""The codecs, whose names are sometimes taken for serializers, and how each is chosen."""

DEFAULT_EXTENSION = "bin"

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_EXTENSION = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)*", re.ASCII)
_LONGEST_EXTENSION = 24

_registered: dict[str, type[Any]] = {}
_lock = threading.Lock()


@runtime_checkable
class PythonSerializer(Protocol):
    """What a serializer written in Python has.

    It may also have `extension`, the end of its files' names without a dot in front (else `bin`), and
    `settings(self) -> dict`: JSON values that its constructor takes as keywords, kept in each reference.
    """

    name: str

    def dumps(self, value: Any, /) -> bytes:
        """The bytes of `value`."""

    def loads(self, data: bytes, /) -> Any:
        """The value in `data`."""


_Class = TypeVar("_Class", bound=type[Any])


@overload
def register(serializer_class: _Class, *, replace: bool = False) -> _Class: ...


@overload
def register(serializer_class: None = None, *, replace: bool = False) -> Callable[[_Class], _Class]: ...


def register(serializer_class: Any = None, *, replace: bool = False) -> Any:
    """Makes a class known as a serializer under its `name`, in this process; also a decorator.

    Registering the same class again changes nothing; another class takes a name over only with `replace=True`.
    Whoever reads what it wrote has to register it, too.

    >>> import coldframe
    >>> @coldframe.register_serializer
    ... class Shout:
    ...     name = "shout"
    ...     def dumps(self, value):
    ...         return value.upper().encode()
    ...     def loads(self, data):
    ...         return data.decode()
    >>> store = coldframe.Store("memory://")
    >>> reference = store.put("greeting", "hello", serializer="shout")
    >>> store.get("greeting")
    'HELLO'

    Raises `InvalidInputError` for a class that is no serializer, a name that cannot be one, and a name that is taken.
    """
    if serializer_class is None:
        return lambda decorated: register(decorated, replace=replace)
    check_class(serializer_class)
    name: str = serializer_class.name
    with _lock:
        present = _registered.get(name)
        if present is not None and present is not serializer_class and not replace:
            raise InvalidInputError(
                f"there is a serializer `{name}` already: {_class_text(present)}",
                hint="choose another name, or replace it: "
                f"coldframe.register_serializer({class_name(serializer_class)}, replace=True)",
            )
        _registered[name] = serializer_class
    return serializer_class


def find(name: str) -> type[Any]:
    """The class that is registered under `name`.

    Raises `MissingSerializerError` that says how to register it.
    """
    with _lock:
        found = _registered.get(name)
    if found is None:
        raise missing(name)
    return found


def is_registered(serializer_class: type[Any]) -> bool:
    """Whether it is this class that is registered under its name."""
    name = getattr(serializer_class, "name", None)
    with _lock:
        return type(name) is str and _registered.get(name) is serializer_class


def missing(name: str) -> MissingSerializerError:
    """The error for a name that nothing is registered under."""
    import difflib

    with _lock:
        names = [*BUILT_IN, *_registered]
    similar = difflib.get_close_matches(name, [known for known in names if known != "literal"], n=1, cutoff=0.45)
    listed = ", ".join(known for known in names if known != "literal")
    hint = f"there are {listed}; register your own class in this process first: coldframe.register_serializer(TheClass)"
    if name in CODECS:
        hint = f"that is a codec: choose serializer={CODECS[name]}"
    elif similar:
        hint = f"did you mean `{similar[0]}`? Otherwise {hint}"
    return MissingSerializerError(f"there is no serializer {show(name)} here", hint=hint)


def check_class(serializer_class: object) -> None:
    """Refuses, with `InvalidInputError`, a class that cannot be registered."""
    if not isinstance(serializer_class, type):
        instance_of = class_name(type(serializer_class))
        raise InvalidInputError(
            f"register_serializer takes a class, and this is an instance of `{instance_of}`",
            hint=f"give the class itself: coldframe.register_serializer({instance_of})",
        )
    called = class_name(serializer_class)
    name: object = getattr(serializer_class, "name", None)
    if not isinstance(name, str):
        raise InvalidInputError(f"serializer class `{called}` has no `name`", hint='give it one: name = "my-format"')
    if not _NAME.fullmatch(name) or name in BUILT_IN:
        why = "is the name of a built-in serializer" if name in BUILT_IN else "cannot name a serializer"
        raise InvalidInputError(
            f"serializer class `{called}`: {show(name)} {why}",
            hint="names are made of 1 to 64 ASCII letters, digits, `_`, `-` and `.`",
        )
    for method in ("dumps", "loads"):
        if not callable(getattr(serializer_class, method, None)):
            raise InvalidInputError(
                f"serializer class `{called}` has no method `{method}`",
                hint="it needs dumps(self, value) -> bytes and loads(self, data: bytes) -> value",
            )
    extension = getattr(serializer_class, "extension", None)
    # A property is looked at when there is an instance.
    if isinstance(extension, str):
        check_extension(extension, called)


def check_extension(extension: object, called: str) -> str:
    """The extension, if files may end in it; else `InvalidInputError`."""
    if type(extension) is str and len(extension) <= _LONGEST_EXTENSION and _EXTENSION.fullmatch(extension):
        return extension
    raise InvalidInputError(
        f"serializer class `{called}`: {show(extension)} cannot be the extension of a file",
        hint='small letters and digits, with dots between them, such as "npy" or "tar.gz"',
    )


def descriptor_of(serializer: Any) -> dict[str, Any]:
    """The name and the settings of an instance: `{"type": name, **settings}`.

    Raises `InvalidInputError` for settings that are no dict of JSON values, or that are called `type`.
    """
    called = class_name(type(serializer))
    settings = getattr(serializer, "settings", None)
    found = settings() if callable(settings) else {}
    if not isinstance(found, dict) or "type" in found:
        why = "has a setting `type`, which is taken" if isinstance(found, dict) else "has settings that are no dict"
        raise InvalidInputError(f"serializer `{called}` {why}", hint="`settings(self)` gives a dict of its own names")
    settings_found = dict(found)
    try:
        check_exact(settings_found)
    except UnsupportedError as error:
        where = error.message.replace("value", "settings()", 1)
        raise InvalidInputError(
            f"serializer `{called}`: {where}", hint="settings are kept as JSON: use str, int, float, bool, list, dict"
        ) from error
    return {"type": serializer.name, **settings_found}


def from_descriptor(descriptor: Mapping[str, Any]) -> Any:
    """The instance that a descriptor describes, of the class that is registered under its type.

    Raises `MissingSerializerError`, or `InvalidInputError` if the class does not take the settings.
    """
    found = find(descriptor["type"])
    settings = {name: setting for name, setting in descriptor.items() if name != "type"}
    try:
        return found(**settings)
    except (ColdframeError, MemoryError):
        raise
    except Exception as error:
        raise InvalidInputError(
            f"serializer `{descriptor['type']}` ({_class_text(found)}) does not take the settings "
            f"{', '.join(map(show, settings)) or '(none)'}: {error}",
            hint="its constructor has to take as keywords what its `settings()` gives, or gave when this was written",
        ) from error


def _class_text(found: type[Any]) -> str:
    return f"{found.__module__}.{found.__qualname__}"
