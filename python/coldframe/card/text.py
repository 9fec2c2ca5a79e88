"""Cards as text: lines of at most 100 columns, code excepted."""

from __future__ import annotations

from collections.abc import Sequence

from .characters import lines, one_line, pad, shorten, width, wrap
from .model import Card, Grid, Property, Section

WIDTH = 100
"""How many columns a line takes at most."""
_NARROWEST = 8
_LABEL = 24
_LINES = 12
_LONGEST = 400


def render(card: Card) -> str:
    """The card as text, without a line feed at its end."""
    blocks = [_head(card)]
    if card.description:
        description = [part for line in lines(card.description) for part in wrap(line, WIDTH)]
        blocks.append(description if len(description) <= _LINES else [*description[:_LINES], "…"])
    blocks.append(_properties(card.properties, ""))
    if card.grid is not None:
        blocks.append(_grid(card.grid))
    blocks.append([part for note in card.notes for part in wrap(one_line(note.text), WIDTH)])
    blocks.extend(_section(section) for section in card.sections)
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks if block)


def _head(card: Card) -> list[str]:
    name = one_line(card.name)
    named = f"{card.kind}: {name}" + (f" — {shorten(one_line(card.title), _LONGEST)}" if card.title else "")
    head = wrap(named, WIDTH)
    if card.summary:
        head += _joined([one_line(cell.text) for cell in card.summary])
    if card.problem:
        head += [part for line in lines(f"! {card.problem}") for part in wrap(line, WIDTH)]
    return head


def _joined(pieces: Sequence[str]) -> list[str]:
    """The pieces in lines, with dots between those that share one."""
    drawn = [pieces[0]]
    for piece in pieces[1:]:
        longer = f"{drawn[-1]} · {piece}"
        drawn[-1:] = [longer] if width(longer) <= WIDTH else [drawn[-1], piece]
    return [part for line in drawn for part in wrap(line, WIDTH)]


def _properties(properties: Sequence[Property], indent: str) -> list[str]:
    names = [shorten(one_line(each.name), _LABEL) for each in properties]
    longest = max(map(width, names), default=0)
    margin = " " * (len(indent) + longest + 2)
    drawn = []
    for name, each in zip(names, properties, strict=True):
        # Names and paths stay whole: part of one is of no use.
        texts = [one_line(cell.text) for cell in each.values]
        whole = texts if each.code else [shorten(text, _LONGEST) for text in texts]
        wrapped = [part for text in whole for part in wrap(text, WIDTH - len(margin))]
        drawn.append(f"{indent}{pad(name, longest)}  {wrapped[0]}")
        drawn += [margin + part for part in wrapped[1:]]
    return drawn


def _section(section: Section) -> list[str]:
    if not section.blocks:
        drawn = [section.name, *_properties(section.properties[:_LINES], "  ")]
        hidden = len(section.properties) - _LINES
        return [*drawn, f"  … and {hidden:,} more"] if hidden > 0 else drawn
    drawn = [section.name]
    for each in section.properties:
        drawn.append(f"  {shorten(one_line(each.name), WIDTH - 4)}:")
        # Code is not broken where a line ends: what is copied from here has to run.
        drawn += [f"    {line}" for cell in each.values for line in lines(cell.text)]
    return drawn


def _grid(grid: Grid) -> list[str]:
    # A cell is cut to what the whole line has before anything is measured: one may hold kilobytes.
    cells = [[shorten(one_line(cell.text), WIDTH) for cell in row] for row in grid.rows]
    widths = _widths(grid, cells)
    head = [pad(shorten(each.name, wide), wide, each.right) for each, wide in zip(grid.headings, widths, strict=True)]
    drawn = ["  ".join(head), "  ".join("─" * wide for wide in widths)]
    for row in cells:
        aligned = zip(row, widths, grid.headings, strict=True)
        drawn.append("  ".join(pad(shorten(text, wide), wide, heading.right) for text, wide, heading in aligned))
    return [*drawn, grid.rest] if grid.rest else drawn


def _widths(grid: Grid, cells: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column: as its cells need, but the widest give until a line holds all.

    Those that may be cut give first.
    """
    widths = [max(map(width, [heading.name, *column])) for heading, *column in zip(grid.headings, *cells, strict=True)]
    everything = range(len(widths))
    may_be_cut = [at for at in everything if grid.headings[at].cuts]
    for narrowed in (may_be_cut, everything):
        while sum(widths) + 2 * (len(widths) - 1) > WIDTH:
            widest = max(narrowed, key=lambda at: widths[at], default=None)
            if widest is None or widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
    return widths


def in_one_line(text: str) -> str:
    """The text as one line, cut to the width of a line."""
    return shorten(one_line(text), WIDTH)
