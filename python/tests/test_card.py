"""Cards: what is shown of results, stores and listings, as text and as HTML."""

from __future__ import annotations

import copy
import json
import random
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from coldframe import card
from coldframe.card import characters

NOW = datetime(2026, 11, 20, 14, 5, tzinfo=timezone.utc)
PATH = "data/etl/trips/01JD3Q8V5E6M1N9T0C4K7R2XWZ.parquet"
FULL: dict[str, Any] = {
    "type": "reference",
    "format": 1,
    "key": "etl/trips",
    "version": 3,
    "write": "01JD3Q8V5E6M1N9T0C4K7R2XWZ",
    "storage": "s3://acme/results",
    "serializer": {"type": "parquet", "compression": "zstd", "level": 1},
    "parts": [{"path": PATH, "size": 48211930, "rows": 6001215, "checksum": "xxh3-128:00"}],
    "rows": 6001215,
    "size": 48211930,
    "schema": None,
    "lossy": [{"column": name, "loses": "the order of its dictionary"} for name in ("zone", "carrier")],
    "source": {"library": "pandas", "kind": "DataFrame", "version": "3.1.1"},
    "created": "2026-11-20T11:02:03.123456Z",
    "expires": "2026-11-26T18:00:00Z",
    "title": "Taxi trips",
    "description": "All trips so far.\nRefunded ones are left out.",
    "metadata": {"flow": "train", "parameters": {"month": 11}},
    "copied_from": {
        "key": "staging/trips",
        "version": 7,
        "write": "01JD3Q8V5E6M1N9T0C4K7R2XWY",
        "created": "2026-11-19T10:00:00Z",
    },
}
COMPACT = {field: FULL[field] for field in ("type", "format", "key", "version", "write", "storage")}
COLUMNS: list[card.ColumnFacts] = [
    {
        "name": "pickup",
        "type": "timestamp[us]",
        "bytes": 3_000_000,
        "nulls": 0,
        "min": "2026-11-01",
        "max": "2026-11-19",
    },
    {"name": "fare", "type": "double", "bytes": 1_000_000, "nulls": 1234, "min": "-52.0", "max": "4265.0"},
    {"name": "route", "type": "list<item: double>", "bytes": None, "nulls": None, "min": None, "max": None},
]
SNIPPETS: list[card.Snippet] = [
    {"language": "Python", "code": "import pyarrow.parquet as pq; df = pq.read_table(" + repr("/a" * 80) + ")"},
    {"language": "DuckDB", "code": "SELECT *\nFROM 'x.parquet'"},
]
FACTS: card.ReferenceFacts = {"reference": FULL, "columns": COLUMNS, "snippets": SNIPPETS, "now": NOW, "problem": None}
HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp; &#60;",
    "]]><!-- --!><![CDATA[",
    "line\nbreak\r\x1b[31mred\x07\x00\x9b",
    "\u202egnp.exe \u2066\u2069\u200f",
    "السعر باليورو",
    "価格" * 40,
    "e\u0301" * 30 + "👩\u200d🔬",
    "\ud800 lone",
    "{{ x }} ${y} %s {z}",
    "a" * 5_000,
    "",
    " ",
]


class _Markup(HTMLParser):
    """Parses strictly: every element that is opened is closed, in order."""

    VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "col", "wbr"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.by_tag: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len({name for name, _ in attrs})
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)
            self.by_tag.append((next((tag for tag in reversed(self.open) if tag != "bdi"), ""), data))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data}")

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


ALLOWED = {"div", "style", "span", "bdi", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "details"}
ALLOWED |= {"summary", "pre", "code"}


def _checked_html(html: str) -> _Markup:
    """The parsed HTML: balanced, one element, and nothing in it that acts or loads."""
    html.encode()
    parsed = _Markup(html)
    assert html.startswith('<div class="coldframe"><style>')
    assert parsed.count("style") == 1
    for tag, attributes in parsed.elements:
        assert tag in ALLOWED
        assert set(attributes) <= {"class", "style", "title", "scope"}
        assert all(
            name == "coldframe" or name.startswith("coldframe-") for name in (attributes.get("class") or "").split()
        )
    style = html[html.index("<style>") : html.index("</style>")]
    for loading in ("url(", "@import", "http", "<!--"):
        assert loading not in style
    return parsed


def _checked_text(text: str, code: bool = False) -> list[str]:
    """The lines of a text: harmless, and no wider than they should be, code excepted."""
    text.encode()
    lines = text.split("\n")
    for line in lines:
        assert characters.one_line(line) == line
        assert line == line.rstrip()
        if not code or not line.startswith("    "):
            assert characters.width(line) <= 100, line
    return lines


def _draw_all(text: str) -> list[tuple[str, str]]:
    """Everything that can be drawn, with `text` wherever people may write: each as text and as HTML."""
    reference = {
        **copy.deepcopy(FULL),
        "key": text or "k",
        "storage": text,
        "profile": text,
        "title": text,
        "description": text,
        "metadata": {text: text, "x": [text]},
        "lossy": [{"column": text, "loses": text}],
        "source": {"library": text, "kind": text},
        "serializer": {"type": text, "x": text},
        "parts": [{"path": f"data/{text}"}],
        "created": text,
    }
    columns: list[card.ColumnFacts] = [
        {"name": text, "type": text, "bytes": 5, "nulls": 3, "min": text, "max": text},
        {"name": "x" + text, "type": "int8", "bytes": 0, "nulls": None, "min": None, "max": None},
    ]
    snippets: list[card.Snippet] = [{"language": text, "code": text}]
    about: card.ReferenceFacts = {
        "reference": reference,
        "columns": columns,
        "snippets": snippets,
        "now": NOW,
        "problem": text,
    }
    store: card.StoreFacts = {"url": text, "durable": False, "problem": text}
    listing: card.ListingFacts = {
        "entries": [reference, COMPACT],
        "prefix": text,
        "more": True,
        "unreadable": [(text, text)],
    }
    versions: list[card.VersionFacts] = [{"version": 2, "state": text, "why": text, "reference": reference}]
    schema = [(text, text, True), ("x" + text, "int8", False)]
    return [
        (card.reference_text(about), card.reference_html(about)),
        (card.store_text(store), card.store_html(store)),
        (card.listing_text(listing), card.listing_html(listing)),
        (card.versions_text(text, versions, NOW), card.versions_html(text, versions, NOW)),
        (card.schema_text(schema), card.schema_html(schema)),
    ]


def test_a_reference_as_text_is_exactly_this() -> None:
    assert card.reference_text({**FACTS, "snippets": SNIPPETS[1:]}) == "\n".join(
        [
            "ResultReference: etl/trips@3 — Taxi trips",
            "6,001,215 rows × 3 columns · 46.0 MiB (8.0 bytes per row) · parquet/zstd(1) · 3 hours ago",
            "expires in 6 days",
            "",
            "All trips so far.",
            "Refunded ones are left out.",
            "",
            "storage  s3://acme/results",
            f"file     s3://acme/results/{PATH}",
            "from     pandas 3.1.1 DataFrame",
            "created  2026-11-20 11:02:03 UTC",
            "expires  2026-11-26 18:00:00 UTC",
            "copy of  staging/trips@7, created 2026-11-19 10:00:00 UTC",
            "lossy    zone, carrier: the order of its dictionary",
            "",
            "column  type                nulls  min         max            stored",
            "──────  ──────────────────  ─────  ──────────  ──────────  ─────────",
            "pickup  timestamp[us]           0  2026-11-01  2026-11-19    2.9 MiB",
            "fare    double              1,234  -52.0       4265.0      976.6 KiB",
            "route   list<item: double>",
            "",
            "Metadata",
            "  flow        train",
            '  parameters  {"month": 11}',
            "",
            "How to read it",
            "  coldframe:",
            '    coldframe.Store("s3://acme/results").get("etl/trips@3")',
            "  DuckDB:",
            "    SELECT *",
            "    FROM 'x.parquet'",
        ]
    )


def test_a_reference_as_html_shows_the_same_facts() -> None:
    parsed = _checked_html(card.reference_html(FACTS))
    for shown in (
        "etl/trips@3",
        "Taxi trips",
        "6,001,215 rows × 3 columns · 46.0 MiB (8.0 bytes per row) · parquet/zstd(1) · 3 hours ago · expires in 6 days",
        "All trips so far.\nRefunded ones are left out.",
        f"s3://acme/results/{PATH}",
        "pandas 3.1.1 DataFrame",
        "staging/trips@7",
        "zone, carrier: the order of its dictionary",
        '{"month": 11}',
        SNIPPETS[0]["code"],
    ):
        assert shown in parsed.text
    titles = {attributes["title"] for _, attributes in parsed.elements if "title" in attributes}
    assert {"2026-11-20 11:02:03 UTC", "2026-11-26 18:00:00 UTC", "48,211,930 bytes stored"} <= titles
    assert "3,000,000 bytes, 75.0% of all columns" in titles
    assert [text for tag, text in parsed.by_tag if tag == "summary"] == ["Metadata (2)", "How to read it"]
    code = [text for tag, text in parsed.by_tag if tag == "code"]
    assert code[0] == 'coldframe.Store("s3://acme/results").get("etl/trips@3")'
    assert code[1:] == [snippet["code"] for snippet in SNIPPETS]


def test_bars_compare_the_columns_and_numbers_stand_right() -> None:
    parsed = _checked_html(card.reference_html(FACTS))
    bars = [attributes["style"] for tag, attributes in parsed.elements if tag == "span" and "style" in attributes]
    assert bars == ["width:100.0%", "width:33.3%"]
    heads = [text for tag, text in parsed.by_tag if tag == "th"]
    assert heads == ["column", "type", "nulls", "min", "max", "stored"]
    right = ["coldframe-right" in (attributes.get("class") or "") for tag, attributes in parsed.elements if tag == "th"]
    assert right == [False, False, True, False, False, True]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_people_write_is_inert(text: str) -> None:
    for drawn, html in _draw_all(text):
        _checked_text(drawn, code=True)
        parsed = _checked_html(html)
        assert "\x1b" not in html and "\x00" not in html and "\u202e" not in html
        assert not {"script", "img"} & {tag for tag, _ in parsed.elements}


def test_a_script_in_a_title_is_shown_as_it_was_written() -> None:
    title = '<script>alert("1 & 2")</script>'
    html = card.reference_html({**FACTS, "reference": {**FULL, "title": title}})
    assert "<script" not in html.lower()
    assert title in _checked_html(html).texts


def test_text_from_right_to_left_turns_only_itself() -> None:
    html = card.reference_html({**FACTS, "reference": {**FULL, "title": "السعر", "key": "أسعار/x"}})
    assert "<bdi>السعر</bdi>" in html and "<bdi>أسعار/x@3</bdi>" in html
    assert "أسعار/x@3 — السعر" in card.reference_text(
        {**FACTS, "reference": {**FULL, "title": "السعر", "key": "أسعار/x"}}
    )


def test_a_compact_reference_shows_what_is_known() -> None:
    compact: card.ReferenceFacts = {"reference": COMPACT, "columns": None, "snippets": [], "now": NOW, "problem": None}
    assert card.reference_text(compact) == "\n".join(
        [
            "ResultReference: etl/trips@3",
            "compact reference",
            "",
            "storage  s3://acme/results",
            "",
            "How to read it",
            "  coldframe:",
            '    coldframe.Store("s3://acme/results").get("etl/trips@3")',
        ]
    )
    parsed = _checked_html(card.reference_html(compact))
    assert "etl/trips@3" in parsed.text and parsed.count("table") == 0


def test_only_the_reference_is_needed() -> None:
    assert "rows" in card.reference_text({"reference": FULL})
    # Without a now there are no ages, and the times are told themselves.
    html = _checked_html(card.reference_html({"reference": FULL})).text
    assert "2026-11-20 11:02:03 UTC" in html and "ago" not in html
    # With it, the time is in the tooltip of the age and not told twice.
    assert "2026-11-20 11:02:03 UTC" not in _checked_html(card.reference_html(FACTS)).text


def test_a_problem_is_said_and_the_rest_still_drawn() -> None:
    broken: card.ReferenceFacts = {**FACTS, "problem": "etl/trips@3 was deleted: superseded"}
    assert _checked_text(card.reference_text(broken), code=True)[3] == "! etl/trips@3 was deleted: superseded"
    parsed = _checked_html(card.reference_html(broken))
    assert "etl/trips@3 was deleted: superseded" in parsed.texts
    assert "timestamp[us]" in parsed.texts


def test_an_expired_reference_warns() -> None:
    expired = {**FULL, "expires": "2026-11-20T12:05:00Z"}
    assert "expired 2 hours ago" in card.reference_text({**FACTS, "reference": expired})
    html = card.reference_html({**FACTS, "reference": expired})
    assert '<span class="coldframe-warns" title="2026-11-20 12:05:00 UTC"><bdi>expired 2 hours ago</bdi></span>' in html
    assert "coldframe-warns" not in card.reference_html(FACTS).split("</style>")[1]


def test_of_many_columns_fifty_are_drawn_and_the_rest_counted() -> None:
    columns: list[card.ColumnFacts] = [
        {"name": f"c{at}", "type": "float", "bytes": at, "nulls": 0, "min": "0", "max": "1"} for at in range(1_000)
    ]
    many: card.ReferenceFacts = {**FACTS, "columns": columns}
    text = _checked_text(card.reference_text(many), code=True)
    assert "… and 950 more columns" in text
    assert sum(line.startswith("c4") for line in text) == 11
    parsed = _checked_html(card.reference_html(many))
    assert "… and 950 more columns" in parsed.texts and "6,001,215 rows × 1,000 columns" in parsed.text
    assert parsed.count("tr") == 51
    assert len(card.reference_html(many)) < 40_000
    assert "more" not in card.reference_text({**many, "columns": columns[:50]})
    assert "… and 1 more column" in card.reference_text({**many, "columns": columns[:51]}).split("\n")


def test_very_long_names_are_cut_and_told_in_the_tooltip() -> None:
    name = "n" * 300
    columns: list[card.ColumnFacts] = [{**COLUMNS[0], "name": name}, COLUMNS[1]]
    long: card.ReferenceFacts = {**FACTS, "columns": columns}
    rows = [line for line in _checked_text(card.reference_text(long), code=True) if line.startswith("nnn")]
    assert len(rows) == 1 and "… " in rows[0] and rows[0].endswith("2.9 MiB") and len(rows[0]) == 100
    parsed = _checked_html(card.reference_html(long))
    assert [attributes for _, attributes in parsed.elements if attributes.get("title") == name]


def test_a_long_path_stays_whole_and_code_unbroken() -> None:
    reference = {**FULL, "parts": [{"path": "data/" + "segment/" * 30 + "x.parquet"}]}
    text = card.reference_text({**FACTS, "reference": reference})
    joined = "".join(line.strip() for line in _checked_text(text, code=True))
    assert "data/" + "segment/" * 30 + "x.parquet" in joined
    assert "    " + SNIPPETS[0]["code"] in text.split("\n")


def test_several_files_are_counted() -> None:
    parts = [{"path": f"data/etl/trips/x-{at:04}.parquet"} for at in range(9)]
    text = card.reference_text({**FACTS, "reference": {**FULL, "parts": parts}})
    assert "files    s3://acme/results/data/etl/trips/x-0000.parquet" in text
    assert "x-0004" in text and "x-0005" not in text and "… and 4 more files" in text


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"rows": None, "serializer": {"type": "json"}}, "JSON value · 46.0 MiB · json"),
        (
            {"rows": None, "serializer": {"type": "bytes", "media_type": "image/png"}},
            "bytes · 46.0 MiB · bytes(image/png)",
        ),
        (
            {"rows": None, "size": 0, "parts": [], "serializer": {"type": "literal", "value": None}},
            "literal null · 3 hours",
        ),
        ({"rows": 0, "size": 900}, "0 rows · 900 B · parquet"),
        ({"rows": 1}, "1 row · 46.0 MiB (46.0 MiB per row)"),
    ],
)
def test_the_summary_says_what_it_is(changed: dict[str, Any], shown: str) -> None:
    assert shown in card.reference_text({"reference": {**FULL, **changed}, "columns": None, "now": NOW})


def test_references_of_any_shape_are_drawn() -> None:
    generator = random.Random(1)
    odd: list[Any] = [
        None,
        True,
        -1,
        1.5,
        float("nan"),
        "",
        "x",
        [],
        [None],
        [[]],
        {},
        {"x": None},
        {"type": None},
        10**30,
    ]
    for _ in range(200):
        reference = dict(FULL)
        for field in generator.sample(sorted(FULL), 4):
            reference[field] = generator.choice(odd)
        about: card.ReferenceFacts = {"reference": reference, "columns": COLUMNS, "snippets": [], "now": NOW}
        _checked_text(card.reference_text(about), code=True)
        _checked_html(card.reference_html(about))
        _checked_text(card.listing_text({"entries": [reference], "now": NOW}))
        entry: card.VersionFacts = {"version": 1, "state": "live", "reference": reference}
        _checked_html(card.versions_html("k", [entry], NOW))


def test_the_references_of_the_fixtures_are_drawn() -> None:
    root = Path(__file__).resolve().parents[2] / "fixtures" / "v1" / "store" / "refs"
    paths = sorted(root.rglob("*.json"))
    assert len(paths) > 10
    for path in paths:
        reference = json.loads(path.read_text())
        text = card.reference_text({"reference": reference, "columns": None, "now": NOW})
        _checked_text(text, code=True)
        assert text.split("\n")[0].split(" — ")[0] == f"ResultReference: {reference['key']}@{reference['version']}"
        # No serializer of coldframe's own is shown as JSON.
        assert '{"type"' not in text
        _checked_html(card.reference_html({"reference": reference, "columns": None, "now": NOW}))


def test_a_store() -> None:
    assert (
        card.store_text({"url": "s3://acme/results", "durable": True, "problem": None})
        == "Store: s3://acme/results\ndurable"
    )
    broken: card.StoreFacts = {"url": "file:///x", "durable": False, "problem": "the folder is gone"}
    assert card.store_text(broken).split("\n") == [
        "Store: file:///x",
        "not durable: a loss of power may take the last puts",
        "! the folder is gone",
    ]
    assert "the folder is gone" in _checked_html(card.store_html(broken)).texts
    assert card.store_text({"url": "memory://"}) == "Store: memory://"


def test_a_listing() -> None:
    second = {**FULL, "key": "etl/zones", "version": 1, "rows": 265, "size": 5321, "title": None, "expires": None}
    listing: card.ListingFacts = {
        "entries": [FULL, second, COMPACT],
        "prefix": "etl/",
        "more": True,
        "unreadable": [("etl/broken", "it is no JSON")],
        "now": NOW,
    }
    assert card.listing_text(listing).split("\n") == [
        "Listing: the first 4 keys below etl/",
        "",
        "key        version       rows      size  created      expires    title",
        "─────────  ───────  ─────────  ────────  ───────────  ─────────  ──────────",
        "etl/trips        3  6,001,215  46.0 MiB  3 hours ago  in 6 days  Taxi trips",
        "etl/zones        1        265   5.2 KiB  3 hours ago",
        "etl/trips        3",
        "… and more",
        "",
        "etl/broken is unreadable: it is no JSON",
    ]
    parsed = _checked_html(card.listing_html(listing))
    assert parsed.count("tr") == 4 and "etl/broken is unreadable: it is no JSON" in parsed.texts
    assert card.listing_text({"entries": []}) == "Listing: 0 keys"
    _checked_html(card.listing_html({"entries": [], "more": True}))
    counted = [{**FULL, "columns": 12}]
    assert "columns" in card.listing_text({"entries": counted}).split("\n")[2].split()


def test_a_long_listing_is_cut_and_says_so() -> None:
    entries = [{**FULL, "key": f"k{at}"} for at in range(60)]
    text = _checked_text(card.listing_text({"entries": entries, "now": NOW}))
    assert text[0] == "Listing: 60 keys" and text[-1] == "… and 10 more"


def test_versions() -> None:
    entries: list[card.VersionFacts] = [
        {"version": 3, "state": "damaged", "why": "its file is 12 bytes long", "reference": None},
        {"version": 2, "state": "live", "why": None, "reference": {**FULL, "version": 2}},
        {"version": 1, "state": "deleted", "why": "by ada", "reference": None},
    ]
    assert card.versions_text("etl/trips", entries, NOW).split("\n") == [
        "Versions: 3 versions of etl/trips",
        "",
        "version  state         rows      size  created      expires    title",
        "───────  ───────  ─────────  ────────  ───────────  ─────────  ──────────",
        "      3  damaged",
        "      2  live     6,001,215  46.0 MiB  3 hours ago  in 6 days  Taxi trips",
        "      1  deleted",
        "",
        "version 3 is damaged: its file is 12 bytes long",
        "version 1 is deleted: by ada",
    ]
    html = card.versions_html("etl/trips", entries, NOW)
    assert _checked_html(html).count("tr") == 4
    assert '<span class="coldframe-warns"><bdi>damaged</bdi></span>' in html and "<span><bdi>live</bdi></span>" in html
    assert card.versions_text("k", []) == "Versions: 0 versions of k"


def test_a_schema() -> None:
    fields = [("pickup", "timestamp[us]", False), ("fare", "double", True)]
    assert card.schema_text(fields).split("\n") == [
        "Schema: 2 columns",
        "",
        "column  type           null",
        "──────  ─────────────  ────",
        "pickup  timestamp[us]  no",
        "fare    double         yes",
    ]
    assert _checked_html(card.schema_html(fields)).count("td") == 6
    assert card.schema_text([]) == "Schema: 0 columns"


def test_a_scan_is_one_line() -> None:
    assert card.scan_text({"result": "etl/trips@3"}) == "Scan: etl/trips@3, all rows, all columns"
    some: card.ScanFacts = {"result": "k", "columns": ["a", "b"], "offset": 10, "limit": 1000}
    assert card.scan_text(some) == "Scan: k, at most 1,000 rows after the first 10 rows, 2 columns (a, b)"
    assert card.scan_text({"result": "k", "tail": 1, "columns": []}) == "Scan: k, the last 1 row, no columns"
    wide: card.ScanFacts = {"result": "k\n", "columns": ["long name"] * 100}
    assert len(_checked_text(card.scan_text(wide))) == 1
