"""Finds what it is inside a value that cannot be pickled."""

from __future__ import annotations

import copyreg
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from coldframe.wording import show

DEEPEST = 100
MOST_ATTEMPTS = 20_000
LONGEST_SECONDS = 5.0

_LONGEST_PATH = 400
_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray)


class _OutOfTimeError(Exception):
    """The search ends here."""


@dataclass(frozen=True)
class Culprit:
    """The innermost part that cannot be pickled by itself: its path, itself, and what pickling it raised."""

    path: str
    value: Any
    error: BaseException


class _Nowhere:
    """A file that keeps nothing, and ends the search in the middle of a large pickle."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def write(self, data: Any) -> int:
        self._check()
        return memoryview(data).nbytes


def find(
    value: object,
    dump: Callable[[Any, Any], None],
    error: BaseException,
    *,
    clock: Callable[[], float] = time.monotonic,
    most_attempts: int = MOST_ATTEMPTS,
) -> Culprit:
    """The innermost part of `value` that `dump(part, file)` cannot pickle by itself; `error` is that of the whole.

    It goes into attributes, slots, items, and what `__reduce_ex__` gives, tries each part in turn, and follows those
    that fail. A part that fails only because it refers back to what is being looked into is not to blame, and the next
    is tried. It keeps no bytes, meets no object twice, and ends after 5 seconds, 20,000 attempts or 100 steps with what
    it has found until then.
    """
    search = _Search(dump, clock, most_attempts)
    try:
        return search.run(value, error)
    except _OutOfTimeError:
        return search.best()


@dataclass
class _Level:
    """A part that fails, and those of its own parts that were not tried yet."""

    step: str
    value: Any
    error: BaseException
    untried: Iterator[tuple[str, Any]]
    is_explained: bool = False


class _Search:
    def __init__(self, dump: Callable[[Any, Any], None], clock: Callable[[], float], most_attempts: int) -> None:
        self._dump = dump
        self._clock = clock
        self._end = clock() + LONGEST_SECONDS
        self._attempts_left = most_attempts
        # Parts are kept alive, since the id of one that is gone may be given to the next.
        self._met: dict[int, object] = {}
        self._failing: set[int] = set()
        self._levels: list[_Level] = []
        self._first_end: Culprit | None = None

    def run(self, value: Any, error: BaseException) -> Culprit:
        """The culprit in `value`, which fails with `error`."""
        self._enter("value", value, error)
        while self._levels:
            level = self._levels[-1]
            failing = self._failing_part(level)
            if failing is not None and len(self._levels) < DEEPEST:
                self._enter(*failing)
                continue
            if failing is not None or not level.is_explained:
                return self._here()
            self._first_end = self._first_end or self._here()
            self._levels.pop()
        return self.best()

    def best(self) -> Culprit:
        """What is known where the search ends early, or all that fail refer to each other."""
        return self._first_end or self._here()

    def _here(self) -> Culprit:
        path = "".join(level.step for level in self._levels)
        if len(path) > _LONGEST_PATH:
            path = f"{path[: _LONGEST_PATH // 2]} … {path[-_LONGEST_PATH // 2 :]}"
        return Culprit(path, self._levels[-1].value, self._levels[-1].error)

    def _enter(self, step: str, value: Any, error: BaseException) -> None:
        self._met[id(value)] = value
        self._failing.add(id(value))
        self._levels.append(_Level(step, value, error, _parts(value)))

    def _failing_part(self, level: _Level) -> tuple[str, Any, BaseException] | None:
        """The next part of a level that cannot be pickled by itself: its step, itself, and the error."""
        for step, part in level.untried:
            if isinstance(part, _PLAIN):
                continue
            if id(part) in self._met:
                level.is_explained = level.is_explained or id(part) in self._failing
                continue
            self._met[id(part)] = part
            error = self._attempt(part)
            if error is not None:
                level.is_explained = True
                return step, part, error
        return None

    def _attempt(self, part: Any) -> BaseException | None:
        self._check()
        self._attempts_left -= 1
        try:
            self._dump(part, _Nowhere(self._check))
        except (_OutOfTimeError, MemoryError):
            raise
        except Exception as error:
            return error
        return None

    def _check(self) -> None:
        if self._attempts_left <= 0 or self._clock() > self._end:
            raise _OutOfTimeError


def _parts(whole: Any) -> Iterator[tuple[str, Any]]:
    """What `whole` is made of, with the steps that lead there."""
    if isinstance(whole, (type, types.ModuleType, types.BuiltinFunctionType)):
        return
    if isinstance(whole, types.FunctionType):
        yield from _parts_of_function(whole)
        return
    if type(whole) in (list, tuple):
        yield from ((f"[{position}]", item) for position, item in enumerate(whole))
    elif type(whole) in (set, frozenset):
        yield from (("{an item}", item) for item in whole)
    elif type(whole) is dict:
        yield from _parts_of_dict(whole)
    else:
        yield from _parts_of_object(whole)


def _parts_of_dict(mapping: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, item in mapping.items():
        yield f"{{the key {show(key)}}}", key
        yield f"[{show(key)}]", item


def _parts_of_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What a library that pickles functions by value takes along."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f"{{its variable {name}}}", cell.cell_contents
        except ValueError:
            continue
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield f"{{its global {name}}}", function.__globals__[name]


def _parts_of_object(whole: Any) -> Iterator[tuple[str, Any]]:
    """What pickle would write of an object."""
    try:
        reducer = copyreg.dispatch_table.get(type(whole))
        reduced = reducer(whole) if reducer else whole.__reduce_ex__(4)
    except MemoryError:
        raise
    except Exception:
        # It says itself that it cannot be pickled; no part of it is to blame.
        return
    if not isinstance(reduced, tuple):
        return
    fields: list[Any] = [*reduced, None, None, None, None, None]
    arguments, state, items, pairs = fields[1:5]
    if state is not None:
        yield from _parts_of_state(whole, state)
    for position, item in enumerate(items if items is not None else ()):
        yield f"[{position}]", item
    if pairs is not None:
        for key, item in pairs:
            yield f"{{the key {show(key)}}}", key
            yield f"[{show(key)}]", item
    for position, argument in enumerate(arguments or ()):
        # Its class is among the arguments; if that cannot be pickled, the object is named and not the class.
        if not isinstance(argument, type):
            yield f".__reduce_ex__(4)[1][{position}]", argument


def _parts_of_state(whole: Any, state: Any) -> Iterator[tuple[str, Any]]:
    """The attributes, and what else `__getstate__` gives."""
    both = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    if all(part is None or isinstance(part, dict) for part in both):
        attributes = {**(both[0] or {}), **(both[1] or {})}
        for name, item in attributes.items():
            yield (f".{name}" if isinstance(name, str) and name.isidentifier() else f"[{show(name)}]"), item
    else:
        yield ".__getstate__()", state
