"""The exceptions of coldframe: one class for each thing that the reader should do about it.

All derive from :class:`ColdframeError`, and from the builtin exception that fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


class ColdframeError(Exception):
    """A failure: what happened, during which operation on which key, and what to do next.

    Attributes:
        message: What happened, without operation, subject and hint.
        hint: What to do next, for a person.
        operation: What failed, such as ``put``.
        subject: The key, path or setting that it is about.
        causes: What the libraries below said, the nearest first.
    """

    #: The kind's name, as other languages and the command line say it.
    kind = "error"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        operation: str | None = None,
        subject: str | None = None,
        causes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.operation = operation
        self.subject = subject
        self.causes = tuple(causes)

    def __str__(self) -> str:
        place = " ".join(part for part in (self.operation, self.subject) if part)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text}\nhint: {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.message, self.hint, self.operation, self.subject, self.causes)


class NotFoundError(ColdframeError, FileNotFoundError):
    """There is no such key, version, column or profile: check the name, or compute the result again."""

    kind = "not_found"


class ColumnNotFoundError(NotFoundError, KeyError):
    """The table has no such column."""

    __str__ = ColdframeError.__str__


class GoneError(NotFoundError):
    """It was there and is not any more (deleted or expired): compute the result again."""

    kind = "gone"


class ConflictError(ColdframeError, FileExistsError):
    """The condition of a put does not hold: read what is there, or put under another condition."""

    kind = "conflict"


class InvalidInputError(ColdframeError, ValueError):
    """The call is wrong: fix the argument."""

    kind = "invalid_input"


class WrongTypeError(InvalidInputError, TypeError):
    """An argument is of a type that has no place there."""


class UnsupportedError(ColdframeError, ValueError):
    """This value, serializer or storage cannot do what was asked: choose another, as the hint says."""

    kind = "unsupported"


class LossyError(UnsupportedError):
    """A strict put would have lost something."""


class MissingSerializerError(UnsupportedError, LookupError):
    """The result was written by a serializer that is not known here: register it."""


class MissingLibraryError(ColdframeError, ImportError):
    """A library that this needs is not installed."""

    kind = "unsupported"


class PickleDeniedError(ColdframeError, PermissionError):
    """The result is a pickle, and loading one was not allowed: it runs code of whoever wrote it."""

    kind = "denied"


class ConfigurationError(ColdframeError, ValueError):
    """A setting is missing or wrong: fix the configuration."""

    kind = "configuration"


class DamagedError(ColdframeError, OSError):
    """What lies on the storage is not what was written: restore it, or compute the result again."""

    kind = "damaged"


class DeniedError(ColdframeError, PermissionError):
    """The storage refused: check credentials and permissions."""

    kind = "denied"


class StorageFullError(ColdframeError, OSError):
    """The disk or quota is full: make room and try again."""

    kind = "storage_full"


class UnavailableError(ColdframeError, ConnectionError):
    """The storage did not answer as it should: try again later."""

    kind = "unavailable"


class OutcomeUnknownError(ColdframeError, OSError):
    """A commit was sent and its answer never came: look which versions exist before trying again."""

    kind = "outcome_unknown"


class InputError(ColdframeError, RuntimeError):
    """The stream of data that was put failed: nothing was stored."""

    kind = "input"


class CancelledError(ColdframeError, RuntimeError):
    """The work was cancelled: nothing was stored."""

    kind = "cancelled"


class InternalError(ColdframeError, RuntimeError):
    """A defect of coldframe: please report it."""

    kind = "internal"


class LossyWarning(UserWarning):
    """What a put loses on the way and back."""


_BY_KIND: dict[str, type[ColdframeError]] = {
    raised.kind: raised
    for raised in (
        NotFoundError,
        GoneError,
        ConflictError,
        InvalidInputError,
        UnsupportedError,
        ConfigurationError,
        DamagedError,
        DeniedError,
        StorageFullError,
        UnavailableError,
        OutcomeUnknownError,
        InputError,
        CancelledError,
        InternalError,
    )
}


def from_kind(
    kind: str, operation: str | None, subject: str | None, message: str, hint: str | None, causes: list[str]
) -> ColdframeError:
    """The exception for an error of the native part; a kind that is not known here is a plain ColdframeError."""
    raised = _BY_KIND.get(kind, ColdframeError)
    hint = None if hint is None else _in_python(hint)
    return raised(message, hint=hint, operation=operation, subject=subject, causes=tuple(causes))


_COMMANDS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"`coldframe ls` shows the keys of (?:a|this) store"), "store.list() shows the keys"),
    (re.compile(r"`coldframe versions KEY`"), "store.versions(key)"),
    (re.compile(r"`coldframe versions ([^`]+)`"), lambda found: f"store.versions({found[1]!r})"),
    (re.compile(r"without `if absent`"), "without if_absent=True"),
    (re.compile(r"`--force`"), "force=True"),
    (re.compile(r"`coldframe put --json` prints it"), "`reference.json()` gives it"),
)
"""How hints of the native part, which speak of the command line, are said in Python."""


def _in_python(hint: str) -> str:
    for command, spoken in _COMMANDS:
        hint = command.sub(spoken, hint)
    return hint


def _again(
    raised: type[ColdframeError],
    message: str,
    hint: str | None,
    operation: str | None,
    subject: str | None,
    causes: tuple[str, ...],
) -> ColdframeError:
    return raised(message, hint=hint, operation=operation, subject=subject, causes=causes)
