"""Which parts of a value are frames: told by their type, without looking into them."""

from __future__ import annotations

import sys
from typing import Any

from coldframe.prefect.stored_batches import StoredBatches
from coldframe.reference import ResultReference
from coldframe.scan import Scan

_PLAIN = frozenset(
    {type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, type, object}
)
_OWN = (ResultReference, Scan, StoredBatches)
_FRAMES = (
    ("pandas", ("DataFrame",)),
    ("polars", ("DataFrame", "LazyFrame")),
    ("pyarrow.dataset", ("Dataset", "Scanner")),
)
_COLUMNS = (
    ("pandas", ("Series", "Index")),
    ("polars", ("Series",)),
    ("pyarrow", ("Array", "ChunkedArray", "Scalar")),
)
_STREAMS = ("__arrow_c_stream__", "__arrow_c_array__")


def is_leaf(value: Any) -> bool:
    """Whether it is kept apart from the value that it is in: a frame, or a reference to one.

    Frames are those of pandas, polars, pyarrow and DuckDB, and whatever else gives a stream of Arrow batches. Single
    columns are none, nor are classes, nor iterators, which could be of anything.
    """
    # Not by `isinstance`, which asks the value: a proxy may say that it is what it stands for, or compute it.
    return is_leaf_kind(type(value))


def is_leaf_kind(kind: type) -> bool:
    """Whether instances of a class are kept apart; see `is_leaf`."""
    if kind in _PLAIN or issubclass(kind, type):
        return False
    if issubclass(kind, _OWN) or any(_is_of(kind, library, names) for library, names in _FRAMES):
        return True
    if any(_is_of(kind, library, names) for library, names in _COLUMNS):
        return False
    if kind.__module__.partition(".")[0] in ("duckdb", "_duckdb"):
        return kind.__name__ == "DuckDBPyRelation"
    return any(hasattr(kind, name) for name in _STREAMS)


def is_one_shot(value: Any) -> bool:
    """Whether a leaf can be read only once, so that nobody else can read it when it was stored."""
    if isinstance(value, _OWN):
        return False
    from coldframe.frames.arrow import is_one_shot

    return is_one_shot(value)


def is_of_subclass(value: Any) -> bool:
    """Whether a frame is of a class that somebody derived from a library's, which no file keeps."""
    kind = type(value)
    root = kind.__module__.partition(".")[0]
    return any(_is_of(kind, library, ("DataFrame",)) and root != library for library in ("pandas", "polars"))


def is_plan(value: Any) -> bool:
    """Whether a leaf computes its rows whenever it is asked, and is given back as one that reads them."""
    return _is_of(type(value), "polars", ("LazyFrame",))


def is_lazy(value: Any) -> bool:
    """Whether a pickle of a leaf would not hold its rows."""
    return type(value).__name__ in ("LazyFrame", "DuckDBPyRelation") or is_one_shot(value)


def handle(value: Any) -> tuple[str, ResultReference] | None:
    """What a leaf is that is stored already, and its reference."""
    if isinstance(value, ResultReference):
        return "reference", value
    reference = value.reference if isinstance(value, StoredBatches) else None
    return None if reference is None else ("batches", reference)


def _is_of(kind: type, library: str, names: tuple[str, ...]) -> bool:
    module = sys.modules.get(library)
    # A module that is just being imported may lack its classes.
    return module is not None and any(
        isinstance(known := getattr(module, name, None), type) and issubclass(kind, known) for name in names
    )
