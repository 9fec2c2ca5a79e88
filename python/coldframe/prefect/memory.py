"""Frames that Prefect loads twice for one cache hit: once to see whether they are there, and once to have them.

A frame is kept from the first to the second, and no longer than the task run lasts that asked for it. It is given once:
whoever has it may change it. Whatever else reads results, such as the body of a task, has no part in it.
"""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from typing import Any

from prefect.context import TaskRunContext

from coldframe.prefect.transactions import is_read_again


@dataclass(frozen=True)
class Name:
    """Which frame."""

    kind: str | None
    key: str
    version: int
    write: str


_frames: dict[tuple[int, int], dict[Name, Any]] = {}
"""By process and task run. Its methods are atomic, so that it needs no lock, which a fork might leave locked."""


ABSENT = object()
"""What there is where nothing was kept."""


def take(name: Name) -> Any:
    """The frame, which is not kept any longer, if Prefect has seen it and now reads it; else `ABSENT`."""
    context = TaskRunContext.get()
    if context is None or not is_read_again():
        return ABSENT
    return _frames.get((os.getpid(), id(context)), {}).pop(name, ABSENT)


def keep(name: Name, frame: Any) -> None:
    """Keeps a frame until it is taken, or the task run is over, if Prefect now looks whether it is there."""
    context = TaskRunContext.get()
    if context is None or is_read_again() is not False:
        return
    place = (os.getpid(), id(context))
    if place not in _frames:
        _frames[place] = {}
        weakref.finalize(context, _frames.pop, place, None).atexit = False
    _frames[place][name] = frame
