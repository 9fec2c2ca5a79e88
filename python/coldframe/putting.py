"""Values on their way into a store: what kind they are, by which serializer, and what is lost."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from coldframe import _coldframe, frames, json_values, serializers, values
from coldframe.arguments import check_flag, check_number, check_text
from coldframe.errors import InvalidInputError, LossyError, LossyWarning, UnsupportedError, WrongTypeError
from coldframe.frames import Prepared
from coldframe.serializers import CoreChoice, PythonChoice

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:\d+[smhdw])+")
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("coldframe_listener_to_losses", default=None)


@dataclass
class Wanted:
    """How a put is to be done, as the native part reads it."""

    if_absent: bool
    after: int | None
    title: str | None
    description: str | None
    strict: bool
    expires: Any
    metadata: Any
    fingerprint: bool | None = None
    serializer: str | None = None
    extension: str | None = None
    source: str | None = None
    lossy: str | None = None
    expires_in: float | None = field(default=None, init=False)
    expires_at: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        check_text("title", self.title)
        check_text("description", self.description)
        check_flag("strict", self.strict)
        check_flag("if_absent", self.if_absent)
        check_flag("fingerprint", self.fingerprint)
        check_number("after", self.after, 0, "the number of a version; 0 stands for none")
        if self.if_absent and self.after is not None:
            raise InvalidInputError("after: it is a condition, and if_absent another: only one can be given")
        if self.metadata is not None:
            if not isinstance(self.metadata, Mapping):
                raise WrongTypeError(f"metadata: a dict is expected, and this is a {type(self.metadata).__qualname__}")
            self.metadata = _metadata_text(self.metadata)
        self._set_expiry(self.expires)

    def _set_expiry(self, expires: Any) -> None:
        if expires is None:
            return
        if isinstance(expires, timedelta):
            self.expires_in = expires.total_seconds()
        elif isinstance(expires, datetime):
            if expires.tzinfo is None:
                hint = "expires.astimezone(), or a timedelta"
                raise InvalidInputError(f"expires: {expires} has no time zone", hint=hint)
            self.expires_at = expires.isoformat()
        elif isinstance(expires, str):
            self.expires_in = _seconds(expires)
        else:
            hint = 'a timedelta, text such as "7d", or a datetime with a zone'
            raise WrongTypeError(f"expires: this is a {type(expires).__qualname__}", hint=hint)


def _metadata_text(metadata: Mapping[Any, Any]) -> str:
    """The JSON text of metadata. No serializer can help it, and its errors name the argument."""
    try:
        return json_values.dump(dict(metadata))
    except UnsupportedError as error:
        hint = (
            "convert it: metadata holds None, bool, int of 64 bits, finite float, str, lists, and dicts with str keys, "
            f"at most {json_values.DEEPEST} deep"
        )
        raise UnsupportedError(f"metadata{error.message.removeprefix('value')}", hint=hint) from None


def _seconds(text: str) -> float:
    if _DURATION.fullmatch(text) is None:
        hint = "durations look like 30s, 15m, 12h, 7d, 2w, or 1d12h"
        raise InvalidInputError(f"expires: {text!r} is no duration", hint=hint)
    return float(sum(int(part[:-1]) * _UNITS[part[-1]] for part in re.findall(r"\d+[smhdw]", text)))


@dataclass(frozen=True)
class Content:
    """What the native part is handed."""

    content: _coldframe.Content
    rows: int | None = None


def prepare(store: _coldframe.Store, key: str, value: Any, serializer: Any, wanted: Wanted) -> Content:
    """The content for a value, with its serializer, source and losses said in `wanted`.

    Raises for what cannot be put, and, if the put is strict, LossyError for what would lose something; else there is
    one LossyWarning.
    """
    choice = None if serializer is None else serializers.resolve(serializer)
    if isinstance(choice, PythonChoice):
        wanted.serializer, wanted.extension = json.dumps(choice.descriptor), choice.extension
        return Content(_coldframe.Content.from_bytes(choice.dumps(value)))
    destination = Destination("put", key, store.losses)
    frame = prepare_frame(destination, value, choice, wanted, stacklevel=4)
    if frame is not None:
        return frame
    content, losses = _other(value, choice, wanted)
    _tell(destination, losses, wanted.strict, "pickle", stacklevel=4)
    return content


@dataclass(frozen=True)
class Destination:
    """For what a value is prepared: the operation and its subject, for errors, and who knows what it loses."""

    operation: str
    subject: str | None
    losses: Callable[[_coldframe.Content, str | None], str]

    def __str__(self) -> str:
        return self.operation if self.subject is None else f"{self.operation} {self.subject}"


def prepare_frame(
    destination: Destination, value: Any, choice: CoreChoice | None, wanted: Wanted, stacklevel: int = 3
) -> Content | None:
    """The content for a frame, with its serializer, source and losses said in `wanted`; None for what is no frame.

    Raises and warns as `prepare`; a warning names the caller that is `stacklevel` calls away.
    """
    if values.classify(value) not in ("frame?", "object"):
        return None
    frame = frames.prepare(value)
    if frame is None:
        return None
    wanted.serializer = None if choice is None else choice.text
    wanted.source = json.dumps(frame.source)
    if choice is None or choice.holds == "parquet":
        _check_categories(frame)
    content = table(frame)
    by_serializer = json.loads(destination.losses(content, wanted.serializer))
    losses = [*frame.losses, *by_serializer]
    # The core adds its own where they are not said yet.
    wanted.lossy = json.dumps(losses)
    _tell(destination, losses, wanted.strict, "arrow" if by_serializer else "pickle", stacklevel + 1)
    return Content(content, frame.rows)


def _other(value: Any, choice: CoreChoice | None, wanted: Wanted) -> tuple[Content, list[dict[str, Any]]]:
    """The content for a value that is no frame, and what it loses."""
    kind = values.classify(value)
    wanted.serializer = None if choice is None else choice.text
    holds = choice.holds if choice is not None else None
    if holds == "json" or (holds is None and kind in ("json", "literal")):
        lib = choice.json_lib if choice is not None else "json"
        text, lost = json_values.prepare_json(value, lib, explicit=holds == "json")
        wanted.lossy = json.dumps(lost)
        return Content(_coldframe.Content.from_json(text)), list(lost)
    if holds == "bytes" or (holds is None and kind == "bytes"):
        data, lost = values.prepare_bytes(value)
        wanted.lossy = json.dumps(lost)
        return Content(_coldframe.Content.from_bytes(data if isinstance(data, bytes) else bytes(data))), list(lost)
    if holds is None:
        raise values.needs_choice(value)
    raise WrongTypeError(
        f"value: serializer `{holds}` holds tables, and this is a {type(value).__qualname__}",
        hint='put a frame, or choose "json", "bytes" or "pickle"',
    )


def _check_categories(frame: Prepared) -> None:
    """Refuses, in pandas' words, the categories of intervals that were too many to be stored as text."""
    for name, dtype in frame.source.get("dtypes", {}).items() if frame.source.get("library") == "pandas" else ():
        if isinstance(dtype, dict) and isinstance(dtype.get("category"), dict) and "interval" in dtype["category"]:
            raise UnsupportedError(
                f"column `{name}`: its categories are intervals, more than 1,000 or of no plain numbers or times, "
                "and Parquet has no such categories",
                hint=f"make it a column of intervals with df[{name!r}].astype(df[{name!r}].cat.categories.dtype), "
                'or put it with serializer="arrow"',
                operation="put",
            )


def table(frame: Prepared) -> _coldframe.Content:
    """The content for a frame."""
    if frame.stream is not None:
        return _coldframe.Content.from_stream(frame.stream, one_shot=frame.one_shot)
    if frame.frames is not None:
        return _coldframe.Content.from_batches(frame.schema, frame.frames, by_caller=False)
    return _coldframe.Content.from_batches(frame.schema, frame.batches or iter(()))


def _tell(destination: Destination, losses: list[dict[str, Any]], strict: bool, keeps: str, stacklevel: int) -> None:
    if not losses:
        return
    told = "; ".join(_told(loss) for loss in losses)
    if strict:
        way = 'serializer="arrow" keeps most' if keeps == "arrow" else 'serializer="pickle" keeps Python objects whole'
        hint = f"convert it, choose a serializer that keeps it ({way}), or {destination.operation} without strict"
        raise LossyError(
            f"this would be lost on the way and back: {told}",
            hint=hint,
            operation=destination.operation,
            subject=destination.subject,
        )
    _warn(f"{destination} loses: {told}", stacklevel + 1)


def tell_late(destination: str, wanted: Wanted, lossy: list[dict[str, Any]]) -> None:
    """Warns of what only the data showed to be lost, such as the order of dictionaries that differ."""
    known = json.loads(wanted.lossy or "[]")
    late = [loss for loss in lossy if loss not in known]
    if late:
        told = "; ".join(_told(loss) for loss in late)
        _warn(f"{destination} lost: {told}", stacklevel=4)


def _warn(text: str, stacklevel: int) -> None:
    listener = _listener.get()
    if listener is None:
        warnings.warn(text, LossyWarning, stacklevel=stacklevel)
    else:
        listener(text)


@contextmanager
def losses_told_to(listener: Callable[[str], None]) -> Iterator[None]:
    """Within it, losses are told to `listener` instead of by a LossyWarning.

    Recording warnings would change the filters of all threads.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def _told(loss: Mapping[str, Any]) -> str:
    place = f"column `{loss['column']}`" if "column" in loss else str(loss.get("path", "value"))
    return f"{place}: {loss.get('loses', loss)}"
