"""Frames of every library: which one it is, how it becomes Arrow batches, and how it comes back as the same kind.

A frame is told by its type. No library is imported that the caller has not imported, until a frame of it is asked for.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from coldframe.errors import MissingLibraryError, WrongTypeError
from coldframe.frames.names import refuse_nul_in_schema
from coldframe.frames.prepared import Prepared

__all__ = ["Prepared", "prepare", "require"]

_EXTRAS = {"pyarrow": "arrow", "pandas": "pandas", "polars": "polars", "duckdb": "duckdb"}


def require(library: str, purpose: str, otherwise: str | None = None) -> Any:
    """Imports a library.

    Raises MissingLibraryError if it is not installed, saying what it is needed for, how to install it, and what else
    works.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        install = f'pip install "coldframe[{_EXTRAS[library]}]"' if library in _EXTRAS else f"pip install {library}"
        hint = f"{install}, or {otherwise}" if otherwise else install
        raise MissingLibraryError(f"{library} is needed {purpose}, and is not installed", hint=hint) from error


def prepare(value: Any) -> Prepared | None:
    """The frame that `value` is, ready to be put; None if it is none.

    Raises InvalidInputError or its relatives for what is nearly a frame (a Series, a class), and for frames that cannot
    be stored, naming the column and the way out.
    """
    if isinstance(value, type):
        return None
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "DataFrame"):
        if isinstance(value, pandas.DataFrame):
            require("pyarrow", "to put pandas frames")
            from coldframe.frames.pandas import prepare as prepare_pandas

            prepared = prepare_pandas(value)
            refuse_nul_in_schema(prepared.schema)
            return prepared
        if isinstance(value, (pandas.Series, pandas.Index)):
            raise _one_column("pandas", type(value).__name__, "to_frame()")
    polars = sys.modules.get("polars")
    if polars is not None and hasattr(polars, "LazyFrame"):
        if isinstance(value, (polars.DataFrame, polars.LazyFrame)):
            from coldframe.frames.polars import prepare as prepare_polars

            return prepare_polars(value)
        if isinstance(value, polars.Series):
            raise _one_column("polars", "Series", "to_frame()")
    if _root(value) in ("duckdb", "_duckdb"):
        from coldframe.frames.duckdb import prepare as prepare_duckdb

        return prepare_duckdb(value)
    from coldframe.frames.arrow import prepare as prepare_arrow

    return prepare_arrow(value)


def _one_column(library: str, kind: str, way_out: str) -> WrongTypeError:
    return WrongTypeError(f"value: a {library} {kind} is one column, not a frame", hint=f"put value.{way_out}")


def _root(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def is_installed(library: str) -> bool:
    """Whether a library could be imported, without importing it."""
    import importlib.util

    return library in sys.modules or importlib.util.find_spec(library) is not None
