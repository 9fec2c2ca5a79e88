"""Arrow arrays, batch by batch, to columns of pandas.

A decoder of fixed-width values fills one array that has its final size from the start. No decoder keeps a batch: an
array of it would keep the memory of all its columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from coldframe.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

_GATHER_BYTES = 8 << 20


class Decoder(Protocol):
    """Makes one column of what is appended to it."""

    def append(self, values: pa.Array) -> None:
        """Takes the rows of the next batch."""

    def finish(self) -> Any:
        """The column, as an array of NumPy or an extension array. The decoder is used up."""


def decoder_for(descriptor: Any, arrow: pa.DataType, rows: int, place: str) -> Decoder:
    """The decoder of a column of ``rows`` rows, to the pandas type that ``descriptor`` tells.

    Raises ValueError for a descriptor that is not known, naming ``place``.
    """
    import numpy as np

    if descriptor == "natural":
        return _natural(arrow, rows, place)
    if descriptor == "arrow":
        return Chunks(arrow)
    if isinstance(descriptor, str):
        if descriptor[:1].isupper() or descriptor == "boolean":
            return FixedWidth(np.dtype(descriptor.lower().replace("boolean", "bool")), rows, always_masked=True)
        return FixedWidth(np.dtype(descriptor), rows)
    if isinstance(descriptor, Mapping):
        if "string" in descriptor:
            dtype = string_dtype(descriptor["string"], descriptor["missing"])
            return Strings(dtype) if descriptor["string"] == "pyarrow" else PythonStrings(dtype, rows)
        if "datetime64" in descriptor:
            return Zoned(descriptor["datetime64"], descriptor["zone"], rows)
        if "period" in descriptor:
            return Periods(descriptor["period"], rows)
        if "interval" in descriptor:
            return Intervals(descriptor, arrow, rows, place)
        if "category" in descriptor:
            from coldframe.frames.pandas_categories import Categories

            return Categories(descriptor, arrow, rows, place)
        if "object" in descriptor:
            from coldframe.frames.pandas_object_decoder import Objects

            return Objects(descriptor, arrow, rows)
    raise InvalidInputError(
        f"{place} was stored as {descriptor!r}, which this version of coldframe does not know: update coldframe, "
        "or read it as a table of pyarrow"
    )


def _natural(arrow: pa.DataType, rows: int, place: str) -> Decoder:
    """The decoder of a column that did not come from pandas, or of which nothing is known."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from coldframe.frames.pandas_object_decoder import Objects
    from coldframe.frames.pandas_schema import default_zone

    types = pa.types
    if types.is_integer(arrow) or types.is_floating(arrow) or types.is_boolean(arrow) or types.is_duration(arrow):
        return FixedWidth(np.dtype(arrow.to_pandas_dtype()), rows)
    if types.is_timestamp(arrow):
        if arrow.tz is not None:
            return Zoned(arrow.unit, default_zone(arrow.tz), rows)
        return FixedWidth(np.dtype(f"datetime64[{arrow.unit}]"), rows)
    if types.is_string(arrow) or types.is_large_string(arrow) or types.is_string_view(arrow):
        if int(pd.__version__.partition(".")[0]) >= 3:
            return Strings(string_dtype("pyarrow", "nan"))
        return Objects({"object": "str", "missing": "None"}, arrow, rows)
    if types.is_dictionary(arrow) and not types.is_nested(arrow.value_type):
        from coldframe.frames.pandas_categories import Categories

        return Categories({"category": "natural", "ordered": bool(arrow.ordered)}, arrow, rows, place)
    name = getattr(arrow, "extension_name", None)
    if name == "pandas.period":
        return Periods(arrow.freq, rows)
    if name == "pandas.interval":
        return Intervals({"interval": "natural", "closed": arrow.closed}, arrow, rows, place)
    return Objects({"object": "natural", "missing": "None"}, arrow, rows)


def string_dtype(storage: str, missing: str) -> pd.StringDtype:
    """The string type of pandas with this storage and missing value, or the nearest that an older pandas has."""
    import numpy as np
    import pandas as pd

    if missing == "NA":
        return pd.StringDtype(storage)
    try:
        return pd.StringDtype(storage, na_value=np.nan)
    except TypeError:
        return pd.StringDtype("pyarrow_numpy")


def index_of(values: Any) -> pd.Index[Any]:
    """An index of finished values, of their own type."""
    import numpy as np
    import pandas as pd

    if isinstance(values, np.ndarray) and values.dtype == object:
        return pd.Index(values, dtype=object, copy=False, tupleize_cols=False)
    return pd.Index(values, copy=False)


def storage_of(values: pa.Array) -> pa.Array:
    """The values without their extension type."""
    import pyarrow as pa

    return values.storage if isinstance(values, pa.ExtensionArray) else values


class FixedWidth:
    """Numbers, booleans, times and durations. Integers and booleans with nulls become pandas' nullable ones."""

    def __init__(self, dtype: np.dtype[Any], rows: int, *, always_masked: bool = False) -> None:
        import numpy as np

        self._values = np.empty(rows, dtype)
        self._mask = np.zeros(rows, dtype=bool) if always_masked else None
        self._needs_mask = always_masked or dtype.kind in "biu"
        self._at = 0

    def append(self, values: pa.Array) -> None:
        """Copies the next rows to their place."""
        import numpy as np

        values = storage_of(values)
        part = slice(self._at, self._at + len(values))
        if values.null_count and self._needs_mask:
            if self._mask is None:
                self._mask = np.zeros(len(self._values), dtype=bool)
            self._mask[part] = values.is_null().to_numpy(zero_copy_only=False)
            values = values.fill_null(False if self._values.dtype.kind == "b" else 0)
        self._values[part] = values.to_numpy(zero_copy_only=False)
        self._at += len(values)

    def finish(self) -> Any:
        """A NumPy array, or a masked one where there are nulls that it cannot hold."""
        import pandas as pd

        if self._mask is None:
            return self._values
        kinds = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
        return kinds.get(self._values.dtype.kind, pd.arrays.IntegerArray)(self._values, self._mask)


class Zoned(FixedWidth):
    """Times with a time zone."""

    def __init__(self, unit: str, zone: Mapping[str, Any], rows: int) -> None:
        import numpy as np
        import pandas as pd

        from coldframe.frames.pandas_timezones import restore

        super().__init__(np.dtype(f"datetime64[{unit}]"), rows)
        self._dtype = pd.DatetimeTZDtype(unit, restore(zone))

    def finish(self) -> Any:
        """A DatetimeArray."""
        import pandas as pd

        # The ways that are public copy the column; these values are UTC already.
        return pd.arrays.DatetimeArray._simple_new(super().finish(), dtype=self._dtype)


class Periods:
    """Periods, stored as ordinals."""

    def __init__(self, frequency: str, rows: int) -> None:
        import numpy as np
        import pandas as pd

        self._ordinals = np.empty(rows, dtype="int64")
        self._dtype = pd.PeriodDtype(frequency)
        self._at = 0

    def append(self, values: pa.Array) -> None:
        """Copies the next rows to their place."""
        import pandas as pd

        filled = storage_of(values).fill_null(pd.NaT._value)
        self._ordinals[self._at : self._at + len(filled)] = filled.to_numpy()
        self._at += len(filled)

    def finish(self) -> Any:
        """A PeriodArray."""
        import pandas as pd

        return pd.arrays.PeriodArray(self._ordinals, dtype=self._dtype)


class Intervals:
    """Intervals, stored as structs of their ends."""

    def __init__(self, descriptor: Mapping[str, Any], arrow: pa.DataType, rows: int, place: str) -> None:
        import pyarrow as pa

        storage = arrow.storage_type if isinstance(arrow, pa.BaseExtensionType) else arrow
        self._closed = descriptor["closed"]
        self._ends = [
            decoder_for(descriptor["interval"], storage.field(end).type, rows, place) for end in ("left", "right")
        ]

    def append(self, values: pa.Array) -> None:
        """Takes the ends of the next rows."""
        # Unlike field(), flatten() makes the ends of a missing interval missing.
        for end, part in zip(self._ends, storage_of(values).flatten()):
            end.append(part)

    def finish(self) -> Any:
        """An IntervalArray."""
        import pandas as pd

        left, right = (end.finish() for end in self._ends)
        return pd.arrays.IntervalArray.from_arrays(left, right, closed=self._closed)


class Chunks:
    """Arrow-backed columns: chunks of Arrow arrays that own their memory."""

    def __init__(self, arrow: pa.DataType) -> None:
        self._type = arrow
        self._chunks: list[pa.Array] = []
        self._small: list[pa.Array] = []
        self._small_bytes = 0

    def append(self, values: pa.Array) -> None:
        """Copies the next rows out of their batch."""
        import pyarrow as pa

        if values.type != self._type:
            values = values.cast(self._type)
        if len(values) == 0:
            return
        # Concatenation copies; a lone array it would hand back as it is.
        owned = pa.concat_arrays([values, values.slice(0, 0)])
        self._small.append(owned)
        self._small_bytes += owned.nbytes
        if self._small_bytes >= _GATHER_BYTES:
            self._gather()

    def _gather(self) -> None:
        import pyarrow as pa

        if self._small:
            self._chunks.append(pa.concat_arrays(self._small) if len(self._small) > 1 else self._small[0])
        self._small, self._small_bytes = [], 0

    def chunked(self) -> pa.ChunkedArray:
        """All rows so far."""
        import pyarrow as pa

        self._gather()
        chunks, self._chunks = self._chunks, []
        return pa.chunked_array(chunks, type=self._type)

    def finish(self) -> Any:
        """An ArrowExtensionArray."""
        import pandas as pd

        return pd.arrays.ArrowExtensionArray(self.chunked())


class Strings(Chunks):
    """Strings in the storage of pyarrow."""

    def __init__(self, dtype: pd.StringDtype) -> None:
        import pyarrow as pa

        super().__init__(pa.large_string())
        self._dtype = dtype

    def finish(self) -> Any:
        """A string array of the type given."""
        return self._dtype.__from_arrow__(self.chunked())


class PythonStrings:
    """Strings in the storage of Python."""

    def __init__(self, dtype: pd.StringDtype, rows: int) -> None:
        import pyarrow as pa

        from coldframe.frames.pandas_object_decoder import Objects

        missing = "NA" if repr(dtype.na_value) == "<NA>" else "nan"
        self._dtype = dtype
        self._objects = Objects({"object": "str", "missing": missing}, pa.string(), rows)

    def append(self, values: pa.Array) -> None:
        """Makes strings of the next rows."""
        self._objects.append(values)

    def finish(self) -> Any:
        """A string array of the type given."""
        import pandas as pd

        return pd.array(self._objects.finish(), dtype=self._dtype, copy=False)
