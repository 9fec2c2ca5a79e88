"""Frames of pyarrow, and of all others that speak Arrow's C interface; iterators of batches."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

from coldframe.errors import InvalidInputError, WrongTypeError
from coldframe.frames.names import refuse_nul_in_schema
from coldframe.frames.prepared import Prepared

_READ_AHEAD = 2
"""Batches that a dataset reads ahead; its own default holds some gigabytes."""


def prepare(value: Any) -> Prepared | None:
    """A frame that gives Arrow streams or arrays, or an iterator or list of such; None for all else."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None:
        if isinstance(value, (pyarrow.Table, pyarrow.RecordBatch, pyarrow.RecordBatchReader)):
            refuse_nul_in_schema(value.schema)
        if isinstance(value, pyarrow.Table):
            if value.num_rows == 0 and value.num_columns > 0:
                return Prepared(source=source(value), schema=value.schema, batches=iter([without_rows(value)]), rows=0)
            return Prepared(source=source(value), stream=value, rows=value.num_rows)
        if isinstance(value, pyarrow.RecordBatch):
            return Prepared(source=source(value), schema=value.schema, batches=iter([value]), rows=value.num_rows)
        if isinstance(value, pyarrow.RecordBatchReader):
            return Prepared(source=source(value), stream=value, one_shot=True)
        if isinstance(value, (pyarrow.Array, pyarrow.ChunkedArray)):
            hint = 'put pyarrow.table({"name": value})'
            raise WrongTypeError(f"value: a pyarrow {type(value).__name__} is one column, not a frame", hint=hint)
        dataset = sys.modules.get("pyarrow.dataset")
        if dataset is not None and isinstance(value, dataset.Dataset):
            refuse_nul_in_schema(value.schema)
            scanner = value.scanner(batch_readahead=_READ_AHEAD, fragment_readahead=1)
            return Prepared(source=source(value), stream=scanner.to_reader())
        if dataset is not None and isinstance(value, dataset.Scanner):
            refuse_nul_in_schema(value.projected_schema)
            return Prepared(source=source(value), stream=value.to_reader())
    if hasattr(value, "__arrow_c_stream__"):
        return Prepared(source=source(value), stream=value, one_shot=is_one_shot(value))
    if hasattr(value, "__arrow_c_array__"):
        return Prepared(source=source(value), schema=_schema_of(value), batches=iter([value]))
    if isinstance(value, (list, tuple)) and value and gives_arrow(value[0]):
        if not hasattr(value[0], "__arrow_c_array__"):
            name = type(value[0]).__name__
            raise WrongTypeError(
                f"value: a {type(value).__name__} of {name}s is no table",
                hint="concatenate them, or put each under a key of its own; an iterator of them is read as one table",
            )
        return _items(iter(value))
    if isinstance(value, Iterator):
        return _items(value)
    return None


def is_one_shot(value: Any) -> bool:
    """Whether what gives an Arrow stream is a stream itself, which can be read only once."""
    # What has a number of rows is no stream that ends.
    has_rows = any(hasattr(value, name) for name in ("shape", "num_rows", "height", "__len__"))
    return hasattr(value, "__arrow_c_stream__") and not has_rows


def gives_arrow(value: Any) -> bool:
    """Whether it speaks Arrow's C interface."""
    return hasattr(value, "__arrow_c_array__") or hasattr(value, "__arrow_c_stream__")


def source(value: Any) -> dict[str, Any]:
    """The library, the kind and the version of what was put, as the reference keeps them."""
    module = type(value).__module__.partition(".")[0]
    library = module if module.startswith("__") else module.lstrip("_")
    version = getattr(sys.modules.get(library), "__version__", None)
    found = {"library": library, "kind": type(value).__name__}
    return {**found, "version": version} if isinstance(version, str) else found


def without_rows(table: Any) -> Any:
    """The one batch of a pyarrow table without rows.

    Its own stream and its batches are none, and so would lose the values of dictionaries.
    """
    import pyarrow

    chunks = [column.chunk(0) if column.num_chunks else pyarrow.nulls(0, column.type) for column in table.columns]
    return pyarrow.RecordBatch.from_arrays(chunks, schema=table.schema)


def _items(items: Iterator[Any]) -> Prepared:
    try:
        first = next(items, None)
    except BaseException as raised:
        # Later items are pulled by the native part, which says the same. Only since Python 3.11.
        if hasattr(raised, "add_note"):
            raised.add_note("raised while coldframe took its input; nothing was stored")
        raise
    if first is None:
        raise InvalidInputError(
            "value: the iterator gave no batch, so nobody knows its columns",
            hint="it was probably read before; to put a table without rows, put pyarrow.schema(…).empty_table()",
        )
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(first, pandas.DataFrame):
        from coldframe.frames import require

        require("pyarrow", "to put pandas frames")
        from coldframe.frames.pandas_chunks import prepare_chunks

        return prepare_chunks(first, items)
    if not gives_arrow(first) or _is_one_column(first):
        raise WrongTypeError(
            f"value: the iterator gave a {type(first).__qualname__}, and no batch of a table",
            hint="give batches, such as pyarrow.RecordBatch or polars.DataFrame; list(…) is put as JSON",
        )
    _check(first)
    return Prepared(
        source={"library": "pyarrow", "kind": "RecordBatchReader"},
        schema=_schema_of(first),
        batches=itertools.chain([first], items),
    )


def _is_one_column(item: Any) -> bool:
    """Whether it is a Series or array, which may speak Arrow's C interface but has no columns."""
    kinds = {"pandas": ("Series", "Index"), "polars": ("Series",), "pyarrow": ("Array", "ChunkedArray")}
    return any(
        isinstance(item, getattr(sys.modules[library], name))
        for library, names in kinds.items()
        if library in sys.modules
        for name in names
    )


def _check(item: Any) -> None:
    """Refuses an item for what a whole frame of its kind is refused."""
    pyarrow, polars = sys.modules.get("pyarrow"), sys.modules.get("polars")
    if pyarrow is not None and isinstance(item, (pyarrow.Table, pyarrow.RecordBatch)):
        refuse_nul_in_schema(item.schema)
    if polars is not None and isinstance(item, polars.DataFrame):
        from coldframe.frames.polars import check

        check(item.schema)


def _schema_of(value: Any) -> Any:
    """Something that has `__arrow_c_schema__`."""
    declared = getattr(value, "schema", None)
    if hasattr(declared, "__arrow_c_schema__"):
        return declared
    return value if hasattr(value, "__arrow_c_schema__") else _Capsule(value)


class _Capsule:
    """The schema of an array or stream that does not tell it by itself."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __arrow_c_schema__(self) -> Any:
        if hasattr(self._value, "__arrow_c_array__"):
            return self._value.__arrow_c_array__()[0]
        from coldframe import _coldframe

        schema = _coldframe.Content.from_stream(self._value).schema
        assert schema is not None, "a stream has a schema"
        return schema.__arrow_c_schema__()
