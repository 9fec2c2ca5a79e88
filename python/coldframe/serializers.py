"""What may be given as `serializer=`: a short form, a descriptor, or an instance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from coldframe import json_values, pickling, registration
from coldframe.errors import ColdframeError, InvalidInputError, UnsupportedError
from coldframe.json_values import is_broken
from coldframe.registration import PythonSerializer, find, register
from coldframe.wording import class_name, show

__all__ = [
    "Arrow",
    "Bytes",
    "Choice",
    "Compressed",
    "CoreChoice",
    "Json",
    "Parquet",
    "Pickle",
    "PythonChoice",
    "PythonReader",
    "PythonSerializer",
    "find",
    "reader",
    "register",
    "resolve",
]

_CORE = ("parquet", "arrow", "json", "bytes")
_SHORT_FORMS = (
    "short forms are parquet[(fast|small)][/codec[(level)]], arrow[/codec[(level)]], json, bytes[(media/type)], "
    "pickle[(library)], the name of a registered serializer, and compressed[(codec[(level)])]/<inner>"
)
_PRESETS = ("fast", "default", "small")
_DEFAULT_LEVELS = {"zstd": 1, "gzip": 6}
_DEFAULT_LEVELS_OF_FILES = {"zstd": 3, "gzip": 6, "bzip2": 6, "xz": 6}


@dataclass(frozen=True)
class Parquet:
    """Tables as Parquet, each column encoded as suits its values.

    `compression` is `auto` (chosen for each column), `zstd`, `gzip`, `snappy`, `lz4`, or `none` (also as None); `level`
    goes from 1 to 22 for zstd and from 0 to 9 for gzip, and is the codec's default where None. `preset` is `fast`,
    `default` or `small`: whether time or bytes are more dear. Of the columns named in `bloom_filters`, each row group
    says which values it does not hold: worth its bytes where rows are looked up by keys that come in no order. The
    store checks all of them.

    >>> Parquet(preset="small").descriptor()
    {'type': 'parquet', 'preset': 'small'}
    >>> Parquet(bloom_filters=["order"]).descriptor()
    {'type': 'parquet', 'bloom_filters': ['order']}
    """

    compression: str | None = "auto"
    level: int | None = None
    preset: str = "default"
    bloom_filters: Sequence[str] = ()
    type_name: ClassVar[str] = "parquet"

    def __post_init__(self) -> None:
        _check_codec("parquet", "compression", self.compression, self.level)
        if type(self.preset) is not str:
            raise InvalidInputError(
                f"serializer `parquet`: `preset` is {show(self.preset)}", hint="the presets are fast, default and small"
            )
        columns: object = () if self.bloom_filters is None else self.bloom_filters
        named = isinstance(columns, list | tuple) and all(type(column) is str for column in columns)
        if not isinstance(columns, list | tuple) or not named:
            raise InvalidInputError(
                f"serializer `parquet`: `bloom_filters` is {show(columns)}", hint="give a list of names of columns"
            )
        # A tuple is equal to another with the same names, and can be hashed.
        object.__setattr__(self, "bloom_filters", tuple(columns))

    def descriptor(self) -> dict[str, Any]:
        """Name and settings: `{"type": "parquet", "compression": "zstd", "level": 1}`."""
        preset = {} if self.preset == "default" else {"preset": self.preset}
        blooms = {"bloom_filters": list(self.bloom_filters)} if self.bloom_filters else {}
        codec = "zstd" if self.compression == "auto" and self.level is not None else self.compression
        if codec == "auto":
            return {"type": "parquet", **preset, **blooms}
        settings = _codec_settings("compression", codec, self.level, _DEFAULT_LEVELS)
        return {"type": "parquet", **preset, **settings, **blooms}


@dataclass(frozen=True)
class Arrow:
    """Tables as Arrow IPC files, which hold every Arrow type.

    `compression` is `none` (also as None), `lz4` or `zstd`; `level` goes from 1 to 22 for zstd. The store checks both.
    """

    compression: str | None = None
    level: int | None = None
    type_name: ClassVar[str] = "arrow"

    def __post_init__(self) -> None:
        _check_codec("arrow", "compression", self.compression, self.level)

    def descriptor(self) -> dict[str, Any]:
        """Name and settings: `{"type": "arrow", "compression": "none"}`."""
        return {"type": "arrow", **_codec_settings("compression", self.compression, self.level, _DEFAULT_LEVELS)}


@dataclass(frozen=True)
class Json:
    """JSON values as text; `lib`, which writes it, is `json` or `orjson`. The stored bytes are the same kind of text.

    Chosen explicitly, it also takes what pydantic makes JSON of, and what is lost is named in the reference.
    """

    lib: str = "json"
    type_name: ClassVar[str] = "json"

    def __post_init__(self) -> None:
        json_values.encoder(self.lib)

    def descriptor(self) -> dict[str, Any]:
        """`{"type": "json"}`: which library wrote the text matters to no reader."""
        return {"type": "json"}


@dataclass(frozen=True)
class Bytes:
    """Raw bytes; `media_type`, such as `image/png`, says what they are."""

    media_type: str | None = None
    type_name: ClassVar[str] = "bytes"

    def __post_init__(self) -> None:
        _check_type("bytes", "media_type", self.media_type, str)

    def descriptor(self) -> dict[str, Any]:
        """Name and settings: `{"type": "bytes", "media_type": "image/png"}`."""
        return {"type": "bytes"} if self.media_type is None else {"type": "bytes", "media_type": self.media_type}


@dataclass(frozen=True)
class Pickle:
    """Any Python value as a pickle, written by `pickle`, `cloudpickle` or `dill`.

    `protocol` is 5 where None. The pickle lies in memory whole before it is written. Whoever reads it needs
    `get(..., allow_pickle=True)`, since loading a pickle runs code that its writer chose.
    """

    lib: str = "pickle"
    protocol: int | None = None
    type_name: ClassVar[str] = "pickle"
    extension: ClassVar[str] = "pkl"

    def __post_init__(self) -> None:
        pickling.check_settings(self.lib, self.protocol)

    def descriptor(self) -> dict[str, Any]:
        """The library with its version, the Python version and the protocol.

        Raises `MissingLibraryError` if the library is not installed.
        """
        return pickling.describe(self.lib, self.protocol)

    def dumps(self, value: object) -> bytes:
        """The pickle; raises as `pickling.dumps`."""
        return pickling.dumps(value, self.lib, self.protocol)


@dataclass(frozen=True)
class Compressed:
    """Another serializer's files through a codec: `lz4`, `zstd`, `gzip`, `bzip2` or `xz`.

    `inner` is given in any way in which a serializer may be chosen, and kept as an instance. The store checks the codec
    and its level.
    """

    inner: Any
    codec: str = "zstd"
    level: int | None = None
    type_name: ClassVar[str] = "compressed"

    def __post_init__(self) -> None:
        if self.codec is None:
            raise InvalidInputError("serializer `compressed`: `codec` is None", hint="leave it out for zstd")
        _check_codec("compressed", "codec", self.codec, self.level)
        inner = _instance(self.inner)
        if isinstance(inner, Compressed):
            raise InvalidInputError("serializer `compressed`: compressing twice gains nothing", hint="leave one out")
        object.__setattr__(self, "inner", inner)

    def descriptor(self) -> dict[str, Any]:
        """Name and settings: `{"type": "compressed", "codec": "zstd", "level": 3, "inner": {"type": "json"}}`."""
        inner = self.inner.descriptor() if _is_built_in(self.inner) else registration.descriptor_of(self.inner)
        return {"type": "compressed", **self.codec_settings(), "inner": inner}

    def codec_settings(self) -> dict[str, Any]:
        """The codec and its level, as in the descriptor."""
        return _codec_settings("codec", self.codec, self.level, _DEFAULT_LEVELS_OF_FILES)


@dataclass(frozen=True)
class CoreChoice:
    """A serializer that the core knows: `text`, a short form or JSON, is all that it needs.

    `holds` is the name of the innermost serializer (`parquet`, `arrow`, `json` or `bytes`), which says what kind of
    value it takes; `json_lib` is what `prepare_json` needs.
    """

    text: str
    holds: str
    json_lib: str = "json"


@dataclass(frozen=True)
class PythonChoice:
    """A serializer that runs in Python; the core stores its bytes.

    `descriptor` is the whole one, `extension` that of the inner file, without a codec's; `codec` is
    `{"codec": …, "level": …}` where the core shall compress the bytes, else None.
    """

    serializer: Any
    descriptor: dict[str, Any]
    extension: str
    codec: dict[str, Any] | None = None

    def dumps(self, value: object) -> bytes:
        """The bytes of `value`, not yet compressed; a bytearray or a memoryview is copied into bytes.

        Raises `UnsupportedError`, also for whatever a registered serializer raises, and if it gives no bytes.
        """
        if isinstance(self.serializer, Pickle):
            return self.serializer.dumps(value)
        name = self.serializer.name
        try:
            data = self.serializer.dumps(value)
        except (ColdframeError, MemoryError):
            raise
        except Exception as error:
            raise UnsupportedError(
                f"serializer `{name}` cannot write a {class_name(type(value))}: {_text(error)}",
                hint="choose another serializer for this value",
            ) from error
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise UnsupportedError(
                f"serializer `{name}` gave a {class_name(type(data))}, and no bytes", hint="mend its `dumps`"
            )
        return data if type(data) is bytes else bytes(data)

    def loads(self, data: bytes, descriptor: Mapping[str, Any], *, allow_pickle: bool = False) -> Any:
        """The value in `data`, by the descriptor that stands in its reference; raises as `PythonReader.loads`."""
        found = reader(descriptor)
        if found is None:
            raise UnsupportedError("the value was not written by a serializer in Python", hint="read it with `get`")
        return found.loads(data, allow_pickle=allow_pickle)


@dataclass(frozen=True)
class PythonReader:
    """What reads the bytes of a serializer that runs in Python; `descriptor` is the inner one."""

    descriptor: dict[str, Any]

    def loads(self, data: bytes, *, allow_pickle: bool = False) -> Any:
        """The value in `data`, which the core has decompressed.

        Raises `PickleDeniedError` for a pickle without permission, `UnsupportedError` for whatever the serializer
        raises, and `MissingSerializerError` if it is not registered here.
        """
        if self.descriptor["type"] == "pickle":
            return pickling.loads(data, self.descriptor, allow_pickle=allow_pickle)
        serializer = registration.from_descriptor(self.descriptor)
        try:
            return serializer.loads(data)
        except (ColdframeError, MemoryError):
            raise
        except Exception as error:
            raise UnsupportedError(
                f"serializer `{self.descriptor['type']}` cannot read what was stored: {_text(error)}",
                hint="register the class, in the version, that wrote it",
            ) from error


Choice = CoreChoice | PythonChoice


def resolve(serializer: object) -> Choice:
    """The choice that a caller's `serializer=` means: a short form, a descriptor, or an instance.

    What the core knows is passed on as it is, and checked there.

    Raises `InvalidInputError` for what is no serializer, and for a class where an instance is needed;
    `MissingSerializerError` for a name that nothing is registered under.
    """
    if isinstance(serializer, str) and not serializer.strip().startswith("{"):
        text = serializer.strip()
        if is_broken(text):
            raise _malformed(text, "it has half of a surrogate pair, which is no text")
        holds = _holds(text)
        if holds is not None:
            return CoreChoice(text, holds)
    return _choice(_instance(serializer))


def reader(descriptor: Mapping[str, Any]) -> PythonReader | None:
    """What reads a value with this descriptor in Python; None if the core does.

    Raises `MissingSerializerError` if its serializer is not registered here, and `InvalidInputError` for what is no
    descriptor.
    """
    name = _type_of(descriptor)
    if name == "compressed":
        inner = descriptor.get("inner")
        if not isinstance(inner, Mapping) or _type_of(inner) == "compressed":
            raise InvalidInputError("serializer `compressed`: `inner` is no serializer", hint="give its descriptor")
        return reader(inner)
    if name in _CORE or name == "literal":
        return None
    if name != "pickle":
        find(name)
    return PythonReader(dict(descriptor))


def _choice(instance: Any) -> Choice:
    codec: dict[str, Any] | None = None
    inner = instance
    if isinstance(instance, Compressed):
        codec, inner = instance.codec_settings(), instance.inner
    if _is_built_in(inner) and not isinstance(inner, Pickle):
        text = json.dumps(instance.descriptor(), separators=(",", ":"))
        return CoreChoice(text, inner.type_name, inner.lib if isinstance(inner, Json) else "json")
    if isinstance(inner, Pickle):
        extension = inner.extension
    else:
        chosen = getattr(inner, "extension", registration.DEFAULT_EXTENSION)
        extension = registration.check_extension(chosen, class_name(type(inner)))
    own = inner.descriptor() if isinstance(inner, Pickle) else registration.descriptor_of(inner)
    whole = own if codec is None else {"type": "compressed", **codec, "inner": own}
    return PythonChoice(inner, whole, extension, codec)


def _instance(serializer: Any) -> Any:
    """The instance that is meant: a built-in one, or one of a registered class."""
    if isinstance(serializer, type):
        raise InvalidInputError(
            f"serializer: the class `{class_name(serializer)}` was given, and an instance is needed",
            hint=f"write `{class_name(serializer)}()`",
        )
    if isinstance(serializer, str):
        return _from_text(serializer)
    if isinstance(serializer, Mapping):
        return _from_descriptor(serializer)
    if _is_built_in(serializer) or registration.is_registered(type(serializer)):
        return serializer
    name = class_name(type(serializer))
    if isinstance(serializer, PythonSerializer):
        registration.check_class(type(serializer))
        raise InvalidInputError(
            f"serializer: `{name}` is not registered, so nobody could read what it writes",
            hint=f"register it first: coldframe.register_serializer({name})",
        )
    raise InvalidInputError(
        f"serializer: {show(serializer)} is no serializer",
        hint='give a short form such as "parquet/zstd(3)", a descriptor, or an instance such as Parquet()',
    )


def _is_built_in(serializer: object) -> bool:
    return isinstance(serializer, (Parquet, Arrow, Json, Bytes, Pickle, Compressed))


def _from_descriptor(descriptor: Mapping[str, Any]) -> Any:
    name = _type_of(descriptor)
    settings = {setting: value for setting, value in descriptor.items() if setting != "type"}
    if name == "compressed" and "inner" not in settings:
        raise InvalidInputError("serializer `compressed`: `inner` is missing", hint="give the descriptor of another")
    known: dict[str, tuple[Any, tuple[str, ...]]] = {
        "parquet": (Parquet, ("preset", "compression", "level", "bloom_filters")),
        "arrow": (Arrow, ("compression", "level")),
        "json": (Json, ()),
        "bytes": (Bytes, ("media_type",)),
        "compressed": (Compressed, ("codec", "level", "inner")),
        "pickle": (Pickle, ("lib", "protocol", "lib_version", "python")),
    }
    if name not in known:
        return registration.from_descriptor(descriptor)
    kind, allowed = known[name]
    for setting in settings:
        if setting not in allowed:
            hint = f"its settings are: {', '.join(allowed)}" if allowed else "it has none"
            raise InvalidInputError(f"serializer `{name}`: there is no setting {show(setting)}", hint=hint)
    # The versions are facts about the writer, and recorded anew.
    return kind(**{setting: value for setting, value in settings.items() if setting not in ("lib_version", "python")})


def _type_of(descriptor: Mapping[str, Any]) -> str:
    name = descriptor.get("type") if isinstance(descriptor, Mapping) else None
    if type(name) is not str:
        raise InvalidInputError(
            "serializer: the descriptor has no `type`", hint='such as {"type": "parquet", "compression": "zstd"}'
        )
    return name


def _from_text(text: str) -> Any:
    text = text.strip()
    if text.startswith("{"):
        try:
            descriptor = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"serializer: its JSON cannot be read: {error}", hint=_SHORT_FORMS) from error
        return _from_descriptor(descriptor)
    name, argument, rest = _split(text)
    if name == "compressed":
        if rest is None:
            raise _malformed(text, "it does not say what is compressed")
        if argument is None:
            return Compressed(rest)
        codec, level = _codec_and_level(argument)
        return Compressed(rest, codec, level)
    if name == "parquet":
        codec, level = ("auto", None) if rest is None else _codec_and_level(rest)
        if argument not in (None, *_PRESETS):
            raise _malformed(text, f"the presets are {', '.join(_PRESETS)}")
        return Parquet(codec, level, argument or "default")
    if name == "arrow":
        if argument is not None:
            raise _malformed(text, "a codec stands behind a slash")
        return Arrow() if rest is None else Arrow(*_codec_and_level(rest))
    if rest is not None:
        raise _malformed(text, f"nothing can stand behind the slash of {show(name)}")
    if name == "bytes":
        return Bytes(argument)
    if name == "pickle":
        return Pickle() if argument is None else Pickle(argument)
    if argument is not None:
        raise _malformed(text, f"{show(name)} takes nothing in brackets")
    return Json() if name == "json" else registration.from_descriptor({"type": name})


def _holds(text: str) -> str | None:
    """The innermost name of a short form, if it is one of the core's."""
    name, _, rest = _split(text)
    if name == "compressed" and rest is not None:
        name, _, _ = _split(rest)
    return name if name in _CORE else None


def _split(text: str) -> tuple[str, str | None, str | None]:
    """A short form, taken apart: its name, what stands in brackets behind it, what follows the slash."""
    end = min((position for position in (text.find("/"), text.find("(")) if position >= 0), default=len(text))
    name, tail = text[:end], text[end:]
    argument: str | None = None
    if tail.startswith("("):
        closing = _closing(tail)
        if closing is None:
            raise _malformed(text, "a bracket is not closed")
        argument, tail = tail[1:closing].strip(), tail[closing + 1 :]
    if tail and not tail.startswith("/"):
        raise _malformed(text, f"{show(tail)} cannot stand there")
    if tail == "/":
        raise _malformed(text, "nothing follows the slash")
    if not name:
        raise _malformed(text, "it has no name")
    return name, argument, tail[1:] if tail else None


def _closing(text: str) -> int | None:
    depth = 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return position
    return None


def _codec_and_level(text: str) -> tuple[str, int | None]:
    codec, level, rest = _split(text)
    if rest is not None:
        raise _malformed(text, f"{show('/' + rest)} cannot stand there")
    if level is None:
        return codec, None
    digits = level[1:] if level[:1] in ("-", "+") else level
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise _malformed(text, "a level is a whole number")
    return codec, int(level)


def _malformed(text: str, why: str) -> InvalidInputError:
    return InvalidInputError(f"serializer: {show(text)} is no short form: {why}", hint=_SHORT_FORMS)


def _codec_settings(setting: str, codec: str | None, level: int | None, levels: dict[str, int]) -> dict[str, Any]:
    name = codec or "none"
    level = levels.get(name) if level is None else level
    return {setting: name} if level is None else {setting: name, "level": level}


def _check_codec(serializer: str, setting: str, codec: object, level: object) -> None:
    _check_type(serializer, setting, codec, str)
    _check_type(serializer, "level", level, int)


def _check_type(serializer: str, setting: str, value: object, kind: type) -> None:
    if value is not None and type(value) is not kind:
        raise InvalidInputError(
            f"serializer `{serializer}`: `{setting}` is {show(value)}", hint=f"give {kind.__name__} or None"
        )


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
