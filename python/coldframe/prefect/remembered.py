"""What is costly to make and kept for a while: sessions, blocks, stores. In memory only, and right after a fork."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import PurePath
from time import monotonic
from typing import Any, Generic, TypeVar

__all__ = ["Remembered", "fingerprint", "surroundings"]

Made = TypeVar("Made")

_PREFIXES = ("COLDFRAME_", "AWS_", "GOOGLE_", "AZURE_", "AZURITE_", "GCE_")
_NAMES = frozenset(
    {
        "SERVICE_ACCOUNT", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "STORAGE_EMULATOR_HOST", "HTTP_PROXY", "HTTPS_PROXY",
        "ALL_PROXY", "NO_PROXY",
    }
)  # fmt: skip
_everything: weakref.WeakSet[Remembered[Any]] = weakref.WeakSet()


class Remembered(Generic[Made]):
    """Values by the fingerprint of what they are made from: the last so many, for so many seconds.

    Five minutes are less than any temporary credential of AWS lives.
    """

    def __init__(self, seconds: float | None = 300, most: int = 32) -> None:
        self._seconds = seconds
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, tuple[float, Made]] = OrderedDict()
        _everything.add(self)

    def get(self, key: bytes, make: Callable[[], Made]) -> Made:
        """What is kept under a key, or else is made now; what `make` raises is not kept."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and (self._seconds is None or monotonic() - kept[0] < self._seconds):
                self._kept.move_to_end(key)
                return kept[1]
            begun = monotonic()
            made = make()
            self._kept[key] = (begun, made)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return made

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._kept.clear()

    def _after_fork(self) -> None:
        # A thread that the fork did not take along may have held it.
        self._lock = threading.Lock()


def fingerprint(*parts: Any) -> bytes:
    """A digest of values, secrets among them: what is kept under it does not hold them."""
    return hashlib.sha256(json.dumps(parts, default=_plain, sort_keys=True).encode()).digest()


def surroundings() -> list[tuple[str, str]]:
    """The environment as far as it says how a store is opened; which one is said by its URL."""
    taken = (item for item in os.environ.items() if item[0].startswith(_PREFIXES) or item[0].upper() in _NAMES)
    return sorted(item for item in taken if item[0] != "COLDFRAME_STORE")


def _plain(value: Any) -> Any:
    reveal = getattr(value, "get_secret_value", None)
    if reveal is not None:
        return reveal()
    return str(value) if isinstance(value, PurePath) else repr(value)


def _renew() -> None:
    for remembered in list(_everything):
        remembered._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
