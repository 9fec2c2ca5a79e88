"""Frames of pandas to Arrow record batches, slice by slice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coldframe.errors import InvalidInputError, WrongTypeError
from coldframe.frames.prepared import Prepared

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from coldframe.frames.pandas_encoders import Encoder

SLICE_BYTES = 8 << 20
"""About how many bytes of Arrow one record batch takes."""
SLICE_ROWS = 65_536
"""How many rows one record batch has at most."""
_ATTRS_BYTES = 4096


@dataclass(frozen=True)
class _Column:
    """A column or index level with its encoder and its name in Arrow."""

    stored: str
    values: Any
    encoder: Encoder

    def slice(self, start: int, stop: int) -> pa.Array:
        """The Arrow array of some rows."""
        return self.encoder.encode(self.values[start:stop])


def prepare(frame: pd.DataFrame) -> Prepared:
    """A frame as a schema and record batches of about 8 MiB, which are converted when they are pulled.

    The frame must not be changed until the last batch was pulled. Raises TypeError or ValueError, naming the column
    and the way out, for what cannot be stored exactly; what is stored and lost in part is named in ``losses``.
    """
    import pandas as pd

    from coldframe.frames.pandas_labels import stored_names

    if not isinstance(frame, pd.DataFrame):
        raise WrongTypeError(
            f"this is a {type(frame).__name__}, no pandas.DataFrame: convert it with pd.DataFrame(...)"
        )
    _refuse_duplicates(frame.columns)
    losses: list[dict[str, Any]] = []
    names = stored_names(list(frame.columns), set())
    columns = [_column(series, name, label) for name, (label, series) in zip(names, frame.items())]
    index, index_columns, index_source = _index(frame.index, set(names), losses)
    source = _source(frame, losses)
    if index_source:
        source["index"] = index_source
    for column in (*columns, *index):
        losses.extend({"column": column.stored, "loses": loss} for loss in column.encoder.losses)
    schema = _schema(frame, columns, index, index_columns, source)
    return Prepared(
        source=source,
        schema=schema,
        batches=_batches(schema, [*columns, *index], len(frame)),
        rows=len(frame),
        losses=tuple(losses),
    )


def _refuse_duplicates(columns: pd.Index[Any]) -> None:
    if columns.is_unique:
        return
    twice = list(dict.fromkeys(columns[columns.duplicated()]))
    raise InvalidInputError(
        f"several columns are called {', '.join(map(repr, twice[:5]))}: give each its own name, "
        "as with df.columns = [...], or put the frame with serializer='pickle'"
    )


def _column(series: pd.Series[Any], stored: str, label: Any) -> _Column:
    from coldframe.frames.pandas_encoders import as_array, encoder_for
    from coldframe.frames.pandas_places import column_place

    values = as_array(series)
    return _Column(stored, values, encoder_for(values, column_place(label)))


def _index(
    index: pd.Index[Any], taken: set[str], losses: list[dict[str, Any]]
) -> tuple[list[_Column], list[Any], dict[str, Any]]:
    """The columns of the index, how the `pandas` entry lists them, and what else their return needs."""
    import pandas as pd

    from coldframe.frames.pandas_encoders import as_array, encoder_for
    from coldframe.frames.pandas_index import Level
    from coldframe.frames.pandas_labels import encode_label, index_details, level_frequencies, stored_name
    from coldframe.frames.pandas_places import index_place

    details: dict[str, Any] = {}
    if any(name is not None and type(name) is not str for name in index.names):
        details["names"] = [encode_label(name, "a name of df.index") for name in index.names]
    if isinstance(index, pd.RangeIndex):
        name = None if index.name is None else stored_name(index.name)
        return (
            [],
            [{"kind": "range", "name": name, "start": index.start, "stop": index.stop, "step": index.step}],
            details,
        )
    if isinstance(index, pd.MultiIndex):
        details["levels"] = index.nlevels
        without: list[str] = []
        frequencies = level_frequencies(index, without)
        losses.extend({"column": "(index)", "loses": loss} for loss in without)
        if frequencies:
            details["frequencies"] = frequencies
    columns = []
    for at, name in enumerate(index.names):
        stored = stored_name(name) if name is not None else f"__index_level_{at}__"
        while stored in taken:
            stored = f"__index_level_{at}__" if stored != f"__index_level_{at}__" else f"{stored}_"
        taken.add(stored)
        place = index_place(at if isinstance(index, pd.MultiIndex) else None)
        if isinstance(index, pd.MultiIndex):
            level = Level(as_array(index.levels[at]), index.codes[at])
            columns.append(_Column(stored, level, level.encoder(place)))
            continue
        values = as_array(index)
        columns.append(_Column(stored, values, encoder_for(values, place)))
        lost: list[str] = []
        details.update({key: value for key, value in index_details(index, place, lost).items() if key != "name"})
        losses.extend({"column": stored, "loses": loss} for loss in lost)
    return columns, [column.stored for column in columns], details


def _source(frame: pd.DataFrame, losses: list[dict[str, Any]]) -> dict[str, Any]:
    import pandas as pd

    from coldframe.frames.pandas_labels import encode_columns

    source: dict[str, Any] = {"library": "pandas", "kind": "DataFrame", "version": pd.__version__}
    if type(frame) is not pd.DataFrame:
        name = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
        losses.append({"column": "(frame)", "loses": f"its class {name}: comes back as a pandas.DataFrame"})
    lost: list[str] = []
    source["columns"] = encode_columns(frame.columns, lost)
    losses.extend({"column": "(column labels)", "loses": loss} for loss in lost)
    if not frame.flags.allows_duplicate_labels:
        source["allows_duplicate_labels"] = False
    if frame.attrs:
        if _is_plain_json(frame.attrs):
            source["attrs"] = frame.attrs
        else:
            losses.append(
                {"column": "(attrs)", "loses": f"df.attrs: only JSON of up to {_ATTRS_BYTES} bytes comes back"}
            )
    return source


def _is_plain_json(value: Any) -> bool:
    """Whether a value is the same after a way through JSON, and small."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return len(text) <= _ATTRS_BYTES and _same(json.loads(text), value)


def _same(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def _schema(
    frame: pd.DataFrame,
    columns: Sequence[_Column],
    index: Sequence[_Column],
    index_columns: Sequence[Any],
    source: dict[str, Any],
) -> pa.Schema:
    """The schema with its `pandas` entry; adds to ``source`` what that entry does not tell of the columns' types."""
    import pyarrow as pa

    from coldframe.frames.pandas_labels import stored_name
    from coldframe.frames.pandas_schema import column_entry, default_descriptor, pandas_entry

    named: list[tuple[_Column, Any]] = list(zip(columns, map(stored_name, frame.columns)))
    named += [(column, None if name is None else stored_name(name)) for column, name in zip(index, frame.index.names)]
    entries, dtypes = [], {}
    for column, name in named:
        entry = column_entry(name, column.stored, column.values, column.encoder.type)
        entries.append(entry)
        if default_descriptor(column.encoder.type, entry) != column.encoder.descriptor:
            dtypes[column.stored] = column.encoder.descriptor
    if dtypes:
        source["dtypes"] = dtypes
    fields = [pa.field(column.stored, column.encoder.type) for column in (*columns, *index)]
    return pa.schema(fields, metadata=pandas_entry(entries, index_columns, frame.columns))


def _batches(schema: pa.Schema, columns: Sequence[_Column], rows: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    if not columns:
        for start in range(0, rows, SLICE_ROWS):
            empty = pa.StructArray.from_buffers(pa.struct([]), min(SLICE_ROWS, rows - start), [None], children=[])
            yield pa.RecordBatch.from_struct_array(empty).replace_schema_metadata(schema.metadata)
        return
    for start, stop in _bounds([column.encoder for column in columns], rows):
        arrays = [column.slice(start, stop) for column in columns]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        del arrays


def _bounds(encoders: Sequence[Encoder], rows: int) -> Iterator[tuple[int, int]]:
    """Where the slices start and end: each about 8 MiB, by what is known of the rows' sizes."""
    import numpy as np

    from coldframe.frames.pandas_encoders import BLOCK

    if rows == 0:
        # One batch without rows carries the dictionaries of categoricals.
        yield 0, 0
        return
    fixed = sum(float(encoder.row_bytes) for encoder in encoders if encoder.block_bytes is None)
    blocks = np.full(-(-rows // BLOCK), fixed * BLOCK, dtype="float64")
    for encoder in encoders:
        if encoder.block_bytes is not None:
            blocks += encoder.block_bytes
    start, held = 0, 0.0
    for at, size in enumerate(blocks.tolist()):
        first = at * BLOCK
        last = min(first + BLOCK, rows)
        if start < first and (held + size > SLICE_BYTES or last - start > SLICE_ROWS):
            yield start, first
            start, held = first, 0.0
        held += size
        if held > SLICE_BYTES:
            # This block alone is too much: cut it by its average.
            step = max(1, int((last - first) * SLICE_BYTES / held))
            while last - start > step:
                yield start, start + step
                start += step
            held = size * (last - start) / (last - first)
    if start < rows:
        yield start, rows
