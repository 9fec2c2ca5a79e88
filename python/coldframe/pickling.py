"""Pickles: written with a record of who wrote them, and read only with permission."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from coldframe.errors import ColdframeError, InvalidInputError, MissingLibraryError, PickleDeniedError, UnsupportedError
from coldframe.wording import class_name, show

LIBRARIES = ("pickle", "cloudpickle", "dill")
"""The libraries that may write a pickle."""

PROTOCOL = 5
"""The protocol where none is chosen: large buffers are copied once."""


def check_settings(lib: object, protocol: object) -> None:
    """Refuses, with `InvalidInputError`, a library or a protocol that there is not."""
    if type(lib) is not str or lib not in LIBRARIES:
        libraries = f"the libraries are {', '.join(LIBRARIES[:-1])} and {LIBRARIES[-1]}"
        raise InvalidInputError(f"serializer `pickle`: `lib` is {show(lib)}", hint=libraries)
    if protocol is None:
        return
    import pickle

    if type(protocol) is not int or not 0 <= protocol <= pickle.HIGHEST_PROTOCOL:
        raise InvalidInputError(
            f"serializer `pickle`: `protocol` is {show(protocol)}",
            hint=f"the protocols are 0 to {pickle.HIGHEST_PROTOCOL}; the default is {PROTOCOL}",
        )


def describe(lib: str = "pickle", protocol: int | None = None) -> dict[str, Any]:
    """The descriptor: the library with its version, the Python version, and the protocol.

    Raises `MissingLibraryError` if the library is not installed.
    """
    import platform

    check_settings(lib, protocol)
    descriptor: dict[str, Any] = {"type": "pickle", "lib": lib}
    if lib != "pickle":
        descriptor["lib_version"] = _version(_library(lib))
    descriptor["python"] = platform.python_version()
    descriptor["protocol"] = PROTOCOL if protocol is None else protocol
    return descriptor


def dumps(value: object, lib: str = "pickle", protocol: int | None = None) -> bytes:
    """The pickle of `value`.

    It lies in memory whole, beside the value: about one more copy of large arrays and bytes. What is larger than that
    belongs into a frame, which is streamed.

    Raises `UnsupportedError` that names the path of what cannot be pickled (`value.model.layers[2].lock`), and
    `MissingLibraryError` if the library is not installed.
    """
    check_settings(lib, protocol)
    library = _library(lib)
    protocol = PROTOCOL if protocol is None else protocol
    return dump(value, lambda part, file: library.dump(part, file, protocol=protocol), lib)


def dump(value: object, write: Callable[[Any, Any], None], lib: str) -> bytes:
    """The pickle of `value` that `write(value, file)` writes, a pickler of `lib`.

    Raises as `dumps`.
    """
    import io

    from coldframe import pickle_culprit

    file = io.BytesIO()
    try:
        write(value, file)
    except MemoryError:
        raise
    except RecursionError as error:
        raise UnsupportedError(
            "value: it is nested too deep to be pickled", hint="make it flatter, or raise sys.setrecursionlimit(...)"
        ) from error
    except Exception as error:
        found = pickle_culprit.find(value, write, error)
        raise UnsupportedError(
            f"{found.path}: {_text(found.error)}", hint=_way_out(found.value, found.error, lib)
        ) from error
    return file.getvalue()


def loads(data: bytes | memoryview, descriptor: Mapping[str, Any], *, allow_pickle: bool) -> Any:
    """The value in a pickle that `descriptor` describes.

    Loading runs code that the writer of the pickle chose, so it needs `allow_pickle=True`. In memory lie the bytes and
    the value.

    Raises `PickleDeniedError` without that permission; `UnsupportedError` if the pickle cannot be loaded, naming the
    versions of the writer and the reader, and a module that is missing.
    """
    if allow_pickle is not True:
        raise PickleDeniedError(
            f"the value is a pickle, {_written_by(descriptor)}, and loading one runs code that its writer chose",
            hint="if you trust whoever could write to this storage: get(..., allow_pickle=True)",
        )
    unpickle = _loader(descriptor)
    return load(lambda: unpickle(data), descriptor)


def load(unpickle: Callable[[], Any], descriptor: Mapping[str, Any]) -> Any:
    """The value that `unpickle` gives, of a pickle that `descriptor` describes.

    Raises UnsupportedError as `loads`; errors of coldframe's own pass as they are.
    """
    try:
        return unpickle()
    except (ColdframeError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        missing = error.name or str(error)
        package = missing.partition(".")[0]
        raise _unloadable(
            descriptor, f"module `{missing}` is not here", f"install `{package}`, or make it importable"
        ) from error
    except AttributeError as error:
        hint = "the class or function has to be importable here under the name that it had there"
        raise _unloadable(descriptor, _text(error), hint) from error
    except Exception as error:
        raise _unloadable(descriptor, _text(error), "read it with the versions that wrote it") from error


def _loader(descriptor: Mapping[str, Any]) -> Callable[[bytes | memoryview], Any]:
    lib = descriptor.get("lib", "pickle")
    if descriptor.get("type") != "pickle" or lib not in LIBRARIES:
        # A library is never imported because a stored descriptor names it.
        raise UnsupportedError(
            f"the value is no pickle that can be loaded here: it was {_written_by(descriptor)}",
            hint=f"the libraries are {', '.join(LIBRARIES)}",
        )
    if lib == "dill":
        dill_loads: Callable[[bytes | memoryview], Any] = _library("dill").loads
        return dill_loads
    import pickle

    # What cloudpickle writes, pickle reads; it imports cloudpickle only where it needs it.
    return pickle.loads


def _unloadable(descriptor: Mapping[str, Any], why: str, hint: str) -> UnsupportedError:
    import platform

    here = f"this is Python {platform.python_version()}"
    lib = descriptor.get("lib")
    if lib in LIBRARIES and lib != "pickle":
        try:
            here += f" with {lib} {_version(importlib.import_module(str(lib)))}"
        except ImportError:
            here += f" without {lib}"
    return UnsupportedError(f"the pickle cannot be loaded: {why} ({_written_by(descriptor)}; {here})", hint=hint)


def _written_by(descriptor: Mapping[str, Any]) -> str:
    lib, version, python = (_short(descriptor.get(name)) for name in ("lib", "lib_version", "python"))
    text = f"written by Python {python or 'of an unknown version'}"
    return text if lib in ("", "pickle") else f"{text} with {lib} {version}".rstrip()


def _short(fact: object) -> str:
    """A fact of a stored descriptor, which may be anything."""
    if not isinstance(fact, str):
        return ""
    return "".join(character if character.isprintable() else "?" for character in fact[:60])


def _library(lib: str) -> Any:
    try:
        return importlib.import_module(lib)
    except ImportError as error:
        raise MissingLibraryError(f"`{lib}` is not installed", hint=f"`pip install {lib}`") from error


def _version(library: Any) -> str:
    return str(getattr(library, "__version__", "unknown"))


def _text(error: BaseException) -> str:
    text = " ".join((error.message if isinstance(error, ColdframeError) else str(error)).split())
    return text[:500] or type(error).__name__


def _way_out(culprit: object, error: BaseException, lib: str) -> str:
    """What the caller may do about a part that cannot be pickled."""
    is_code = isinstance(culprit, type) or hasattr(culprit, "__code__")
    is_local = "<locals>" in getattr(type(culprit), "__qualname__", "") or "local object" in str(error)
    if lib == "pickle" and (is_code or is_local):
        return (
            "pickle knows functions and classes by their name only: define it at the top of a module, or use "
            'serializer=coldframe.Pickle(lib="cloudpickle"), which takes lambdas and local classes along '
            "(`pip install cloudpickle`)"
        )
    kind = type(culprit)
    if kind.__name__ == "generator":
        return "make a list of it first: `list(...)`"
    return (
        f"leave the {class_name(kind)} out: define `__getstate__` (or `__reduce__`) on what holds it, or take it away "
        "before the put"
    )
