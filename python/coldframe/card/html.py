"""Cards as HTML: one element of the class `coldframe`, without scripts and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from .characters import lines, one_line, shorten
from .model import Card, Cell, Grid, Heading, Property, Section
from .style import STYLE

_CELL = 200
_TITLE = 400
_TOOLTIP = 1_000


def render(card: Card) -> str:
    """The card as HTML."""
    root = _element("div", _element("style", STYLE), name="coldframe")
    root.append(_head(card))
    if card.summary:
        root.append(_summary(card.summary))
    if card.problem:
        root.append(_element("div", _safe("\n".join(lines(card.problem))), name="coldframe-problem"))
    if card.description:
        root.append(_element("div", _safe("\n".join(lines(card.description))), name="coldframe-description"))
    properties = [each for each in card.properties if not each.in_summary]
    if properties:
        root.append(_definitions(properties))
    if card.grid is not None:
        root.extend(_grid(card.grid))
    for note in card.notes:
        root.append(_element("div", _line(note.text), name="coldframe-problem" if note.warns else None))
    root.extend(_section(section) for section in card.sections)
    return ElementTree.tostring(root, encoding="unicode", method="html")


def _element(
    tag: str, *content: ElementTree.Element | str, name: str | None = None, **attributes: str | None
) -> ElementTree.Element:
    """An element of the class `name`; texts in it are escaped when the tree is written."""
    given = {"class": name, **attributes}
    element = ElementTree.Element(tag, {key: value for key, value in given.items() if value})
    last: ElementTree.Element | None = None
    for each in content:
        if not isinstance(each, str):
            element.append(each)
            last = each
        elif last is None:
            element.text = (element.text or "") + each
        else:
            last.tail = (last.tail or "") + each
    return element


def _safe(text: str) -> ElementTree.Element:
    """A text of anybody: set apart, so that one written from right to left turns nothing but itself."""
    return _element("bdi", "\n".join(lines(text)))


def _line(text: str) -> ElementTree.Element:
    return _element("bdi", one_line(text))


def _warning(cell: Cell) -> str | None:
    return "coldframe-warns" if cell.warns else None


def _head(card: Card) -> ElementTree.Element:
    head = _element("div", _element("span", card.kind, name="coldframe-kind"), " ", name="coldframe-head")
    head.append(_element("span", _line(card.name), name="coldframe-name"))
    if card.title:
        head[-1].tail = " "
        head.append(_element("span", _line(shorten(card.title, _TITLE)), name="coldframe-title"))
    return head


def _summary(cells: Sequence[Cell]) -> ElementTree.Element:
    summary = _element("div", name="coldframe-summary")
    for cell in cells:
        if len(summary):
            # Text, and not only style: a notebook that is not trusted is shown without styles.
            summary.append(_element("span", " · ", name="coldframe-dot"))
        summary.append(_element("span", _line(cell.text), name=_warning(cell), title=_tooltip(cell)))
    return summary


def _tooltip(cell: Cell) -> str | None:
    return shorten(one_line(cell.tooltip), _TOOLTIP) if cell.tooltip else None


def _definitions(properties: Sequence[Property], blocks: bool = False) -> ElementTree.Element:
    drawn = _element("dl")
    for each in properties:
        drawn.append(_element("dt", _line(each.name)))
        for cell in each.values:
            if blocks:
                code = _element("pre", _element("code", "\n".join(lines(cell.text))))
                drawn.append(_element("dd", code, style="grid-column:2"))
            else:
                value = _element("dd", _safe(cell.text), name="coldframe-code" if each.code else None)
                value.set("style", "grid-column:2")
                drawn.append(value)
    return drawn


def _section(section: Section) -> ElementTree.Element:
    amount = "" if section.blocks else f" ({len(section.properties)})"
    summary = _element("summary", section.name + amount)
    return _element("details", summary, _definitions(section.properties, section.blocks))


def _grid(grid: Grid) -> list[ElementTree.Element]:
    drawn = []
    if grid.headings:
        head = _element("tr", *(_element("th", each.name, name=_side(each), scope="col") for each in grid.headings))
        rows = [_element("tr", *map(_cell, row, grid.headings)) for row in grid.rows]
        table = _element("table", _element("thead", head), _element("tbody", *rows))
        drawn.append(_element("div", table, name="coldframe-scroll"))
    if grid.rest:
        drawn.append(_element("div", grid.rest, name="coldframe-rest"))
    return drawn


def _side(heading: Heading) -> str | None:
    return "coldframe-right" if heading.right else None


def _cell(cell: Cell, heading: Heading) -> ElementTree.Element:
    names = [name for name in (_side(heading), "coldframe-code" if heading.code else None) if name]
    tooltip = _tooltip(cell)
    text = one_line(cell.text)
    if tooltip is None and heading.cuts and len(text) > 30:
        tooltip = shorten(text, _TOOLTIP)
    drawn = _element("td", name=" ".join(names), title=tooltip)
    if text:
        drawn.append(_element("span", _line(shorten(text, _CELL)), name=_warning(cell)))
    if cell.bar is not None:
        width = f"width:{min(max(cell.bar, 0.0), 1.0):.1%}"
        drawn.append(_element("span", _element("span", style=width), name="coldframe-bar"))
    return drawn
