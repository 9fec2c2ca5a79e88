"""Text that anybody may have written, made safe to show: what it holds cannot control a terminal or reorder a line."""

from __future__ import annotations

import re
import unicodedata

# Control characters, lone surrogates, line separators, and what is invisible or turns the direction of writing.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _spelled(match: re.Match[str]) -> str:
    character = match.group()
    return _NAMED.get(character) or f"\\u{ord(character):04x}"


def one_line(text: str) -> str:
    """The text as one line: what would control a terminal or reorder it is spelled out, such as ``\\u202e``."""
    return _HARMFUL.sub(_spelled, text)


def lines(text: str) -> list[str]:
    """The lines of the text, each as `one_line`."""
    return [one_line(line) for line in text.replace("\r\n", "\n").split("\n")]


def _width_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_width_of, text))


def pad(text: str, columns: int, right: bool = False) -> str:
    """The text with spaces up to so many columns; `right` puts them before it."""
    spaces = " " * (columns - width(text))
    return spaces + text if right else text + spaces


def _fitting(text: str, columns: int) -> int:
    """How many characters of the text fit into so many columns."""
    taken = 0
    for position, character in enumerate(text):
        taken += _width_of(character)
        if taken > columns:
            return position
    return len(text)


def shorten(text: str, columns: int) -> str:
    """The text, cut and with an ellipsis if it takes more than so many columns."""
    if width(text) <= columns:
        return text
    return text[: _fitting(text, columns - 1)] + "…"


def wrap(text: str, columns: int) -> list[str]:
    """The text in lines of at most so many columns, cut after a space or a slash where one is near, else anywhere.

    Nothing is left out but the spaces at the ends of lines.
    """
    wrapped = []
    while width(text) > columns:
        end = max(_fitting(text, columns), 1)
        near = max(text.rfind(" ", 0, end), text.rfind("/", 0, end)) + 1
        if near > end * 2 // 3:
            end = near
        wrapped.append(text[:end].rstrip(" "))
        text = text[end:].lstrip(" ")
    return [*wrapped, text]
