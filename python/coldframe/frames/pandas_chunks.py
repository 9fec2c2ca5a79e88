"""Frames of pandas one after the other, as `read_csv(chunksize=…)` gives them, stored as one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coldframe.errors import InvalidInputError, UnsupportedError, WrongTypeError
from coldframe.frames.names import refuse_nul_in_schema
from coldframe.frames.prepared import Prepared

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_EACH_ITS_OWN = frozenset({"freq", "frequencies"})
"""Details of an index that are about its values as a whole, and so differ between chunks that fit together."""


def prepare_chunks(first: pd.DataFrame, rest: Iterator[Any]) -> Prepared:
    """Frames of pandas as one table, each converted when it is pulled.

    All have the labels and types of the first. Chunks whose index is a default RangeIndex, from 0 or going on from the
    chunk before, have none in the table; any other index is stored as its columns. Raises InvalidInputError or its
    relatives, naming the chunk (counted from 1) and the column, for a chunk that does not fit.
    """
    chunks = _Chunks(first)
    return Prepared(
        source=chunks.source, schema=chunks.schema, batches=chunks.batches(first, rest), losses=chunks.losses
    )


class _Chunks:
    """What the first chunk says of all: labels, types, index and losses."""

    def __init__(self, first: pd.DataFrame) -> None:
        self._labels = first.columns
        self._without_index = _is_default(first.index, 0)
        prepared = self._prepare(first, 1)
        self.losses = prepared.losses
        self._descriptors = descriptors_of(prepared)
        self._read = 0
        self.source = {**prepared.source, "kind": "RecordBatchReader"}
        # What stands for a missing value may first be seen in a later chunk.
        self._markers: dict[str, str] = {}
        for name, values in self._stored_values(first, prepared.schema):
            descriptor = self._descriptors[name]
            if _is_object(descriptor):
                seen = bool(values.isna().any())
                self._markers[name] = descriptor["missing"] if seen else _usual_marker(descriptor)
                self._descriptors[name] = {**descriptor, "missing": self._markers[name]}
                self.source.setdefault("dtypes", {})[name] = self._descriptors[name]
        self._empty = {name for name, values in self._stored_values(first, prepared.schema) if values.isna().all()}
        self._dtypes = {name: values.dtype for name, values in self._stored_values(first, prepared.schema)}
        self.schema = self._schema(prepared.schema)

    def batches(self, first: pd.DataFrame, rest: Iterator[Any]) -> Iterator[Any]:
        """The record batches of all chunks."""
        yield from self._converted(first, 1)
        del first
        for number, chunk in enumerate(rest, 2):
            yield from self._converted(chunk, number)

    def _prepare(self, chunk: Any, number: int) -> Prepared:
        """The chunk as a whole frame would be, its index as columns or none."""
        import pandas as pd

        from coldframe.frames.pandas_in import prepare

        index = chunk.index
        if self._without_index:
            if not _is_default(index, 0) and not _is_default(index, self._read):
                raise InvalidInputError(
                    f"chunk {number}: its index {_spoken_index(index)} neither starts at 0 nor goes on from row "
                    f"{self._read}, and the first chunk has a default index",
                    hint="give each chunk chunk.reset_index(drop=True), or all chunks an index of the same kind",
                )
            chunk = chunk.set_axis(pd.RangeIndex(len(chunk)), axis=0)
        elif isinstance(index, pd.RangeIndex):
            chunk = chunk.set_axis(pd.Index(index.to_numpy(), dtype="int64", name=index.name), axis=0)
        try:
            prepared = prepare(chunk)
            refuse_nul_in_schema(prepared.schema)
        except (InvalidInputError, UnsupportedError) as error:
            raise _in_chunk(error, number) from error
        return prepared

    def _stored_values(self, chunk: pd.DataFrame, schema: pa.Schema) -> Iterator[tuple[str, Any]]:
        """The stored name and the Series of each column, then of each level of the index."""
        names = schema.names
        for at in range(chunk.shape[1]):
            yield names[at], chunk.iloc[:, at]
        if not self._without_index:
            for at, name in enumerate(names[chunk.shape[1] :]):
                yield name, chunk.index.get_level_values(at).to_series()

    def _schema(self, schema: pa.Schema) -> pa.Schema:
        import pyarrow as pa

        fields = []
        for field in schema:
            arrow = field.type
            if _is_categorical(self._descriptors[field.name]):
                # Later chunks may have more categories than the codes of the first can count.
                arrow = pa.dictionary(pa.int32(), arrow.value_type, arrow.ordered)
            fields.append(field.with_type(arrow))
        metadata = dict(schema.metadata or {})
        if self._without_index:
            entry = json.loads(metadata[b"pandas"])
            entry["index_columns"] = []
            metadata[b"pandas"] = json.dumps(entry).encode()
        return pa.schema(fields, metadata=metadata)

    def _converted(self, chunk: Any, number: int) -> Iterator[pa.RecordBatch]:
        import pandas as pd

        if not isinstance(chunk, pd.DataFrame):
            raise WrongTypeError(
                f"chunk {number}: the iterator gave a {type(chunk).__qualname__}, and the first was a pandas DataFrame",
                hint="give frames of one kind; a Series becomes a frame by .to_frame()",
            )
        chunk = self._with_labels(chunk, number)
        if len(chunk) == 0 and number > 1:
            return
        prepared = self._prepare(chunk, number)
        self._check(chunk, prepared, number)
        for batch in prepared.batches or ():
            yield self._fitted(batch)
        self._read += len(chunk)

    def _with_labels(self, chunk: pd.DataFrame, number: int) -> pd.DataFrame:
        """The chunk with its columns in the order of the first."""
        if _same_labels(chunk.columns, self._labels):
            return chunk
        ours, theirs = _labels_of(self._labels), _labels_of(chunk.columns)
        for missing in [label for label in ours if label not in theirs][:1]:
            raise InvalidInputError(
                f"chunk {number}: column {missing[1]!r} of the first chunk is missing",
                hint="give every chunk the same columns, as with chunk.reindex(columns=…)",
            )
        for new in [label for label in theirs if label not in ours][:1]:
            raise InvalidInputError(
                f"chunk {number}: column {new[1]!r} is not in the first chunk",
                hint="give every chunk the same columns, as with chunk.reindex(columns=…)",
            )
        if len(theirs) != len(ours):
            raise InvalidInputError(
                f"chunk {number}: it has several columns of one name", hint="give each column its own name"
            )
        places = {label: at for at, label in enumerate(theirs)}
        ordered = chunk.iloc[:, [places[label] for label in ours]]
        if not _same_labels(ordered.columns, self._labels):
            raise InvalidInputError(
                f"chunk {number}: its column labels are of another kind than those of the first chunk: "
                f"{ordered.columns.dtype} named {list(ordered.columns.names)!r}, not {self._labels.dtype} named "
                f"{list(self._labels.names)!r}",
                hint="set chunk.columns to the columns of the first chunk",
            )
        return ordered

    def _check(self, chunk: pd.DataFrame, prepared: Prepared, number: int) -> None:
        """Refuses a chunk that could not come back as it is."""
        self._check_details(prepared, number)
        descriptors = descriptors_of(prepared)
        for (name, values), field in zip(self._stored_values(chunk, prepared.schema), prepared.schema):
            ours, theirs = self._descriptors[name], descriptors[name]
            expected = self.schema.field(name).type
            if _is_object(ours):
                marker = self._markers[name]
                if _is_object(theirs) and values.isna().any() and theirs["missing"] != marker:
                    raise self._other_marker(number, name, theirs["missing"])
            if _fits(expected, ours, field.type, theirs) or self._all_missing(name, theirs, values):
                self._check_categories(name, values, number)
                continue
            raise self._other_type(number, name, values, field.type)
        for loss in prepared.losses:
            if loss not in self.losses:
                raise UnsupportedError(
                    f"chunk {number}: column `{loss['column']}` would lose {loss['loses']}, and the first chunk not",
                    hint="make the chunks alike, or put them as one frame",
                )

    def _check_details(self, prepared: Prepared, number: int) -> None:
        if prepared.schema.names != self.schema.names or _lasting(prepared.source) != _lasting(self.source):
            raise InvalidInputError(
                f"chunk {number}: its index names, levels or attributes (df.attrs, df.flags) are not those of the "
                "first chunk",
                hint="give every chunk the same, as with chunk.rename_axis(…) and chunk.attrs = {}",
            )

    def _all_missing(self, name: str, theirs: Any, values: Any) -> bool:
        """Whether all values of a chunk are the missing value of the column, in a type that holds nothing else."""
        ours = self._descriptors[name]
        if not isinstance(ours, Mapping) or not ("object" in ours or "string" in ours):
            return False
        if _is_object(theirs):
            return bool(theirs["object"] == "none" and theirs["missing"] == ours["missing"])
        return bool(theirs == "float64" and ours["missing"] == "nan" and values.isna().all())

    def _check_categories(self, name: str, values: Any, number: int) -> None:
        dtype = self._dtypes[name]
        if getattr(dtype, "ordered", None) and not values.dtype.categories.equals(dtype.categories):
            raise InvalidInputError(
                f"chunk {number}: {_place(name)} has the ordered categories {list(values.dtype.categories)[:5]!r}, and "
                f"the first chunk {list(dtype.categories)[:5]!r}, so nobody knows the order of all",
                hint="give every chunk the same categories: chunk[column].cat.set_categories(…)",
            )

    def _other_marker(self, number: int, name: str, marker: str) -> InvalidInputError:
        ours = self._markers[name]
        value = {"None": "None", "nan": "float('nan')", "NA": "pd.NA", "NaT": "pd.NaT"}[ours]
        part = self._spoken(name)
        return InvalidInputError(
            f"chunk {number}: {_place(name)} marks missing values as {marker}, and would get them back as {ours}, "
            "which stands for all chunks",
            hint=f"mark them so in each chunk: {part}.where({part}.notna(), {value}), or cast it to a type that has a "
            f"missing value of its own, such as {part}.astype('string') for text",
        )

    def _spoken(self, name: str) -> str:
        """How a program names the column or index level that is stored under a name."""
        names = self.schema.names
        at = names.index(name)
        if at < len(self._labels):
            return f"chunk[{self._labels[at]!r}]"
        return "chunk.index" if len(names) == len(self._labels) + 1 else f"chunk.index.levels[{at - len(self._labels)}]"

    def _other_type(self, number: int, name: str, values: Any, arrow: pa.DataType) -> InvalidInputError:
        ours, theirs = str(self._dtypes[name]), str(values.dtype)
        if ours == theirs:
            ours, theirs = f"{ours} of {self.schema.field(name).type}", f"{theirs} of {arrow}"
        empty = name in self._empty
        wanted = _wanted(self._dtypes[name], values, empty)
        why = ", where all of it is missing" if empty else ""
        at = self.schema.names.index(name)
        way = f"{self._spoken(name)}.astype({wanted})"
        if at < len(self._labels):
            way = f"dtype={{{self._labels[at]!r}: {wanted}}} to read_csv, or cast it in each: {way}"
        return InvalidInputError(
            f"chunk {number}: {_place(name)} is {theirs}, and in the first chunk {ours}{why}",
            hint=f"give every chunk the same type: {way}",
        )

    def _fitted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch in exactly the schema of the table."""
        import pyarrow as pa

        if not batch.num_columns:
            return batch.replace_schema_metadata(self.schema.metadata)
        arrays = []
        for field, values in zip(self.schema, batch.columns):
            if values.type != field.type:
                same_kind = pa.types.is_dictionary(field.type) and pa.types.is_dictionary(values.type)
                values = _wider(values, field.type) if same_kind else pa.nulls(len(values), field.type)
            arrays.append(values)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def descriptors_of(prepared: Prepared) -> dict[str, Any]:
    """The exact pandas type of each stored column of a prepared frame, as JSON."""
    from coldframe.frames.pandas_schema import default_descriptor, read_entry

    entries = {item.get("field_name"): item for item in (read_entry(prepared.schema) or {}).get("columns", [])}
    dtypes = prepared.source.get("dtypes", {})
    return {
        field.name: dtypes.get(field.name, default_descriptor(field.type, entries.get(field.name)))
        for field in prepared.schema
    }


def _fits(expected: pa.DataType, ours: Any, arrow: pa.DataType, theirs: Any) -> bool:
    """Whether a column of a chunk has the type of the first chunk; categories may be others."""
    if _is_categorical(ours) and _is_categorical(theirs):
        return bool(ours == theirs and expected.value_type == arrow.value_type and expected.ordered == arrow.ordered)
    if _is_object(ours) and _is_object(theirs):
        return bool(expected == arrow and {**ours, "missing": None} == {**theirs, "missing": None})
    return bool(expected == arrow and ours == theirs)


def _wider(values: pa.DictionaryArray, arrow: pa.DataType) -> pa.DictionaryArray:
    import pyarrow as pa

    indices = values.indices.cast(arrow.index_type)
    return pa.DictionaryArray.from_arrays(indices, values.dictionary, ordered=arrow.ordered, safe=False)


def _is_categorical(descriptor: Any) -> bool:
    return isinstance(descriptor, Mapping) and "category" in descriptor


def _is_object(descriptor: Any) -> bool:
    return isinstance(descriptor, Mapping) and "object" in descriptor


def _usual_marker(descriptor: Mapping[str, Any]) -> str:
    """The missing value that a reader of files gives to a column of these objects."""
    return {"str": "nan", "Timestamp": "NaT", "Timedelta": "NaT"}.get(descriptor["object"], "None")


def _lasting(source: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a source has to be the same in every chunk."""
    index = {key: value for key, value in source.get("index", {}).items() if key not in _EACH_ITS_OWN}
    return index, source.get("attrs"), source.get("allows_duplicate_labels")


def _is_default(index: Any, start: int) -> bool:
    import pandas as pd

    return isinstance(index, pd.RangeIndex) and index.name is None and index.step == 1 and index.start == start


def _spoken_index(index: Any) -> str:
    text = ", ".join(map(repr, index[:3].tolist()))
    return f"[{text}, …]" if len(index) > 3 else f"[{text}]"


def _same_labels(ours: Any, theirs: Any) -> bool:
    return bool(
        ours.dtype == theirs.dtype and list(ours.names) == list(theirs.names) and _labels_of(ours) == _labels_of(theirs)
    )


def _labels_of(labels: Any) -> Sequence[tuple[type, Any]]:
    """The labels with their types, since 1 is also True; a missing one is equal to another."""
    return [(type(label), None if label != label else label) for label in labels]


def _place(name: str) -> str:
    return f"column `{name}`"


def _wanted(ours: Any, values: Any, empty: bool) -> str:
    """The type that holds the values of both, as text of Python; … where that is for the caller to say."""
    theirs = values.dtype
    if empty:
        return repr(str(theirs)) if str(theirs) not in ("object", "category") else "'str'"
    kinds = {getattr(ours, "kind", "O"), getattr(theirs, "kind", "O")}
    if str(theirs) == "float64" and str(ours) == "int64":
        # Whole numbers of more than 53 bits would not fit into floats.
        return "'Int64'" if (values.dropna() % 1 == 0).all() else "'float64'"
    return "'float64'" if kinds in ({"i", "f"}, {"u", "f"}) else "…"


def _in_chunk(error: InvalidInputError | UnsupportedError, number: int) -> Exception:
    """The same error, saying which chunk it is about."""
    message = f"chunk {number}: {error.message}"
    return type(error)(message, hint=error.hint, operation=error.operation, subject=error.subject, causes=error.causes)
