"""What is in a store: keys, the versions of one key, and whether all of it is sound."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from coldframe import drawing
from coldframe.reference import ResultReference

if TYPE_CHECKING:
    from coldframe import _coldframe
    from coldframe.store import Store

_DRAWN = 50
"""Results that are fetched to be drawn."""


class Listing(Sequence[ResultReference]):
    """The newest version of each key, in the order of the keys; fetched in pages as they are taken.

    `len` and negative positions fetch all of them.
    """

    def __init__(self, store: Store, prefix: str, search: str | None) -> None:
        self._store = store
        self._prefix = prefix
        self._search = search
        self._after: str | None = None
        self._ended = False
        self._references: list[ResultReference] = []
        self._unreadable: list[tuple[str, str]] = []
        # The first page is fetched at once, so that a store that cannot be listed says so here.
        self._fetch()

    def _fetch(self) -> None:
        found, unreadable, self._after = self._store._native.list(self._prefix, self._search, 100, self._after)
        self._references += [ResultReference(reference, self._store) for reference in found]
        self._unreadable += unreadable
        self._ended = self._after is None

    def _fetch_until(self, count: int | None) -> None:
        while not self._ended and (count is None or len(self._references) < count):
            self._fetch()

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """Keys whose reference cannot be read, and why; of the pages that were fetched."""
        return list(self._unreadable)

    def __iter__(self) -> Iterator[ResultReference]:
        position = 0
        while True:
            self._fetch_until(position + 1)
            if position >= len(self._references):
                return
            yield self._references[position]
            position += 1

    def __len__(self) -> int:
        self._fetch_until(None)
        return len(self._references)

    @overload
    def __getitem__(self, position: int) -> ResultReference: ...

    @overload
    def __getitem__(self, position: slice) -> list[ResultReference]: ...

    def __getitem__(self, position: int | slice) -> ResultReference | list[ResultReference]:
        last = position.stop if isinstance(position, slice) else position + 1
        step = position.step if isinstance(position, slice) else None
        begin = position.start if isinstance(position, slice) else 0
        bounded = last is not None and last > 0 and (begin or 0) >= 0 and (step is None or step > 0)
        self._fetch_until(last if bounded else None)
        return self._references[position]

    def _facts(self) -> Any:
        self._fetch_until(_DRAWN)
        return {
            "entries": [json.loads(reference.json()) for reference in self._references[:_DRAWN]],
            "prefix": self._prefix,
            "more": not self._ended or len(self._references) > _DRAWN,
            "unreadable": self._unreadable,
            "now": drawing.now(),
        }

    def __repr__(self) -> str:
        from coldframe import card

        return card.listing_text(self._facts())

    def _repr_html_(self) -> str:
        from coldframe import card

        return card.listing_html(self._facts())


@dataclass(frozen=True)
class VersionEntry:
    """One version of a key."""

    version: int
    """Its number."""
    state: str
    """``live``, ``expired``, ``deleted`` or ``damaged``."""
    why: str | None
    """When, by whom and why it was deleted; what is damaged."""
    reference: ResultReference | None
    """What was written, where it is still known."""


class Versions(Sequence[VersionEntry]):
    """Every version of a key, the newest first, deleted ones too."""

    def __init__(
        self, key: str, entries: list[tuple[int, str, str | None, _coldframe.Reference | None]], store: Store
    ) -> None:
        self._key = key
        self._entries = [
            VersionEntry(version, state, why, None if native is None else ResultReference(native, store))
            for version, state, why, native in entries
        ]

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, position: int) -> VersionEntry: ...

    @overload
    def __getitem__(self, position: slice) -> list[VersionEntry]: ...

    def __getitem__(self, position: int | slice) -> VersionEntry | list[VersionEntry]:
        return self._entries[position]

    def _facts(self) -> list[Any]:
        return [
            {
                "version": entry.version,
                "state": entry.state,
                "why": entry.why,
                "reference": None if entry.reference is None else json.loads(entry.reference.json()),
            }
            for entry in self._entries
        ]

    def __repr__(self) -> str:
        from coldframe import card

        return card.versions_text(self._key, self._facts(), drawing.now())

    def _repr_html_(self) -> str:
        from coldframe import card

        return card.versions_html(self._key, self._facts(), drawing.now())


@dataclass(frozen=True)
class Verification:
    """What was found when every byte was read and compared."""

    versions: int
    """How many versions were read."""
    bytes: int
    """How many bytes of data were read."""
    problems: list[tuple[str, str, str]]
    """What is damaged: kind, subject and message of each."""
    notes: list[tuple[str, str, str]]
    """What is no damage and worth knowing, such as leftovers of a put that was killed."""

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not self.problems
