"""Arrow record batches, one by one, to frames of pandas."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coldframe.errors import ColumnNotFoundError, InvalidInputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from coldframe.frames.pandas_decoders import Decoder


def assemble(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    rows: int,
    source: Mapping[str, Any],
    columns: Sequence[str] | None,
    offset: int | None = 0,
    total: int | None = None,
) -> pd.DataFrame:
    """The frame that record batches of ``schema`` hold, ``rows`` rows in all.

    ``source`` is what `prepare` said, or that of another library; then integers and booleans with nulls become
    nullable ones of pandas instead of floats and objects. ``columns`` are the stored names that were read, None for
    all. Where not all columns of the index are among them, the frame has a RangeIndex. ``offset`` is the number of the
    first row that was read, None where rows between were left out, ``total`` how many are stored, None for no more than
    were read. Raises ValueError if the batches have another number of rows.
    """
    from coldframe.frames.pandas_decoders import decoder_for
    from coldframe.frames.pandas_index import rebuild_index
    from coldframe.frames.pandas_schema import default_descriptor, read_entry

    if columns is not None:
        schema = _only(schema, set(columns))
    stored = schema.names
    entry = read_entry(schema)
    entries = {item.get("field_name"): item for item in (entry or {}).get("columns", [])}
    dtypes = source.get("dtypes", {}) if source.get("library") == "pandas" else {}
    descriptors = [dtypes.get(field.name, default_descriptor(field.type, entries.get(field.name))) for field in schema]
    decoders = [
        decoder_for(descriptor, field.type, rows, f"column `{field.name}`")
        for descriptor, field in zip(descriptors, schema)
    ]
    _fill(decoders, batches, rows, stored)
    made: list[Any] = []
    decoders.reverse()
    while decoders:
        made.append(decoders.pop().finish())
    index_names = [name for name in (entry or {}).get("index_columns", []) if isinstance(name, str)]
    whole_index = bool(entry) and set(index_names) <= set(stored)
    body = [at for at, name in enumerate(stored) if not (whole_index and name in index_names)]
    frame = _frame([made[at] for at in body], rows)
    if whole_index:
        places = {name: stored.index(name) for name in index_names}
        levels = {name: (descriptors[place], made[place]) for name, place in places.items()}
        listed, details = (entry or {})["index_columns"], source.get("index", {})
        index = rebuild_index(listed, levels, entries, details, rows, offset, total)
        if index is not None:
            frame.index = index
    frame.columns = _labels(entry, source, [stored[at] for at in body])
    if source.get("library") == "pandas":
        frame.attrs = dict(source.get("attrs", {}))
        if source.get("allows_duplicate_labels") is False:
            frame.flags.allows_duplicate_labels = False
    return frame


def _only(schema: pa.Schema, names: set[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field for field in schema if field.name in names], metadata=schema.metadata)


def _fill(decoders: Sequence[Decoder], batches: Iterable[pa.RecordBatch], rows: int, stored: list[str]) -> None:
    """Hands each column of each batch to its decoder, and holds them to the number of rows."""
    filled = 0
    for batch in batches:
        if filled + batch.num_rows > rows:
            raise InvalidInputError(f"more than the {rows} rows came that were announced: read the table again")
        # A batch may have more columns, or others first; a name may be there twice only where all are wanted.
        arrays = batch.columns if batch.schema.names == stored else map(batch.column, stored)
        for decoder, values in zip(decoders, arrays):
            decoder.append(values)
        filled += batch.num_rows
    if filled != rows:
        raise InvalidInputError(f"only {filled} of the {rows} rows came that were announced: read the table again")


def _frame(arrays: list[Any], rows: int) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    index = pd.RangeIndex(rows)
    data: dict[int, Any] = {}
    for at, values in enumerate(arrays):
        if isinstance(values, np.ndarray) and values.dtype == object:
            # A bare array of objects would be taken for strings or times if all of it were.
            values = pd.Series(values, index=index, dtype=object, copy=False)
        data[at] = values
    return pd.DataFrame(data, index=index, copy=False)


def _body_names(entry: Mapping[str, Any] | None) -> list[str]:
    """The stored names of all columns that are not of the index, in their order in the frame."""
    if not entry:
        return []
    index = {name for name in entry["index_columns"] if isinstance(name, str)}
    return [item["field_name"] for item in entry["columns"] if item["field_name"] not in index]


def _labels(entry: Mapping[str, Any] | None, source: Mapping[str, Any], names: Sequence[str]) -> pd.Index[Any]:
    """The labels of the columns that are stored under these names."""
    import pandas as pd

    from coldframe.frames.pandas_labels import decode_columns

    everything = _body_names(entry)
    if source.get("library") != "pandas" or "columns" not in source or not entry:
        return pd.Index(list(names), dtype=None if names else object)
    labels = decode_columns(source["columns"], everything)
    if list(names) == everything:
        return labels
    position = {name: at for at, name in enumerate(everything)}
    if not set(names) <= set(position):
        # Part of the index was read as columns; it has no label of its own kind.
        return pd.Index([labels[position[name]] if name in position else name for name in names], dtype=object)
    return labels.take([position[name] for name in names])


def stored_columns(
    schema: pa.Schema, source: Mapping[str, Any], labels: Sequence[Any], *, index: bool = True
) -> list[str]:
    """The stored names of the columns with these labels, in the order asked; then, with `index`, those of the index.

    ``labels`` are those of the frame that was put, such as ``"fare"``, ``1`` or ``("a", "b")``; a stored name is taken
    as well. Raises ColumnNotFoundError for one that is not there, naming the nearest, and InvalidInputError for one
    that is asked for twice.
    """
    from coldframe.frames.pandas_schema import read_entry

    entry = read_entry(schema)
    names = _body_names(entry) or list(schema.names)
    known = list(_labels(entry, source, names))
    wanted: dict[str, None] = {}
    for label in labels:
        at = next((at for at, other in enumerate(known) if type(other) is type(label) and other == label), None)
        at = next((at for at, other in enumerate(known) if other == label), None) if at is None else at
        if at is not None:
            name = names[at]
        elif isinstance(label, str) and label in schema.names:
            name = label
        else:
            raise ColumnNotFoundError(_no_such_column(label, known))
        if name in wanted:
            raise InvalidInputError(f"column `{name}` is asked for twice", hint="name each column once")
        wanted[name] = None
    if index:
        kept = (entry or {}).get("index_columns", [])
        wanted.update(dict.fromkeys(name for name in kept if isinstance(name, str)))
    return list(wanted)


def _no_such_column(label: Any, known: Sequence[Any]) -> str:
    texts = {str(other): other for other in known}
    near = difflib.get_close_matches(str(label), texts, n=1, cutoff=0.5)
    if near:
        return f"there is no column {label!r}; did you mean {texts[near[0]]!r}?"
    listed = ", ".join(repr(other) for other in known[:10]) + (", …" if len(known) > 10 else "")
    return (
        f"there is no column {label!r}; there are {listed}" if known else f"there is no column {label!r}, nor any other"
    )
