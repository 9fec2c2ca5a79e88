"""Frames out of a JSON value and into it again: in a few looks at each list and dict, most of them not in Python."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NoReturn

from coldframe import json_values
from coldframe.errors import DamagedError, UnsupportedError
from coldframe.json_values import DEEPEST, GREATEST_INTEGER, LEAST_INTEGER, SCALARS
from coldframe.prefect.recognition import is_leaf
from coldframe.wording import path_text

PLACE = "$frame"
"""The key of the dict that stands for a frame."""

_MOST_AGAIN = 1_000_000
"""So many items may be written again because the lists and dicts that hold them are in several places."""
_FEW = 16
"""Fewer items are looked at faster one by one."""
_DAMAGED = "delete the record, or run again with `refresh_cache=True`"


@dataclass(frozen=True)
class Place:
    """A frame in a value, and how one gets there: `("train",)`; nothing for the value itself."""

    frame: Any
    path: tuple[str | int, ...]


class Folder:
    """Puts places where the frames of lists and dicts are, and refuses what JSON would not give back equal.

    The places of one frame are one. Lists and dicts without frames are not copied. With `each_once`, a list or dict
    that is in several places is refused as well: from JSON, it would come back as several.
    """

    def __init__(self, *, each_once: bool) -> None:
        self.places: list[Place] = []
        self._each_once = each_once
        self._numbers: dict[int, int] = {}
        self._path: list[str | int] = []
        # Where one is: the lists and dicts from the outermost on.
        self._holders: list[int] = []
        self._met: set[int] = set()
        self._again = 0

    def fold(self, value: Any) -> Any:
        """The value with places instead of frames.

        Raises UnsupportedError with the path of what JSON would not give back equal.
        """
        kind = type(value)
        if kind is list or kind is dict:
            return self._folded(value, kind)
        if is_leaf(value):
            return self._place(value)
        self._check(value)
        return value

    def _folded(self, value: Any, kind: type) -> Any:
        self._meet(value)
        items: Collection[Any] = value
        if kind is dict:
            self._check_keys(value)
            items = value.values()
        if _are_exact(items):
            return value
        if len(self._holders) == DEEPEST:
            raise json_values.too_deep()
        self._holders.append(id(value))
        path, changed = self._path, False
        folded = []
        for step, item in value.items() if kind is dict else enumerate(value):
            path.append(step)
            inner = type(item)
            if inner is list or inner is dict:
                found = self._folded(item, inner)
            elif inner in SCALARS or not is_leaf(item):
                self._check(item)
                found = item
            else:
                found = self._place(item)
            changed = changed or found is not item
            folded.append(found)
            path.pop()
        self._holders.pop()
        if not changed:
            return value
        return dict(zip(value, folded)) if kind is dict else folded

    def _meet(self, value: Any) -> None:
        """Notes that a list or dict is in one place, or one more."""
        identity = id(value)
        if identity not in self._met:
            self._met.add(identity)
            return
        where = path_text(self._path)
        if identity in self._holders:
            raise json_values.cycle(where)
        self._again += len(value)
        if self._each_once or self._again > _MOST_AGAIN:
            raise UnsupportedError(f"{where}: it is in several places, and JSON would hold it several times")

    def _check_keys(self, value: dict[Any, Any]) -> None:
        if PLACE in value:
            raise UnsupportedError(
                f"{path_text(self._path)}: a dict with the key `{PLACE}` would be taken for a frame",
                hint="use another key",
            )
        for key in value:
            if type(key) is not str or (not key.isascii() and json_values.is_broken(key)):
                self._refuse({key: None})

    def _check(self, item: Any) -> None:
        kind = type(item)
        if kind is bool or item is None or (kind is str and item.isascii()):
            return
        if kind is int and LEAST_INTEGER <= item <= GREATEST_INTEGER:
            return
        if kind is float and math.isfinite(item):
            return
        if kind is not str or json_values.is_broken(item):
            self._refuse(item)

    def _refuse(self, item: Any) -> NoReturn:
        try:
            json_values.check_exact(item)
        except UnsupportedError as error:
            message = path_text(self._path) + error.message.removeprefix("value")
            raise UnsupportedError(message, hint=error.hint) from None
        raise AssertionError("it was refused because JSON does not hold it")

    def _place(self, frame: Any) -> dict[str, int]:
        number = self._numbers.setdefault(id(frame), len(self.places))
        if number == len(self.places):
            self.places.append(Place(frame, tuple(self._path)))
        return {PLACE: number}


def _are_exact(items: Collection[Any]) -> bool:
    """Whether all are scalars that JSON gives back equal."""
    if len(items) > _FEW:
        kinds = set(map(type, items))
        if not kinds <= SCALARS:
            return False
        if kinds == {int}:
            least, greatest = min(items), max(items)
            return bool(least >= LEAST_INTEGER and greatest <= GREATEST_INTEGER)
        if kinds == {float}:
            return all(map(math.isfinite, items))
        if kinds == {str} and all(map(str.isascii, items)):
            return True
    for item in items:
        kind = type(item)
        if kind is str:
            if not item.isascii() and json_values.is_broken(item):
                return False
        elif kind is int:
            if not LEAST_INTEGER <= item <= GREATEST_INTEGER:
                return False
        elif kind is float:
            if not math.isfinite(item):
                return False
        elif kind is not bool and item is not None:
            return False
    return True


def filled(tree: Any, give: Callable[[object], Any]) -> Any:
    """A JSON value with `give(number)` where places are. Lists and dicts without places are not copied.

    Raises DamagedError where it is nested deeper than a `Folder` lets it.
    """
    return _filled(tree, give, 0)


def _filled(tree: Any, give: Callable[[object], Any], depth: int) -> Any:
    kind = type(tree)
    if kind is dict:
        if PLACE in tree:
            if len(tree) != 1:
                raise DamagedError(f"the record has a frame with other keys than `{PLACE}`", hint=_DAMAGED)
            return give(tree[PLACE])
        items: Collection[Any] = tree.values()
    elif kind is list:
        items = tree
    else:
        return tree
    if all(type(item) in SCALARS for item in items) if len(items) <= _FEW else set(map(type, items)) <= SCALARS:
        return tree
    if depth == DEEPEST:
        raise DamagedError(f"the record is nested deeper than {DEEPEST} levels", hint=_DAMAGED)
    found = [item if type(item) in SCALARS else _filled(item, give, depth + 1) for item in items]
    if all(map(operator.is_, found, items)):
        return tree
    return dict(zip(tree, found)) if kind is dict else found
