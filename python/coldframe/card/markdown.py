"""Cards as GitHub-flavoured markdown, for pages that show no HTML of others.

Everything that people wrote is inert in it: it shows as it is, and becomes no markup, no link and no element.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from . import units
from .characters import lines, one_line, shorten
from .model import Card, Cell, Grid, Property, Section

LIMIT = 64 * 1024
"""How many bytes the markdown of a card stays below."""
_CELL = 200
_TEXT = 400
_PLACE = 2_000
_DESCRIPTION = 8_000
_LINES = 50
_CODE_BYTES = 8 * 1024

_MARK = re.compile(r"([\\`*_\[\]<>#|~&$])")
# What makes a list, a line below a heading or the line of a table, if it is the first word of a line.
_START = re.compile(r"^([0-9]*)((?<=[0-9])[.)]$|(?<![0-9])[-+=:](?![0-9]))")
# Renderers make links of these on their own, even of escaped ones; in code they do not.
_LINK = re.compile(r"://|@[^@]*\.|www\.", re.IGNORECASE)
# A URL in which no character means anything to markdown, holds no credentials and stands for nothing else.
_URL = re.compile(r"https?://[a-z0-9.-]+(?:/[A-Za-z0-9._~/=+,-]*)?")
_HIGHLIGHTED = {
    "coldframe": "python",
    "Python": "python",
    "DuckDB": "sql",
    "Rust": "rust",
    "R": "r",
    "JavaScript": "javascript",
}


def render(card: Card) -> str:
    """The card as markdown, whatever its size, with a line feed at its end."""
    blocks = [_head(card)]
    if card.summary:
        blocks.append(" · ".join(_cell(cell) for cell in card.summary))
    if card.problem:
        told = _paragraphs(card.problem, _PLACE)
        blocks.append("\n".join(f"> {line}".rstrip() for line in f"**Problem:** {told}".split("\n")))
    if card.description:
        blocks.append(_paragraphs(card.description, _DESCRIPTION))
    if card.properties:
        blocks.append("\n".join(line for each in card.properties for line in _property(each)))
    if card.grid is not None:
        blocks.extend(_grid(card.grid))
    blocks.extend(_cell(note) for note in card.notes)
    for section in card.sections:
        blocks.extend(_section(section))
    return "\n\n".join(block for block in blocks if block) + "\n"


def render_within(limit: int, drawn_with: Callable[[int], Card], columns: int) -> str:
    """The markdown of the card that `drawn_with` makes for a number of columns, in less than `limit` bytes.

    As many columns as fit are shown, at most `columns`; if even without them it is too long, other parts are left out
    and named.
    """

    def fits(text: str) -> bool:
        return len(text.encode()) < limit

    text = render(drawn_with(columns))
    if fits(text):
        return text
    fewest, most = 0, columns
    while fewest < most:
        middle = (fewest + most + 1) // 2
        fewest, most = (middle, most) if fits(render(drawn_with(middle))) else (fewest, middle - 1)
    for smaller in _ever_smaller(drawn_with(fewest)):
        text = render(smaller)
        if fits(text):
            break
    return text


def _ever_smaller(card: Card) -> Iterator[Card]:
    """The card, and then without one part after another."""
    yield card
    code = tuple(each for each in card.sections if each.blocks)
    steps: tuple[tuple[str, dict[str, Any]], ...] = (
        ("the metadata", {"sections": code}),
        ("the description", {"description": None}),
        ("the code that reads it", {"sections": ()}),
        ("where it lies", {"properties": ()}),
        ("the table", {"grid": None}),
        ("what is wrong with it", {"problem": None}),
    )
    notes, left_out = card.notes, []
    for part, without in steps:
        smaller = replace(card, **without)
        if smaller != card:
            left_out.append(part)
            card = replace(smaller, notes=(*notes, Cell(f"There is no room here for {', '.join(left_out)}.")))
            yield card


def inert(text: str) -> str:
    """The text as markdown that shows it in one line as it is: no mark of it counts, and no part becomes a link."""
    shown = one_line(text)
    before = len(shown) - len(shown.lstrip())
    behind = max(len(shown.rstrip()), before)
    # Words and the spaces between them, by turns.
    pieces = re.split(r"(\s+)", shown[before:behind])
    pieces[::2] = [code(word) if _LINK.search(word) else _MARK.sub(r"\\\1", word) for word in pieces[::2]]
    pieces[0] = _START.sub(r"\1\\\2", pieces[0])
    # Lines and cells lose the spaces at their ends, unless they are spelled.
    return f"{_spelled(shown[:before])}{''.join(pieces)}{_spelled(shown[behind:])}"


def _spelled(spaces: str) -> str:
    return "".join(f"&#{ord(space)};" for space in spaces)


def code(text: str) -> str:
    """The text in one line, set in a fixed width."""
    # In a table, a bar ends the cell even inside of code, and renderers differ in how it is escaped there.
    return r"\|".join(_code(piece) if piece else "" for piece in one_line(text).split("|"))


def _code(text: str) -> str:
    fence = "`" * (_longest_run(text) + 1)
    is_stripped = text.startswith(" ") and text.endswith(" ") and text.strip(" ")
    padding = " " if is_stripped or text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def _cut(text: str, most: int) -> str:
    # Measuring takes its time, and what is cut may be of any length.
    return shorten(one_line(text[: 4 * most]), most)


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _head(card: Card) -> str:
    title = f" — {inert(_cut(card.title, _TEXT))}" if card.title else ""
    return f"## {code(_cut(card.name, _PLACE))}{title}"


def _cell(cell: Cell) -> str:
    text = inert(_cut(cell.text, _TEXT))
    return f"**{text}**" if cell.warns and text else text


def _paragraphs(text: str, most: int) -> str:
    """Lines for people: each stays a line, and empty ones part paragraphs."""
    paragraphs: list[list[str]] = [[]]
    for line in lines(text if len(text) <= most else f"{text[:most]}…"):
        if line.strip():
            paragraphs[-1].append(inert(line))
        elif paragraphs[-1]:
            paragraphs.append([])
    return "\n\n".join("\\\n".join(paragraph) for paragraph in paragraphs if paragraph)


def _property(each: Property) -> list[str]:
    name = f"- **{inert(_cut(each.name, _TEXT))}:**"
    values = [_place(cell.text) if each.code else _cell(cell) for cell in each.values]
    if len(values) == 1:
        return [f"{name} {values[0]}".rstrip()]
    return [name, *(f"  - {value}".rstrip() for value in values)]


def _place(text: str) -> str:
    if _URL.fullmatch(text):
        return f"[{code(text)}]({text})"
    return code(_cut(text, _PLACE))


def _grid(grid: Grid) -> list[str]:
    drawn = []
    if grid.headings and grid.rows:
        table = [
            [inert(each.name) for each in grid.headings],
            ["---:" if each.right else "---" for each in grid.headings],
        ]
        for row in grid.rows:
            cut = [_cut(cell.text, _CELL) for cell in row]
            named = zip(cut, grid.headings, strict=True)
            table.append([code(text) if heading.code else inert(text) for text, heading in named])
        drawn.append("\n".join(f"| {' | '.join(row)} |" for row in table))
    if grid.rest:
        drawn.append(inert(grid.rest))
    return drawn


def _section(section: Section) -> list[str]:
    drawn = [f"### {inert(section.name)}"]
    if section.blocks:
        # Python first, whoever else is first in the facts; the others stay in their order.
        ordered = sorted(section.properties, key=lambda each: _HIGHLIGHTED.get(each.name) != "python")
        return drawn + [block for each in ordered for block in _blocks(each)]
    shown = [line for each in section.properties[:_LINES] for line in _property(each)]
    hidden = len(section.properties) - _LINES
    return [*drawn, "\n".join([*shown, f"- … and {hidden:,} more"] if hidden > 0 else shown)]


def _blocks(each: Property) -> Sequence[str]:
    language = inert(_cut(each.name, _TEXT))
    drawn = [f"**{language}**"] if language else []
    for cell in each.values:
        text = "\n".join(lines(cell.text))
        # Part of a program is of no use.
        if (size := len(text.encode())) > _CODE_BYTES:
            drawn.append(f"This code is too long to be shown here: {units.size(size)}.")
            continue
        fence = "`" * max(3, _longest_run(text) + 1)
        drawn.append(f"{fence}{_HIGHLIGHTED.get(each.name, '')}\n{text}\n{fence}")
    return drawn
