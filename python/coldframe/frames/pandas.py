"""Frames of pandas to Arrow record batches, slice by slice, and back exactly."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coldframe.errors import ColumnNotFoundError
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
    import pyarrow as pa

    from coldframe.frames.pandas_labels import stored_names

    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"this is a {type(frame).__name__}, no pandas.DataFrame: convert it with pd.DataFrame(...)")
    _refuse_duplicates(frame.columns)
    losses: list[dict[str, Any]] = []
    names = stored_names(list(frame.columns), set())
    columns = [_column(frame.iloc[:, at], names[at], frame.columns[at]) for at in range(len(names))]
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
    raise ValueError(
        f"several columns are called {', '.join(map(repr, twice[:5]))}: give each its own name, "
        "as with df.columns = [...], or put the frame with serializer='pickle'"
    )


def _column(series: pd.Series[Any], stored: str, label: Any) -> _Column:
    from coldframe.frames.pandas_encoders import as_array, encoder_for

    values = as_array(series)
    return _Column(stored, values, encoder_for(values, f"column `{label}`"))


def _index(
    index: pd.Index[Any], taken: set[str], losses: list[dict[str, Any]]
) -> tuple[list[_Column], list[Any], dict[str, Any]]:
    """The columns of the index, how the `pandas` entry lists them, and what else their return needs."""
    import pandas as pd

    from coldframe.frames.pandas_encoders import as_array, encoder_for
    from coldframe.frames.pandas_index import Level
    from coldframe.frames.pandas_labels import encode_label, index_details, level_frequencies, stored_name

    details: dict[str, Any] = {}
    if any(name is not None and type(name) is not str for name in index.names):
        details["names"] = [encode_label(name, "a name of df.index") for name in index.names]
    if isinstance(index, pd.RangeIndex):
        name = None if index.name is None else stored_name(index.name)
        return [], [{"kind": "range", "name": name, "start": index.start, "stop": index.stop, "step": index.step}], details
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
        place = "the index" if index.nlevels == 1 else f"level {at} of the index"
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


def assemble(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    rows: int,
    source: Mapping[str, Any],
    columns: Sequence[str] | None,
) -> pd.DataFrame:
    """The frame that record batches of ``schema`` hold, ``rows`` rows in all.

    ``source`` is what `prepare` said, or that of another library; then integers and booleans with nulls become
    nullable ones of pandas instead of floats and objects. ``columns`` are the stored names that were read, None for
    all. Where not all columns of the index are among them, the frame has a RangeIndex. Raises ValueError if the
    batches have another number of rows.
    """
    from coldframe.frames.pandas_decoders import decoder_for
    from coldframe.frames.pandas_index import rebuild_index
    from coldframe.frames.pandas_schema import default_descriptor, read_entry

    entry = read_entry(schema)
    entries = {item.get("field_name"): item for item in (entry or {}).get("columns", [])}
    dtypes = source.get("dtypes", {}) if source.get("library") == "pandas" else {}
    descriptors = [
        dtypes.get(field.name, default_descriptor(field.type, entries.get(field.name))) for field in schema
    ]
    decoders = [
        decoder_for(descriptor, field.type, rows, f"column `{field.name}`")
        for descriptor, field in zip(descriptors, schema)
    ]
    filled = 0
    for batch in batches:
        if filled + batch.num_rows > rows:
            raise ValueError(f"more than the {rows} rows came that were announced: read the table again")
        for at, decoder in enumerate(decoders):
            decoder.append(batch.column(at))
        filled += batch.num_rows
    if filled != rows:
        raise ValueError(f"only {filled} of the {rows} rows came that were announced: read the table again")

    made: list[Any] = []
    decoders.reverse()
    while decoders:
        made.append(decoders.pop().finish())
    index_names = [name for name in (entry or {}).get("index_columns", []) if isinstance(name, str)]
    whole_index = bool(entry) and set(index_names) <= set(schema.names)
    body = [at for at, name in enumerate(schema.names) if not (whole_index and name in index_names)]
    frame = _frame([made[at] for at in body], rows)
    if whole_index:
        at = {name: schema.names.index(name) for name in index_names}
        levels = {name: (descriptors[place], made[place]) for name, place in at.items()}
        index = rebuild_index((entry or {})["index_columns"], levels, entries, source.get("index", {}), rows)
        if index is not None:
            frame.index = index
    frame.columns = _labels(entry, source, [schema.names[at] for at in body])
    if source.get("library") == "pandas":
        frame.attrs = dict(source.get("attrs", {}))
        if source.get("allows_duplicate_labels") is False:
            frame.flags.allows_duplicate_labels = False
    return frame


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
    as well. Raises ColumnNotFoundError for one that is not there, naming the nearest.
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
            wanted[names[at]] = None
        elif isinstance(label, str) and label in schema.names:
            wanted[label] = None
        else:
            raise ColumnNotFoundError(_no_such_column(label, known))
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
    return f"there is no column {label!r}; there are {listed}" if known else f"there is no column {label!r}, nor any other"
