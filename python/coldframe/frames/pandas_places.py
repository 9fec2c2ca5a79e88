"""Where in a pandas frame an error is, and how the caller's code reaches it."""

from __future__ import annotations

from typing import Any


class Place(str):
    """The text of a place, such as "column `x`", with the conversions that can be done there."""

    to_text: str
    """The clause that says how to make its values text, such as "convert it with df['x'].astype(str)"."""
    column: str | None
    """The Python expression of the column, such as ``df['x']``; None for all that is no whole column."""
    _inside: str

    def __new__(cls, text: str, to_text: str, inside: str, column: str | None = None) -> Place:
        """A place; ``inside`` is its `to_text` for what lies in its values."""
        place = super().__new__(cls, text)
        place.to_text, place._inside, place.column = to_text, inside, column
        return place

    def categories(self) -> Place:
        """The categories of a categorical at this place."""
        text = f"the categories of {self}"
        if self.column is None:
            return Place(text, self.to_text, self._inside)
        return Place(text, f"convert them with {self.column}.cat.rename_categories(str)", self._inside)

    def within(self, text: str) -> Place:
        """What lies in the values of this place, called ``text``: the items of lists, or a key of dicts."""
        return Place(text, self._inside, self._inside)


def column_place(label: Any) -> Place:
    """The place of a column."""
    expression = f"df[{label!r}]"
    inside = f"convert these values, or the whole column with {expression}.map(str)"
    return Place(f"column `{label}`", f"convert it with {expression}.astype(str)", inside, expression)


def index_place(level: int | None) -> Place:
    """The place of the index, or of one level of a MultiIndex."""
    if level is None:
        to_text = "convert it with df.index = df.index.map(str)"
        return Place("the index", to_text, to_text)
    values = f"df.index.levels[{level}].map(str)"
    to_text = f"convert it with df.index = df.index.set_levels({values}, level={level})"
    return Place(f"level {level} of the index", to_text, to_text)


def labels_place() -> Place:
    """The place of the column labels."""
    to_text = "convert them with df.columns = df.columns.map(str)"
    return Place("the column labels", to_text, to_text)
