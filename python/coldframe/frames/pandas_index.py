"""The index of a pandas frame: levels of a MultiIndex to Arrow, and an index back from its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from coldframe.frames.pandas_encoders import Encoder
    from coldframe.frames.pandas_places import Place

# A missing value of a level is in its codes, so that these never need a mask.
_NUMPY_INTEGERS = ("bool", *(f"{sign}int{width}" for sign in ("", "u") for width in (8, 16, 32, 64)))


class Level:
    """One level of a MultiIndex as if it were a column; a slice of it has only its own values."""

    def __init__(self, values: Any, codes: np.ndarray[Any, Any]) -> None:
        self.values = values
        self.codes = codes
        self.dtype = values.dtype

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice) -> Level:
        return Level(self.values, self.codes[rows])

    def encoder(self, place: Place) -> Encoder:
        """The encoder of the level: that of its values, with a null where a row has none."""
        from dataclasses import replace

        from coldframe.frames.pandas_encoders import encoder_for

        inner = encoder_for(self.values, place)
        blocks = inner.block_bytes
        average = inner.row_bytes if blocks is None else float(blocks.sum()) / max(1, len(self.values))

        def encode(part: Level) -> pa.Array:
            return part._encode(inner)

        return replace(inner, encode=encode, row_bytes=average, block_bytes=None)

    def _encode(self, inner: Encoder) -> pa.Array:
        import numpy as np
        import pyarrow as pa

        absent = self.codes < 0
        distinct = np.unique(self.codes[~absent])
        where = np.searchsorted(distinct, self.codes)
        values = inner.encode(self.values.take(distinct))
        return values.take(pa.array(where, pa.int64(), mask=absent))


def rebuild_index(
    listed: Sequence[Any],
    levels: Mapping[str, tuple[Any, Any]],
    entries: Mapping[str, Mapping[str, Any]],
    details: Mapping[str, Any],
    rows: int,
    offset: int | None = 0,
    total: int | None = None,
) -> pd.Index[Any] | None:
    """The index that the `pandas` entry lists, from the descriptors and finished values of its columns.

    ``rows`` were read from row ``offset`` on, of ``total`` that are stored; an ``offset`` of None says that rows
    between were left out, and a RangeIndex counts anew. None where the index has to be a plain RangeIndex.
    """
    import pandas as pd

    from coldframe.frames.pandas_decoders import index_of
    from coldframe.frames.pandas_labels import decode_label, with_details

    names = [decode_label(name) for name in details["names"]] if "names" in details else None
    if len(listed) == 1 and isinstance(listed[0], Mapping):
        stored = listed[0]
        if offset is None:
            return pd.RangeIndex(rows, name=names[0] if names else stored["name"])
        index = pd.RangeIndex(
            stored["start"], stored["stop"], stored["step"], name=names[0] if names else stored["name"]
        )
        # Other libraries keep the entry of a table when they leave out rows.
        whole = len(index) == (offset + rows if total is None else total)
        return index[offset : offset + rows] if whole else None
    if not listed:
        return None
    if names is None:
        names = [entries.get(name, {}).get("name") for name in listed]
    if "levels" in details or len(listed) > 1:
        return _multi_index([levels[name] for name in listed], names, details.get("frequencies", {}))
    index = with_details(index_of(levels[listed[0]][1]), details)
    index.name = names[0]
    return index


def _multi_index(
    columns: Sequence[tuple[Any, Any]], names: Sequence[Any], frequencies: Mapping[str, str]
) -> pd.MultiIndex:
    import numpy as np
    import pandas as pd

    from coldframe.frames.pandas_decoders import index_of
    from coldframe.frames.pandas_labels import with_details

    levels, codes = [], []
    for at, (descriptor, values) in enumerate(columns):
        if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
            levels.append(pd.CategoricalIndex(values.categories, dtype=values.dtype))
            codes.append(values.codes)
            continue
        present = ~pd.isna(values)
        code = np.full(len(values), -1, dtype="int64")
        found = values[present]
        if descriptor in _NUMPY_INTEGERS and not isinstance(found, np.ndarray):
            found = found.to_numpy()
        # Only in order can a level have a frequency.
        code[present], level = pd.factorize(found, sort=str(at) in frequencies)
        codes.append(code)
        levels.append(with_details(index_of(level), {"freq": frequencies[str(at)]} if str(at) in frequencies else {}))
    return pd.MultiIndex(levels=levels, codes=codes, names=names, verify_integrity=False)
