"""Cards as markdown: what they show, that nothing in them is markup of others, and how large they become."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from coldframe import card
from coldframe.card import markdown
from coldframe.card.characters import lines, one_line, shorten

PATH = "data/etl/trips/01JD3Q8V5E6M1N9T0C4K7R2XWZ.parquet"
FULL: dict[str, Any] = {
    "type": "reference",
    "format": 1,
    "key": "etl/trips",
    "version": 3,
    "storage": "s3://acme/results",
    "serializer": {"type": "parquet", "compression": "zstd", "level": 1},
    "parts": [{"path": PATH, "size": 48211930, "rows": 6001215}],
    "rows": 6001215,
    "size": 48211930,
    "lossy": [{"column": name, "loses": "the order of its dictionary"} for name in ("zone", "carrier")],
    "source": {"library": "pandas", "kind": "DataFrame", "version": "3.1.1"},
    "created": "2026-11-20T11:02:03.123456Z",
    "expires": "2026-11-26T18:00:00Z",
    "title": "Taxi trips",
    "description": "All trips so far.\nRefunded ones are left out.\n\nAsk Ada.",
    "metadata": {"flow": "train", "parameters": {"month": 11}},
}
COLUMNS: list[card.ColumnFacts] = [
    {"name": "fare", "type": "double", "bytes": 1_000_000, "nulls": 1234, "min": "-52.0", "max": "4265.0"},
    {"name": "route", "type": "list<item: double>", "bytes": None, "nulls": None, "min": None, "max": None},
]
SNIPPETS: list[card.Snippet] = [
    {"language": "DuckDB", "code": "SELECT *\nFROM 'x.parquet'"},
    {"language": "Python", "code": "import pyarrow"},
]
FACTS: card.ReferenceFacts = {"reference": FULL, "columns": COLUMNS, "snippets": SNIPPETS}

# What means something to some renderer, somewhere: combined and placed by the tests below.
FRAGMENTS = [
    *"\\`*_{}[]()<>#+-.!|~&=:$^@'\"/ \n\t",
    *("a", "1", "x1", "word", "  ", "    ", "\\|", "\\\\", "``", "```", "~~~", "---", "===", "- ", "1. ", "1) ", "# "),
    *("> ", "| - |", ":--", "**", "__", "~~", "](", "[x]: /y", "[x](/y)", "![x](/y)", "[^1]", "- [ ] ", "<b>", "</td>"),
    *(
        "<script>alert(1)</script>",
        "<!-- ",
        " -->",
        "<?x",
        "<![CDATA[",
        "<x@y.org>",
        "<https://x.org>",
        "&lt;",
        "&#60;",
    ),
    *("https://x.org/?a=1&b=2", "HTTP://x.org", "ftp://x.org", "www.x.org", "WWW.x.org", "me@x.org", "mailto:me@x.org"),
    *(
        "javascript:alert(1)",
        "s3://b/k",
        "\r\n",
        "\x00",
        "\x1b",
        "\u202e",
        "\u00a0",
        "\u3000",
        "\u2028",
        "\ud800",
        "é",
        "価格",
    ),
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=8).map("".join)


def _markdown_it(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def _cmark(text: str) -> str:
    """GitHub's own renderer, with all its extensions: tables, autolinks, strikethrough, task lists, footnotes."""
    return str(cmarkgfm.github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES))


RENDERERS = pytest.mark.parametrize("render", [_markdown_it, _cmark])


class Page(HTMLParser):
    """What a browser makes of HTML: its elements, and the texts of those that were asked for."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[tuple[str, int]] = []
        self._text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "br":
            return
        self._open.append((tag, len(self._text)))

    def handle_endtag(self, tag: str) -> None:
        if tag != "br":
            opened, start = self._open.pop()
            assert opened == tag
            self.texts.append((tag, self._text[start:]))

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    handle_decl = unknown_decl = handle_pi = handle_comment

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    def of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    def only(self, tag: str) -> str:
        (text,) = self.of(tag)
        return text


PLACES: list[tuple[str, str, str, set[str]]] = [
    ("before\n\n{}\n\nafter\n", "p", "{}", {"p"}),
    ("one\\\n{}\\\ntwo\n", "p", "one\n{}\ntwo", {"p", "br"}),
    ("# {}\n", "h1", "{}", {"h1"}),
    ("# one — {}\n", "h1", "one — {}", {"h1"}),
    ("- {}\n", "li", "{}", {"ul", "li"}),
    ("- **{}:** x\n", "strong", "{}:", {"ul", "li", "strong"}),
    ("one · **{}** · two\n", "strong", "{}", {"p", "strong"}),
    ("| a | b |\n| --- | ---: |\n| {} | x |\n", "td", "{}", {"table", "thead", "tbody", "tr", "th", "td"}),
    ("> **a:** {}\n", "p", "a: {}", {"blockquote", "p", "strong"}),
]


@RENDERERS
@pytest.mark.parametrize(("place", "tag", "shown", "expected"), PLACES)
@given(text=TEXTS.filter(bool))
@settings(deadline=None, max_examples=100)
def test_a_text_shows_as_it_is_wherever_it_stands(
    render: Callable[[str], str], place: str, tag: str, shown: str, expected: set[str], text: str
) -> None:
    for drawn in (markdown.inert(text), markdown.code(text)):
        page = Page(render(place.replace("{}", drawn)))
        assert page.tags() <= expected | {"code"}
        assert all(set(attributes) <= {"align", "style"} for _, attributes in page.elements)
        assert shown.replace("{}", one_line(text)) in page.of(tag)


def test_these_places_would_show_markup_that_is_not_inert() -> None:
    page = Page(_cmark("| a |\n| --- |\n| **b** <i>c</i> www.x.org |\n"))
    assert {"strong", "i", "a"} <= page.tags()


def _page(facts: card.ReferenceFacts, render: Callable[[str], str] = _cmark) -> Page:
    return Page(render(card.reference_markdown(facts)))


def _with(columns: list[card.ColumnFacts] | None = COLUMNS, **fields: Any) -> card.ReferenceFacts:
    return {"reference": {**FULL, **fields}, "columns": columns, "snippets": SNIPPETS}


def _rows(page: Page) -> list[list[str]]:
    cells, width = page.of("td"), len(page.of("th"))
    return [cells[start : start + width] for start in range(0, len(cells), width or 1)]


@RENDERERS
def test_a_result_shows_what_is_known_of_it(render: Callable[[str], str]) -> None:
    page = _page(FACTS, render)
    assert page.only("h2") == "etl/trips@3 — Taxi trips"
    assert "6,001,215 rows × 2 columns · 46.0 MiB (8.0 bytes per row) · parquet/zstd(1)" in page.of("p")
    assert {"All trips so far.\nRefunded ones are left out.", "Ask Ada."} <= set(page.of("p"))
    assert page.of("li") == [
        "storage: s3://acme/results",
        f"file: s3://acme/results/{PATH}",
        "from: pandas 3.1.1 DataFrame",
        "created: 2026-11-20 11:02:03 UTC",
        "expires: 2026-11-26 18:00:00 UTC",
        "lossy: zone, carrier: the order of its dictionary",
        "flow: train",
        'parameters: {"month": 11}',
    ]
    assert page.of("th") == ["column", "type", "nulls", "min", "max", "stored"]
    assert _rows(page) == [
        ["fare", "double", "1,234", "-52.0", "4265.0", "976.6 KiB"],
        ["route", "list<item: double>", "", "", "", ""],
    ]
    assert page.of("h3") == ["Metadata", "How to read it"]
    assert page.of("pre") == [
        'coldframe.Store("s3://acme/results").get("etl/trips@3")\n',
        "import pyarrow\n",
        "SELECT *\nFROM 'x.parquet'\n",
    ]


def test_the_markdown_itself_is_stable() -> None:
    start = card.reference_markdown(FACTS).split("\n")[:9]
    assert start == [
        "## `etl/trips@3` — Taxi trips",
        "",
        "6,001,215 rows × 2 columns · 46.0 MiB (8.0 bytes per row) · parquet/zstd(1)",
        "",
        "All trips so far.\\",
        "Refunded ones are left out.",
        "",
        "Ask Ada.",
        "",
    ]


def test_several_files_and_losses_are_a_list_each() -> None:
    losses = [{"column": "a", "loses": "its order"}, {"column": "b", "loses": "its name"}]
    page = _page(_with(parts=[{"path": f"data/{number}"} for number in range(7)], lossy=losses))
    assert "s3://acme/results/data/4" in page.of("li") and "… and 2 more files" in page.of("li")
    assert {"a: its order", "b: its name"} <= set(page.of("li"))


@pytest.mark.parametrize(
    ("storage", "link"),
    [
        ("https://acme.blob.core.windows.net/results", f"https://acme.blob.core.windows.net/results/{PATH}"),
        ("http://localhost/results/", f"http://localhost/results/{PATH}"),
        ("s3://acme/results", None),
        ("file:///home/ada", None),
        ("https://ada:password@acme.net/results", None),
        ("https://acme.net/a b", None),
        ("https://acme.net/100%25", None),
        ("https://acme.net/x?sig=1", None),
        ("https://acme.net/x)[y](javascript:alert(1)", None),
        ("javascript:alert(1)//https://acme.net", None),
    ],
)
def test_a_location_is_a_link_where_a_browser_finds_it(storage: str, link: str | None) -> None:
    for render in (_markdown_it, _cmark):
        page = _page(_with(storage=storage), render)
        links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
        assert links == ([storage, link] if link else [])
        assert page.of("li")[0] == f"storage: {storage}"


def test_a_problem_stands_out_and_a_compact_reference_is_drawn() -> None:
    compact = {field: FULL[field] for field in ("type", "format", "key", "version", "storage")}
    page = _page({"reference": compact, "problem": "get etl/trips: it is *gone*\n\nhint: compute it again"})
    assert "compact reference" in page.of("p")
    assert " ".join(page.only("blockquote").split()) == "Problem: get etl/trips: it is *gone* hint: compute it again"


def test_what_has_expired_is_told_in_bold_where_the_time_is_known() -> None:
    from test_card import NOW

    facts = _with(expires="2026-11-19T14:05:00Z")
    facts["now"] = NOW
    assert "expired 1 day ago" in _page(facts).of("strong")


def test_foreign_languages_get_no_class() -> None:
    facts = _with()
    facts["snippets"] = [{"language": "mermaid", "code": "graph"}, {"language": 'x" onclick="y', "code": "z"}]
    page = _page(facts, _markdown_it)
    classes = [attributes for tag, attributes in page.elements if tag == "code" and attributes]
    assert classes == [{"class": "language-python"}]


FACTS_OF_OTHERS = st.builds(
    lambda key, storage, path, title, description, metadata, losses, source, columns, code, problem: {
        "reference": {
            **FULL,
            "key": key,
            "storage": storage,
            "parts": [{"path": path}, {"path": path}],
            "title": title,
            "description": description,
            "metadata": metadata,
            "lossy": losses,
            "source": {"library": source, "kind": source},
            "created": source,
        },
        "columns": columns,
        "snippets": [{"language": "Python", "code": code}, {"language": title, "code": code}],
        "problem": problem,
    },
    *[TEXTS] * 5,
    st.dictionaries(TEXTS, TEXTS, max_size=3),
    st.lists(TEXTS | st.fixed_dictionaries({"column": TEXTS, "loses": TEXTS}), max_size=3),
    TEXTS,
    st.lists(
        st.fixed_dictionaries({"name": TEXTS, "type": TEXTS, "bytes": st.just(5), "min": TEXTS, "max": TEXTS}),
        max_size=3,
    ),
    TEXTS,
    TEXTS,
)
OURS = {"h2", "h3", "p", "ul", "li", "strong", "blockquote", "table", "thead", "tbody", "tr", "th", "td"}
OURS |= {"pre", "code", "br", "a"}


@RENDERERS
@given(facts=FACTS_OF_OTHERS)
@settings(deadline=None, max_examples=100)
def test_nothing_that_people_wrote_is_markup(render: Callable[[str], str], facts: card.ReferenceFacts) -> None:
    page = _page(facts, render)
    reference, columns = facts["reference"], facts["columns"] or []
    assert page.tags() <= OURS
    for tag, attributes in page.elements:
        allowed = {
            "a": {"href"},
            "code": {"class"},
            "pre": {"lang"},
            "th": {"align", "style"},
            "td": {"align", "style"},
        }
        assert set(attributes) <= allowed.get(tag, set())
        assert attributes.get("class") in (None, "language-python") and attributes.get("lang") in (None, "python")
    # Links are the locations and say where they go, which is one that a browser may follow.
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert page.of("a") == links and all(str(link).startswith(("https://", "http://")) for link in links)
    assert len(links) <= 3
    cut = [[shorten(one_line(str(each[field])), 200) for field in ("name", "type", "min", "max")] for each in columns]  # type: ignore[literal-required]
    # A column of the table in which all cells are empty is left out.
    heads = page.of("th")
    assert [[row[heads.index(name)] for name in ("column", "type", "min", "max")] for row in _rows(page)] == cut
    title = f" — {one_line(reference['title'])}" if reference["title"] else ""
    assert page.only("h2") == f"{one_line(reference['key'] or '?')}@3{title}"
    code = "\n".join(lines(facts["snippets"][0]["code"]))
    assert [text.removesuffix("\n") for text in page.of("pre")][1:] == [code, code]
    shown = {text for tag in ("li", "p") for text in page.of(tag)}
    metadata = reference["metadata"].items()
    assert {f"{one_line(name)}: {one_line(text)}" if text else f"{one_line(name)}:" for name, text in metadata} <= shown
    described = [one_line(line) for line in lines(reference["description"]) if line.strip()]
    assert all(any(line in text.split("\n") for text in page.of("p")) for line in described)


def _wide(count: int, name: str, **more: Any) -> list[card.ColumnFacts]:
    return [{"name": f"{name}{number}", "type": "double", "bytes": 1, **more} for number in range(count)]


@pytest.mark.parametrize(
    ("count", "shown", "rest"), [(100, 100, None), (101, 100, "… and 1 more column"), (0, 0, None)]
)
def test_at_most_a_hundred_columns_are_shown(count: int, shown: int, rest: str | None) -> None:
    page = _page(_with(_wide(count, "c")))
    assert len(_rows(page) if count else []) == shown
    assert [text for text in page.of("p") if text.startswith("…")] == ([rest] if rest else [])


@pytest.mark.parametrize("letter", ["|", "`", "<", "價", "\\"])
def test_columns_give_way_until_the_card_is_below_64_kib(letter: str) -> None:
    long = letter * 300
    columns = _wide(100, "c", min=long, max=long)
    columns = [{**column, "name": f"{number} {long}"} for number, column in enumerate(columns)]
    text = card.reference_markdown(_with(columns))
    shown = len(_rows(Page(_cmark(text))))
    assert len(text.encode()) < 64 * 1024
    assert 0 < shown < 100 and f"… and {100 - shown} more columns" in text
    # One more would not have fitted.
    assert len(text.encode()) * (shown + 1) / shown > 60 * 1024


def test_code_is_shown_whole_or_not_at_all() -> None:
    facts = _with()
    facts["snippets"] = [{"language": "Python", "code": "x = 1\n" * 5_000}, {"language": "DuckDB", "code": "SELECT 1"}]
    page = _page(facts)
    assert page.of("pre")[1:] == ["SELECT 1\n"]
    assert "This code is too long to be shown here: 29.3 KiB." in page.of("p")


@pytest.mark.parametrize("letter", ["x", "|", "`", "@.", "\U0001f469", "a "])
def test_a_card_of_nothing_but_long_texts_stays_below_64_kib(letter: str) -> None:
    long = letter * 5_000
    facts: card.ReferenceFacts = {
        "reference": {
            **dict.fromkeys(("key", "storage", "title", "description", "created", "expires", "profile"), long),
            "serializer": {"type": long},
            "source": {"library": long},
            "parts": [{"path": long}] * 9,
            "lossy": [{"column": f"{number}{long}", "loses": f"{number}{long}"} for number in range(20)],
            "metadata": {f"{number}{long}": long for number in range(100)},
            "copied_from": {"key": long},
        },
        "columns": _wide(300, long),
        "snippets": [{"language": f"{number}{long}", "code": letter * 2_000} for number in range(20)],
        "problem": long,
    }
    text = card.reference_markdown(facts)
    assert 1_000 < len(text.encode()) < 64 * 1024
    page = Page(_cmark(text))
    assert page.tags() <= OURS
    assert any(note.startswith("There is no room here for the metadata") for note in page.of("p"))
