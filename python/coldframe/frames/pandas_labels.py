"""Labels of a pandas frame (its columns, names and index details) as JSON and back."""

from __future__ import annotations

import base64
import contextlib
import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coldframe.errors import WrongTypeError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def encode_label(label: Any, place: str) -> Any:
    """A label or name as JSON. Raises TypeError, naming ``place``, for one of a type that has no JSON form here."""
    import numpy as np
    import pandas as pd

    if label is None or isinstance(label, bool) or type(label) is str:
        return label
    if type(label) is int:
        return label if -(2**63) <= label < 2**63 else {"int": str(label)}
    if type(label) is float:
        return {"float": repr(label)}
    if type(label) is tuple:
        return {"tuple": [encode_label(item, place) for item in label]}
    if isinstance(label, np.generic) and label.dtype.kind in "biuf":
        return {"numpy": label.dtype.name, "value": repr(label.item())}
    if label is pd.NA or label is pd.NaT:
        return {"missing": str(label)}
    if type(label) is pd.Timestamp and label.tzinfo is None:
        return {"timestamp": label.isoformat(), "unit": label.unit}
    if type(label) is datetime.date:
        return {"date": label.isoformat()}
    raise WrongTypeError(
        f"{place} is the label {label!r} of type {type(label).__name__}, which is not stored: "
        "rename it to a str, number, date or tuple of these"
    )


def decode_label(label: Any) -> Any:
    """The label that `encode_label` made JSON of."""
    import numpy as np
    import pandas as pd

    if not isinstance(label, Mapping):
        return label
    if "int" in label:
        return int(label["int"])
    if "float" in label:
        return float(label["float"])
    if "tuple" in label:
        return tuple(map(decode_label, label["tuple"]))
    if "numpy" in label:
        dtype = np.dtype(label["numpy"])
        return dtype.type(label["value"] == "True") if dtype.kind == "b" else dtype.type(label["value"])
    if "missing" in label:
        return pd.NA if label["missing"] == "<NA>" else pd.NaT
    if "timestamp" in label:
        return pd.Timestamp(label["timestamp"]).as_unit(label["unit"])
    return datetime.date.fromisoformat(label["date"])


def stored_name(label: Any) -> str:
    """What a label is called in Arrow, by the convention of pyarrow."""
    if isinstance(label, bytes):
        return label.decode(errors="replace")
    if isinstance(label, tuple):
        return str(tuple(map(stored_name, label)))
    return str(label)


def stored_names(labels: Sequence[Any], taken: set[str]) -> list[str]:
    """A name for each label that no other has; labels that are strings keep theirs. Adds them to ``taken``."""
    taken.update(label for label in labels if isinstance(label, str))
    names = []
    for label in labels:
        name = stored_name(label)
        if not isinstance(label, str):
            while name in taken:
                name += "_"
            taken.add(name)
        names.append(name)
    return names


def index_details(index: pd.Index[Any], place: str, losses: list[str]) -> dict[str, Any]:
    """The name and frequency of an index as JSON, which are not in its values; empty where it has neither."""
    import pandas as pd

    details: dict[str, Any] = {}
    if index.name is not None:
        details["name"] = encode_label(index.name, f"the name of {place}")
    frequency = getattr(index, "freq", None)
    if frequency is not None and isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        if _frequency(frequency.freqstr) == frequency:
            details["freq"] = frequency.freqstr
        else:
            losses.append(f"its frequency {frequency}: comes back without")
    return details


def level_frequencies(index: pd.MultiIndex, losses: list[str]) -> dict[str, str]:
    """The frequencies of the levels of a MultiIndex that have one, by their position.

    A level is made anew of the values that the rows have, so one with unused values loses its frequency.
    """
    import numpy as np

    frequencies = {}
    for at, level in enumerate(index.levels):
        details = index_details(level.rename(None), f"level {at} of the index", losses)
        if "freq" not in details:
            continue
        if np.count_nonzero(np.bincount(index.codes[at] + 1, minlength=1)[1:]) == len(level):
            frequencies[str(at)] = details["freq"]
        else:
            losses.append(f"the frequency of its level {at}, which has values that no row has: comes back without")
    return frequencies


def with_details(index: pd.Index[Any], details: Mapping[str, Any]) -> pd.Index[Any]:
    """The index with the name and frequency of its details; a frequency that its values no longer have is left off."""
    import pandas as pd

    if "freq" in details and isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        # It does not fit where only some of the rows were read.
        with contextlib.suppress(ValueError):
            index = type(index)(index, freq=details["freq"])
    index.name = decode_label(details.get("name"))
    return index


def _frequency(text: str) -> Any:
    from pandas.tseries.frequencies import to_offset

    try:
        return to_offset(text)
    except ValueError:
        return None


def encode_columns(columns: pd.Index[Any], losses: list[str]) -> dict[str, Any]:
    """The column labels as JSON; those that are strings are not repeated, since the stored names are the same.

    Raises TypeError for labels that cannot be stored.
    """
    import pandas as pd

    names = {"names": [encode_label(name, "a name of df.columns") for name in columns.names]}
    if all(name is None for name in columns.names):
        names = {}
    if isinstance(columns, pd.RangeIndex):
        return {"range": [columns.start, columns.stop, columns.step], **names}
    if isinstance(columns, pd.MultiIndex):
        names = {"names": [encode_label(name, "a name of df.columns") for name in columns.names]}
        levels = [_encode_index(level, losses) for level in columns.levels]
        return {"levels": levels, "codes": [[int(code) for code in codes] for codes in columns.codes], **names}
    return {**_encode_index(columns, losses, strings_are_known=True), **names}


def _encode_index(index: pd.Index[Any], losses: list[str], *, strings_are_known: bool = False) -> dict[str, Any]:
    import pyarrow as pa

    from coldframe.frames.pandas_encoders import as_array, encoder_for
    from coldframe.frames.pandas_places import labels_place

    values = as_array(index)
    try:
        encoder = encoder_for(values, labels_place())
    except TypeError:
        return {"labels": [encode_label(label, "in df.columns") for label in index]}
    losses.extend(encoder.losses)
    details = {"dtype": encoder.descriptor, **index_details(index, "df.columns", losses)}
    details.pop("name", None)
    text = pa.types.is_string(encoder.type) or pa.types.is_large_string(encoder.type)
    if strings_are_known and text and len(index) and all(type(label) is str for label in index):
        return details
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([encoder.encode(values)], names=["label"])
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
    return {"values": base64.b64encode(sink.getvalue()).decode(), **details}


def decode_columns(description: Mapping[str, Any], stored: Sequence[str]) -> pd.Index[Any]:
    """The column labels that `encode_columns` made JSON of; ``stored`` are the stored names of all of them."""
    import pandas as pd

    names = [decode_label(name) for name in description.get("names", [None])]
    if "range" in description:
        return pd.RangeIndex(*description["range"], name=names[0])
    if "levels" in description:
        levels = [_decode_index(level, ()) for level in description["levels"]]
        return pd.MultiIndex(levels=levels, codes=description["codes"], names=names, verify_integrity=False)
    index = _decode_index(description, stored)
    index.name = names[0]
    return index


def _decode_index(description: Mapping[str, Any], stored: Sequence[str]) -> pd.Index[Any]:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from coldframe.frames.pandas_decoders import decoder_for, index_of

    if "labels" in description:
        labels = np.empty(len(description["labels"]), dtype=object)
        labels[:] = [decode_label(label) for label in description["labels"]]
        return pd.Index(labels, dtype=object, tupleize_cols=False)
    if "values" in description:
        with pa.ipc.open_stream(base64.b64decode(description["values"])) as reader:
            values = one_column(reader)
    else:
        values = pa.array(stored, pa.string())
    decoder = decoder_for(description["dtype"], values.type, len(values), "the column labels")
    decoder.append(values)
    return with_details(index_of(decoder.finish()), description)


def one_column(reader: pa.RecordBatchReader) -> pa.Array:
    """The only column of the only batch of a stream."""
    return reader.read_next_batch().column(0)
