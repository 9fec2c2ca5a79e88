"""How values, classes and paths are written in errors: short, and never by the user's own `repr`."""

from __future__ import annotations

import json

_LONGEST_KEY = 60
_LONGEST_PATH = 400


def path_text(path: list[str | int]) -> str:
    """A path as Python writes it: `value["a"][3]`; the middle of a long one is left out."""
    text = "value" + "".join(f"[{show(step)}]" for step in path)
    return text if len(text) <= _LONGEST_PATH else f"{text[: _LONGEST_PATH // 2]} … {text[-_LONGEST_PATH // 2 :]}"


def show(value: object) -> str:
    """A short text for a key or an argument: the value itself if it is plain, else its type."""
    if type(value) is str:
        return json.dumps(value if len(value) <= _LONGEST_KEY else value[:_LONGEST_KEY] + "...")
    is_small = type(value) is int and value.bit_length() <= 128
    if is_small or value is None or type(value) is bool or type(value) is float:
        return repr(value)
    return f"a value of type {class_name(type(value))}"


def class_name(kind: type) -> str:
    """The name of a class as the caller's code has it, without the function that it was defined in."""
    return kind.__qualname__.rpartition("<locals>.")[2]
