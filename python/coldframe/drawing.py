"""How results draw themselves: facts from the reference and the footers, drawn by `card`."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from coldframe.errors import ColdframeError

if TYPE_CHECKING:
    from coldframe.card.facts import ColumnFacts, ReferenceFacts
    from coldframe.reference import ResultReference


class Card:
    """What is known of a result, without reading its data. It draws itself in a notebook; `print` shows it as text."""

    def __init__(self, reference: ResultReference) -> None:
        self._facts = _facts(reference)

    def __str__(self) -> str:
        from coldframe import card

        return card.reference_text(self._facts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from coldframe import card

        return card.reference_html(self._facts)


def reference_text(reference: ResultReference) -> str:
    """The card of a reference, as text."""
    from coldframe import card

    return card.reference_text(_facts(reference))


def reference_html(reference: ResultReference) -> str:
    """The card of a reference, as HTML."""
    from coldframe import card

    return card.reference_html(_facts(reference))


def reference_markdown(reference: ResultReference) -> str:
    """The card of a reference, as markdown for a page that outlives the moment: it tells times, and no ages."""
    from coldframe import card

    facts = _facts(reference)
    del facts["now"]
    return card.reference_markdown(facts)


def now() -> datetime:
    """The time from which ages are counted."""
    return datetime.now(timezone.utc)


def _facts(reference: ResultReference) -> ReferenceFacts:
    native = reference._native
    columns: list[ColumnFacts] | None = None
    problem: str | None = None
    try:
        opened = reference._open()
        native = opened.reference
        columns = _columns(reference)
    # A cell that shows a reference must not fail, whatever the storage says.
    except ColdframeError as error:
        problem = str(error)
    facts: ReferenceFacts = {
        "reference": json.loads(native.json()),
        "columns": columns,
        "snippets": [{"language": language, "code": code} for language, code in native.snippets()],
        "now": now(),
        "problem": problem,
    }
    return facts


def _columns(reference: ResultReference) -> list[ColumnFacts] | None:
    opened = reference._open()
    if opened.schema is None:
        return None
    statistics = opened.columns()
    columns: list[ColumnFacts] = []
    for position, (name, kind, _) in enumerate(opened.schema.fields()):
        if statistics is None:
            columns.append({"name": name, "type": kind, "bytes": None, "nulls": None, "min": None, "max": None})
            continue
        _, stored, nulls, least, greatest = statistics[position]
        columns.append({"name": name, "type": kind, "bytes": stored, "nulls": nulls, "min": least, "max": greatest})
    return columns
