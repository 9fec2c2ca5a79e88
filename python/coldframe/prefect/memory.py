"""Frames that Prefect loads twice for one cache hit: once to see whether they are there, and once to have them.

A frame is kept from the first to the second, and no longer than the task run lasts that asked for it. It is given once:
whoever has it may change it.
"""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass
from typing import Any

from coldframe.prefect import run


@dataclass(frozen=True)
class Name:
    """Which frame."""

    kind: str | None
    key: str
    version: int
    write: str


_lock = threading.Lock()
_frames: dict[tuple[int, int], dict[Name, Any]] = {}
"""By process and owner."""


def take(name: Name, otherwise: Any) -> Any:
    """The frame, which is not kept any longer, if the task run that we are in has loaded it once."""
    with _lock:
        return _frames.get(_place(), {}).pop(name, otherwise)


def keep(name: Name, frame: Any) -> None:
    """Keeps a frame until it is taken, or the task run is over. Outside a task run, nothing is kept."""
    owner = run.owner()
    if owner is None:
        return
    place = _place()
    with _lock:
        if place not in _frames:
            _frames[place] = {}
            weakref.finalize(owner, _forget, place).atexit = False
        _frames[place][name] = frame


def _place() -> tuple[int, int]:
    return os.getpid(), id(run.owner())


def _forget(place: tuple[int, int]) -> None:
    # Without the lock: this may run inside a garbage collection, on a thread that holds it.
    _frames.pop(place, None)
