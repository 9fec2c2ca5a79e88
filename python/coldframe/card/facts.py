"""What the functions of this package are given, and a reference read with care.

A reference may come from anybody, and a drawing must not fail: what is missing, or is no such thing as the format says,
is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict
from urllib.parse import unquote, urlsplit

from . import units


class ColumnFacts(TypedDict, total=False):
    """One column of a table."""

    name: str
    type: str
    bytes: int | None
    """The bytes that it takes in the files."""
    nulls: int | None
    """How many of its values are null."""
    min: str | None
    """Its least value, as text."""
    max: str | None
    """Its greatest value, as text."""


class Snippet(TypedDict):
    """Code that reads a result's files without coldframe."""

    language: str
    code: str


class ReferenceFacts(TypedDict, total=False):
    """One result. Only `reference` is needed."""

    reference: Mapping[str, Any]
    """The JSON of a reference, full or compact, as the chapter on the format says."""
    columns: Sequence[ColumnFacts] | None
    """The columns; None where the result is no table or nobody has looked."""
    snippets: Sequence[Snippet]
    now: datetime
    """From when ages are counted; without it only exact times are shown."""
    problem: str | None
    """Why it cannot be read."""


class StoreFacts(TypedDict, total=False):
    """A store."""

    url: str | None
    durable: bool | None
    """Whether a local put is on disk when it returns."""
    problem: str | None
    """Why it cannot be used."""


class ListingFacts(TypedDict, total=False):
    """Some keys of a store, in the order in which they are shown."""

    entries: Sequence[Mapping[str, Any]]
    """The references, as JSON."""
    prefix: str | None
    """What was listed: the keys below it."""
    more: bool
    """There are more than these."""
    unreadable: Sequence[tuple[str, str]]
    """Keys whose reference could not be read, and why."""
    now: datetime


class VersionFacts(TypedDict, total=False):
    """One version of a key."""

    version: int
    state: str
    """`live`, `expired`, `deleted` or `damaged`."""
    why: str | None
    """Why it is not live."""
    reference: Mapping[str, Any] | None
    """The reference as JSON, while there is one."""


class ScanFacts(TypedDict, total=False):
    """What is read of a result."""

    result: str
    """Its key, with or without a version."""
    columns: Sequence[str] | None
    """The columns; None for all."""
    where: str | None
    """What holds for the rows; None for all."""
    offset: int
    """How many rows are skipped."""
    limit: int | None
    """How many rows are read at most; None for all."""
    tail: int | None
    """How many rows are read from the end; None where the end does not count."""


class ReferenceView:
    """A reference's fields, each of the type that the format says or None."""

    def __init__(self, reference: Mapping[str, Any]) -> None:
        self.fields = reference if isinstance(reference, Mapping) else {}
        self.key = self.text("key") or "?"
        self.version = self.number("version")
        self.serializer = self._object("serializer")
        self.source = self._object("source")
        self.origin = self._object("copied_from")
        self.metadata = self._object("metadata") or {}
        self.rows = self.number("rows")
        self.size = self.number("size")
        self.created = units.instant(self.fields.get("created"))
        self.expires = units.instant(self.fields.get("expires"))

    def text(self, field: str) -> str | None:
        """A field that is a text, and not empty."""
        value = self.fields.get(field)
        return value if isinstance(value, str) and value else None

    def number(self, field: str) -> int | None:
        """A field that is a whole number from 0 to 2⁶³ − 1."""
        return _number(self.fields.get(field))

    def _object(self, field: str) -> Mapping[str, Any] | None:
        value = self.fields.get(field)
        return value if isinstance(value, Mapping) else None

    @property
    def name(self) -> str:
        """The key and the version: `etl/trips@3`."""
        return self.key if self.version is None else f"{self.key}@{self.version}"

    def parts(self) -> list[Mapping[str, Any]]:
        """The parts that have a path."""
        parts = self.fields.get("parts")
        known = parts if isinstance(parts, Sequence) else ()
        return [part for part in known if isinstance(part, Mapping) and isinstance(part.get("path"), str)]

    def losses(self) -> dict[str, list[str]]:
        """What a round trip loses, and of which columns."""
        lossy = self.fields.get("lossy")
        losses: dict[str, list[str]] = {}
        for loss in lossy if isinstance(lossy, list) else ():
            if isinstance(loss, Mapping) and isinstance(loss.get("loses"), str):
                losses.setdefault(loss["loses"], []).append(as_text(loss.get("column", "?")))
            else:
                losses.setdefault(as_text(loss), [])
        return losses

    def came_from(self) -> str | None:
        """From what it came: `pandas 3.1.1 DataFrame`."""
        named = (self.source or {}).get
        words = [word for word in (named("library"), named("version"), named("kind")) if isinstance(word, str) and word]
        return " ".join(words) or None


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    return None


def as_text(value: object) -> str:
    """A JSON value as text: a text as it is, anything else as compact JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return f"<{type(value).__name__}>"


def serializer_form(descriptor: Mapping[str, Any]) -> str:
    """A serializer's short form, such as `parquet/zstd(1)`; of one that is not coldframe's own, its JSON."""
    fields = dict(descriptor)
    kind, codec = fields.pop("type", None), fields.pop("compression", fields.pop("codec", None))
    level, inner = fields.pop("level", None), fields.pop("inner", None)
    choice = "" if codec is None else f"{codec}({level})" if level is not None else f"{codec}"
    if kind == "parquet" and set(fields) == {"preset"} and inner is None:
        kind = f"parquet({fields.pop('preset')})"
    if (kind == "arrow" or f"{kind}".startswith("parquet")) and not fields and inner is None:
        return f"{kind}/{choice}" if choice else f"{kind}"
    if kind == "compressed" and not fields and isinstance(inner, Mapping):
        return f"compressed({choice})/{serializer_form(inner)}"
    if kind == "bytes" and codec is None and set(fields) <= {"media_type"}:
        media_type = fields.get("media_type")
        return f"bytes({media_type})" if media_type else "bytes"
    return kind if isinstance(kind, str) and set(descriptor) == {"type"} else as_text(dict(descriptor))


def location(storage: str | None, path: str) -> str:
    """Where the file of a part lies: a path of this machine for a local store, else a URL's text.

    The path is a name and not a URL: its percent signs stay.
    """
    if not storage:
        return path
    if storage.startswith("file://"):
        root = unquote(urlsplit(storage).path)
        # A drive, as in file:///C:/results.
        root = root[1:] if re.match(r"/[A-Za-z]:", root) else root
    else:
        root = storage
    return f"{root}{path}" if root.endswith("://") else f"{root.rstrip('/')}/{path}"


def code_text(text: str) -> str:
    """A text as a Python literal in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def reading_code(view: ReferenceView) -> str:
    """The Python that reads a result with coldframe."""
    storage = view.text("storage")
    if storage is not None and storage.startswith("memory:"):
        # Opening the URL again would give another, empty store.
        return f"store.get({code_text(view.name)})  # with the store that wrote it: it lives in memory"
    where = view.text("profile") or storage or "…"
    return f"coldframe.Store({code_text(where)}).get({code_text(view.name)})"
