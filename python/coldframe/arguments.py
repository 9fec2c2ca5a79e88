"""Checks of what a call was given, so that a wrong argument is named before anything happens."""

from __future__ import annotations

from coldframe.errors import InvalidInputError, WrongTypeError


def check_text(name: str, value: object, hint: str | None = None) -> None:
    """Raises WrongTypeError for what is neither text nor None."""
    if value is not None and not isinstance(value, str):
        raise WrongTypeError(f"{name}: text is expected, and this is a {type(value).__qualname__}", hint=hint)


def check_required_text(name: str, value: object, hint: str | None = None) -> None:
    """Raises WrongTypeError for what is no text."""
    if value is None:
        raise WrongTypeError(f"{name}: text is expected, and this is None (NoneType)", hint=hint)
    check_text(name, value, hint)


def check_number(name: str, value: object, least: int, hint: str | None = None) -> None:
    """Raises WrongTypeError for what is neither a whole number nor None, InvalidInputError for one below `least`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongTypeError(f"{name}: a whole number is expected, and this is a {type(value).__qualname__}", hint=hint)
    if value < least:
        raise InvalidInputError(f"{name}: {value} is below {least}, the least that it can be", hint=hint)


def check_flag(name: str, value: object) -> None:
    """Raises WrongTypeError for what is neither True, False nor None; text such as "no" would count as True."""
    if value is not None and not isinstance(value, bool):
        raise WrongTypeError(f"{name}: True or False is expected, and this is a {type(value).__qualname__}")
