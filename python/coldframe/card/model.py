"""What a card shows, before it is decided whether as text or as HTML."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A piece of text. All texts are as their authors wrote them: the renderers make them safe."""

    text: str
    """What is shown."""
    tooltip: str | None = None
    """More about it, where there is a pointer to rest on it."""
    bar: float | None = None
    """From 0 to 1: how long the bar beside it is."""
    warns: bool = False
    """It says that something is wrong."""


@dataclass(frozen=True)
class Heading:
    """The head of a table's column."""

    name: str
    """What the column holds."""
    right: bool = False
    """Its cells are numbers, which stand to the right."""
    code: bool = False
    """Its cells are names or types, which are set in a fixed width."""
    cuts: bool = False
    """Its cells may be cut short where there is no room."""


@dataclass(frozen=True)
class Grid:
    """A table."""

    headings: tuple[Heading, ...]
    """The heads of its columns."""
    rows: tuple[tuple[Cell, ...], ...]
    """Its cells, a row as long as `headings`."""
    rest: str | None = None
    """What is said about the rows that are not shown."""


@dataclass(frozen=True)
class Property:
    """A name and its values, each on a line of its own."""

    name: str
    values: tuple[Cell, ...]
    code: bool = False
    """The values are names or paths, which are set in a fixed width."""
    in_summary: bool = False
    """A tooltip of the summary says it as well."""


@dataclass(frozen=True)
class Section:
    """A part that may be folded."""

    name: str
    properties: tuple[Property, ...]
    blocks: bool = False
    """The values are code of several lines, and nothing in them may be left out."""


@dataclass(frozen=True)
class Card:
    """All that is shown of one thing."""

    kind: str
    """What it is: the name of its class."""
    name: str
    """Which one it is."""
    title: str | None = None
    """A line for people."""
    summary: tuple[Cell, ...] = ()
    """What matters most, in one line."""
    problem: str | None = None
    """What is wrong with it."""
    description: str | None = None
    """Lines for people."""
    properties: tuple[Property, ...] = ()
    """Names and values."""
    grid: Grid | None = None
    """A table."""
    notes: tuple[Cell, ...] = ()
    """Lines below the table."""
    sections: tuple[Section, ...] = ()
    """What may be folded."""
