"""How results, stores and listings draw themselves: from facts to text, HTML and markdown.

The functions are pure: they look nothing up, and never fail for what a reference holds. `..._text` is text of at most
100 columns; only code may be longer, since it is there to be copied. `..._html` is one element of the class `coldframe`
that brings its own style sheet, needs no script and nothing from elsewhere, and is readable on light and dark pages.
`..._markdown` is for pages that take that and nothing else, and stays below 64 KiB. What people wrote (keys, titles,
column names, metadata) is inert in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from . import describe, html, markdown, text
from .facts import (
    ColumnFacts,
    ListingFacts,
    ReferenceFacts,
    ScanFacts,
    Snippet,
    StoreFacts,
    VersionFacts,
)

__all__ = [
    "ColumnFacts",
    "ListingFacts",
    "ReferenceFacts",
    "ScanFacts",
    "Snippet",
    "StoreFacts",
    "VersionFacts",
    "listing_html",
    "listing_text",
    "reference_html",
    "reference_markdown",
    "reference_text",
    "scan_text",
    "schema_html",
    "schema_text",
    "store_html",
    "store_text",
    "versions_html",
    "versions_text",
]


def reference_text(facts: ReferenceFacts) -> str:
    """One result as text."""
    return text.render(describe.reference(facts))


def reference_html(facts: ReferenceFacts) -> str:
    """One result as HTML."""
    return html.render(describe.reference(facts))


def reference_markdown(facts: ReferenceFacts) -> str:
    """One result as GitHub-flavoured markdown of less than 64 KiB, with at most 100 columns.

    It is kept and read later: give no `now`, and it tells times and not ages.
    """
    return markdown.render_within(markdown.LIMIT, lambda columns: describe.reference(facts, columns), 100)


def store_text(facts: StoreFacts) -> str:
    """A store as text."""
    return text.render(describe.store(facts))


def store_html(facts: StoreFacts) -> str:
    """A store as HTML."""
    return html.render(describe.store(facts))


def listing_text(facts: ListingFacts) -> str:
    """The keys of a store as text, in the order given."""
    return text.render(describe.listing(facts))


def listing_html(facts: ListingFacts) -> str:
    """The keys of a store as HTML, in the order given."""
    return html.render(describe.listing(facts))


def versions_text(key: str, entries: Sequence[VersionFacts], now: datetime | None = None) -> str:
    """The versions of a key as text, in the order given; without `now`, with exact times instead of ages."""
    return text.render(describe.versions(key, entries, now))


def versions_html(key: str, entries: Sequence[VersionFacts], now: datetime | None = None) -> str:
    """The versions of a key as HTML, in the order given; without `now`, with exact times instead of ages."""
    return html.render(describe.versions(key, entries, now))


def schema_text(fields: Sequence[tuple[str, str, bool]]) -> str:
    """A schema as text: of each column its name, its type, and whether its values may be null."""
    return text.render(describe.schema(fields))


def schema_html(fields: Sequence[tuple[str, str, bool]]) -> str:
    """A schema as HTML: of each column its name, its type, and whether its values may be null."""
    return html.render(describe.schema(fields))


def scan_text(facts: ScanFacts) -> str:
    """A scan as one line: of which result it is, and what of it is read."""
    return text.in_one_line(describe.scan(facts))
