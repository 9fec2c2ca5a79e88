"""From facts to what a card shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from . import units
from .facts import (
    ColumnFacts,
    ListingFacts,
    ReferenceFacts,
    ReferenceView,
    ScanFacts,
    StoreFacts,
    VersionFacts,
    as_text,
    location,
    reading_code,
    serializer_form,
)
from .model import Card, Cell, Grid, Heading, Property, Section

DRAWN = 50
"""How many rows of a table are drawn at most."""
_DRAWN_FILES = 5
_DRAWN_LOSSES = 10
_NUMERIC = re.compile(r"(u?int|float|double|half|decimal)", re.IGNORECASE)


def reference(facts: ReferenceFacts, drawn: int = DRAWN) -> Card:
    """The card of one result, with at most so many of its columns."""
    view = ReferenceView(facts["reference"])
    now, columns = facts.get("now"), facts.get("columns")
    return Card(
        kind="ResultReference",
        name=view.name,
        title=view.text("title"),
        summary=_summary(view, columns, now),
        problem=facts.get("problem"),
        description=view.text("description"),
        properties=_properties(view, now),
        grid=_columns(columns, drawn) if columns else None,
        sections=_sections(view, facts),
    )


def _summary(view: ReferenceView, columns: Sequence[ColumnFacts] | None, now: datetime | None) -> tuple[Cell, ...]:
    if view.serializer is None:
        return (Cell("compact reference", "The rest is read from the storage when it is needed."),)
    cells = [Cell(_shape(view, None if columns is None else len(columns)))]
    if view.size is not None and view.parts():
        each = units.per_row(view.size, view.rows) if view.rows else ""
        cells.append(Cell(f"{units.size(view.size)} ({each})" if each else units.size(view.size), _exact_size(view)))
    if view.serializer.get("type") != "literal":
        cells.append(Cell(serializer_form(view.serializer), "the serializer"))
    if view.created is not None and now is not None:
        cells.append(_age(view, now))
    if view.expires is not None and now is not None:
        cells.append(_expiry(view, now))
    return tuple(cell for cell in cells if cell.text)


def _shape(view: ReferenceView, columns: int | None) -> str:
    """`6 rows × 2 columns`, or of what is no table, what it is."""
    kind = _innermost(view.serializer or {})
    if kind.get("type") == "literal":
        return f"literal {as_text(kind.get('value'))}"
    if view.rows is not None:
        rows = units.counted(view.rows, "row")
        return rows if columns is None else f"{rows} × {units.counted(columns, 'column')}"
    return {"json": "JSON value", "bytes": "bytes"}.get(str(kind.get("type")), "")


def _innermost(descriptor: Mapping[str, Any]) -> Mapping[str, Any]:
    while isinstance(inner := descriptor.get("inner"), Mapping):
        descriptor = inner
    return descriptor


def _exact_size(view: ReferenceView) -> str | None:
    return None if view.size is None else f"{units.counted(view.size, 'byte')} stored"


def _age(view: ReferenceView, now: datetime | None) -> Cell:
    if view.created is None:
        return Cell("")
    exact = units.exact(view.created)
    return Cell(exact) if now is None else Cell(units.relative(now, view.created), exact)


def _expiry(view: ReferenceView, now: datetime | None) -> Cell:
    if view.expires is None:
        return Cell("")
    exact = units.exact(view.expires)
    if now is None:
        return Cell(exact)
    told = units.relative(now, view.expires)
    expired = not told.startswith("in ")
    return Cell(f"{'expired' if expired else 'expires'} {told}", exact, warns=expired)


def _properties(view: ReferenceView, now: datetime | None) -> tuple[Property, ...]:
    storage = view.text("storage")
    properties: list[Property] = []

    def add(name: str, *values: str, code: bool = False, in_summary: bool = False) -> None:
        if any(values):
            properties.append(Property(name, tuple(Cell(value) for value in values if value), code, in_summary))

    add("storage", storage or "", code=True)
    add("profile", view.text("profile") or "", code=True)
    parts = view.parts()
    files = [location(storage, part["path"]) for part in parts[:_DRAWN_FILES]]
    if len(parts) > _DRAWN_FILES:
        files.append(f"… and {units.counted(len(parts) - _DRAWN_FILES, 'more file')}")
    add("file" if len(parts) == 1 else "files", *files, code=True)
    add("from", view.came_from() or "")
    for field, moment in (("created", view.created), ("expires", view.expires)):
        # What is no time is shown as it is.
        shown = view.text(field) or "" if moment is None else units.exact(moment)
        add(field, shown, in_summary=moment is not None and now is not None)
    add("copy of", _origin(view))
    losses = [_loss(loses, columns) for loses, columns in view.losses().items()]
    if len(losses) > _DRAWN_LOSSES:
        losses[_DRAWN_LOSSES:] = [f"… and {len(losses) - _DRAWN_LOSSES:,} more"]
    add("lossy", *losses)
    return tuple(properties)


def _origin(view: ReferenceView) -> str:
    if view.origin is None:
        return ""
    origin = ReferenceView(view.origin)
    created = "" if origin.created is None else f", created {units.exact(origin.created)}"
    return f"{origin.name}{created}"


def _loss(loses: str, columns: Sequence[str]) -> str:
    named = ", ".join(columns[:5]) + (f" and {len(columns) - 5} more" if len(columns) > 5 else "")
    return f"{named}: {loses}" if named else loses


def _columns(columns: Sequence[ColumnFacts], most: int) -> Grid:
    drawn = columns[:most]
    sizes = [column.get("bytes") or 0 for column in columns]
    total, largest = sum(sizes), max(sizes)

    fields: list[tuple[Heading, list[Cell]]] = [
        (Heading("column", code=True, cuts=True), [Cell(str(column.get("name", "?"))) for column in drawn]),
        (Heading("type", code=True, cuts=True), [Cell(str(column.get("type", "?"))) for column in drawn]),
    ]
    if any(column.get("nulls") is not None for column in columns):
        cells = [Cell("" if (nulls := column.get("nulls")) is None else units.count(nulls)) for column in drawn]
        fields.append((Heading("nulls", right=True), cells))
    numeric = all(_NUMERIC.match(str(column.get("type", ""))) for column in drawn)
    if any(column.get("min") is not None or column.get("max") is not None for column in columns):
        fields.append((Heading("min", right=numeric, cuts=True), [Cell(column.get("min") or "") for column in drawn]))
        fields.append((Heading("max", right=numeric, cuts=True), [Cell(column.get("max") or "") for column in drawn]))
    if any(column.get("bytes") is not None for column in columns):
        drawn_sizes = [column.get("bytes") for column in drawn]
        fields.append((Heading("stored", right=True), [_stored(size, total, largest) for size in drawn_sizes]))
    hidden = len(columns) - len(drawn)
    return Grid(
        tuple(heading for heading, _ in fields),
        tuple(zip(*(cells for _, cells in fields), strict=True)),
        f"… and {units.counted(hidden, 'more column')}" if hidden else None,
    )


def _stored(stored: int | None, total: int, largest: int) -> Cell:
    if stored is None:
        return Cell("")
    share = f", {stored / total:.1%} of all columns" if total else ""
    # The bars compare the columns: of a thousand columns, none has a share that could be seen.
    return Cell(units.size(stored), units.counted(stored, "byte") + share, stored / largest if largest else 0.0)


def _sections(view: ReferenceView, facts: ReferenceFacts) -> tuple[Section, ...]:
    sections = []
    if view.metadata:
        entries = [Property(str(name), (Cell(as_text(value)),)) for name, value in view.metadata.items()]
        sections.append(Section("Metadata", tuple(entries)))
    code = [Property("coldframe", (Cell(reading_code(view)),))]
    code += [Property(each["language"], (Cell(each["code"]),)) for each in facts.get("snippets") or ()]
    sections.append(Section("How to read it", tuple(code), blocks=True))
    return tuple(sections)


def store(facts: StoreFacts) -> Card:
    """The card of a store."""
    durable = facts.get("durable")
    summary: tuple[Cell, ...] = ()
    if durable is not None:
        told = "durable" if durable else "not durable: a loss of power may take the last puts"
        summary = (Cell(told, "A local put is on disk when it returns." if durable else None, warns=not durable),)
    name = facts.get("url") or "?"
    return Card("Store", name, summary=summary, problem=facts.get("problem"))


def listing(facts: ListingFacts) -> Card:
    """The card of a listing."""
    entries, unreadable = facts.get("entries") or (), facts.get("unreadable") or ()
    now, prefix, more = facts.get("now"), facts.get("prefix"), facts.get("more", False)
    known = units.counted(len(entries) + len(unreadable), "key")
    name = f"{'the first ' if more else ''}{known}{f' below {prefix}' if prefix else ''}"
    views = [ReferenceView(entry) for entry in entries[:DRAWN]]
    hidden = len(entries) - len(views)
    rest = "… and more" if more else f"… and {hidden:,} more" if hidden else None
    headings, rows = _results(views, now, "key")
    notes = tuple(Cell(f"{key} is unreadable: {why}", warns=True) for key, why in unreadable[:DRAWN])
    if len(unreadable) > DRAWN:
        notes += (Cell(f"… and {len(unreadable) - DRAWN:,} more are unreadable", warns=True),)
    grid = Grid(headings, rows, rest) if rows or rest else None
    return Card("Listing", name, grid=grid, notes=notes)


def _results(views: Sequence[ReferenceView], now: datetime | None, name: str) -> tuple[tuple[Heading, ...], Any]:
    """The table of several results; columns in which all cells are empty are left out."""
    fields = [
        (Heading(name, code=True, cuts=True), [Cell(view.key) for view in views]),
        (Heading("version", right=True), [Cell("" if view.version is None else str(view.version)) for view in views]),
        (Heading("rows", right=True), [Cell("" if view.rows is None else units.count(view.rows)) for view in views]),
        (Heading("columns", right=True), [_column_count(view) for view in views]),
        (Heading("size", right=True), [_size(view) for view in views]),
        (Heading("created"), [_age(view, now) for view in views]),
        (Heading("expires"), [_expires(view, now) for view in views]),
        (Heading("title", cuts=True), [Cell(view.text("title") or "") for view in views]),
    ]
    shown = [(heading, cells) for heading, cells in fields if any(cell.text for cell in cells)]
    return tuple(heading for heading, _ in shown), tuple(zip(*(cells for _, cells in shown), strict=True))


def _column_count(view: ReferenceView) -> Cell:
    """The number of columns, where the caller has put it beside the reference's own fields."""
    columns = view.number("columns")
    return Cell("" if columns is None else units.count(columns))


def _size(view: ReferenceView) -> Cell:
    return Cell("" if view.size is None else units.size(view.size), _exact_size(view))


def _expires(view: ReferenceView, now: datetime | None) -> Cell:
    cell = _expiry(view, now)
    return Cell(cell.text.removeprefix("expires "), cell.tooltip, warns=cell.warns)


def versions(key: str, entries: Sequence[VersionFacts], now: datetime | None) -> Card:
    """The card of the versions of one key."""
    drawn = entries[:DRAWN]
    views = [ReferenceView(entry.get("reference") or {}) for entry in drawn]
    fields = [
        (Heading("version", right=True), [Cell(str(entry.get("version", "?"))) for entry in drawn]),
        (
            Heading("state", cuts=True),
            [Cell(state := entry.get("state", "?"), warns=state != "live") for entry in drawn],
        ),
    ]
    headings, rows = _results(views, now, "key")
    known = [(heading, [row[at] for row in rows]) for at, heading in enumerate(headings)]
    fields += [(heading, cells) for heading, cells in known if heading.name not in ("key", "version")]
    notes = tuple(
        Cell(f"version {entry.get('version', '?')} is {entry.get('state', '?')}: {why}", warns=True)
        for entry in drawn
        if (why := entry.get("why"))
    )
    hidden = len(entries) - len(drawn)
    rest = f"… and {units.counted(hidden, 'more version')}" if hidden else None
    grid = Grid(tuple(heading for heading, _ in fields), tuple(zip(*(cells for _, cells in fields), strict=True)), rest)
    name = f"{units.counted(len(entries), 'version')} of {key}"
    return Card("Versions", name, grid=grid if entries else None, notes=notes)


def schema(fields: Sequence[tuple[str, str, bool]]) -> Card:
    """The card of a schema: name, type, and whether a value may be null."""
    headings = (Heading("column", code=True, cuts=True), Heading("type", code=True, cuts=True), Heading("null"))
    drawn = fields[:DRAWN]
    rows = tuple((Cell(name), Cell(kind), Cell("yes" if nullable else "no")) for name, kind, nullable in drawn)
    hidden = len(fields) - len(drawn)
    rest = f"… and {units.counted(hidden, 'more column')}" if hidden else None
    return Card("Schema", units.counted(len(fields), "column"), grid=Grid(headings, rows, rest) if rows else None)


def scan(facts: ScanFacts) -> str:
    """What a scan reads, as a sentence."""
    columns, offset = facts.get("columns"), facts.get("offset") or 0
    limit, tail = facts.get("limit"), facts.get("tail")
    rows = "all rows"
    if tail is not None:
        rows = f"the last {units.counted(tail, 'row')}"
    elif limit is not None:
        rows = f"at most {units.counted(limit, 'row')}"
    where = facts.get("where")
    if where is not None:
        rows += f" where {where}"
    skipped = f" after the first {units.counted(offset, 'row')}" if offset else ""
    of = "all columns" if columns is None else "no columns"
    if columns:
        of = f"{units.counted(len(columns), 'column')} ({', '.join(columns)})"
    return f"Scan: {facts.get('result', '?')}, {rows}{skipped}, {of}"
