"""What a frame is turned into before a store takes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Prepared:
    """A frame on its way into a store.

    Either ``stream`` is given, or ``schema`` with ``batches``. ``batches`` are pulled one by one on the caller's
    thread, and all have ``schema``.
    """

    source: dict[str, Any]
    """The library and kind of frame, and what its exact return needs, as JSON. It goes into the reference."""
    schema: Any = None
    """Has ``__arrow_c_schema__``. Absent where ``stream`` brings it."""
    stream: Any = None
    """Has ``__arrow_c_stream__``."""
    batches: Iterator[Any] | None = None
    """Items that have ``__arrow_c_array__``."""
    rows: int | None = None
    """How many rows there are, if that is known beforehand."""
    one_shot: bool = False
    """Whether the frame can be read only once."""
    losses: tuple[dict[str, Any], ...] = ()
    """What this conversion loses, known before anything is written: ``{"column": "c", "loses": "..."}``."""
