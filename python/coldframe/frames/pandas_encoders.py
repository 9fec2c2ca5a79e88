"""Columns of pandas to Arrow arrays, a slice of rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coldframe.errors import WrongTypeError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from coldframe.frames.pandas_places import Place

BLOCK = 1024
"""Rows whose bytes are estimated together, for columns of values of different sizes."""


@dataclass(frozen=True)
class Encoder:
    """How the values of one column become Arrow arrays of one type."""

    type: pa.DataType
    """The Arrow type of every slice."""
    descriptor: Any
    """What the exact pandas type is, as JSON; a decoder is made of it."""
    encode: Callable[[Any], pa.Array]
    """Makes an Arrow array of a slice of the values."""
    row_bytes: float = 8.0
    """About how many bytes a row takes, where all take the same."""
    block_bytes: np.ndarray[Any, Any] | None = None
    """About how many bytes each `BLOCK` of rows takes, where rows differ."""
    losses: list[str] = field(default_factory=list)
    """What does not come back, each a phrase."""


def encoder_for(values: Any, place: Place) -> Encoder:
    """The encoder of an array of pandas or NumPy; object arrays are looked through for it.

    ``place`` is how errors call the column. Raises TypeError for values that no Arrow type holds exactly, and
    ValueError for those out of its range.
    """
    import numpy as np
    import pandas as pd

    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return _numpy(values, dtype, place)
    if isinstance(dtype, pd.StringDtype):
        return _string(values, dtype)
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow(values, dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        return _categorical(values, dtype, place)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _zoned(dtype, place)
    if isinstance(dtype, pd.PeriodDtype):
        return _period(dtype)
    if isinstance(dtype, pd.IntervalDtype):
        return _interval(values, dtype, place)
    if isinstance(dtype, pd.SparseDtype):
        return _sparse(values, dtype, place)
    if type(values).__module__.startswith("pandas.") and hasattr(values, "_mask"):
        return _masked(dtype)
    raise WrongTypeError(
        f"{place} has the type {dtype} of {type(dtype).__module__.partition('.')[0]}, which is not stored: convert it "
        "to a type of pandas or to str, or put it with serializer='pickle'"
    )


def as_array(values: Any) -> Any:
    """The NumPy or extension array of a Series or Index, without copying."""
    import numpy as np

    return np.asarray(values) if isinstance(values.dtype, np.dtype) else values.array


def one_array(values: Any) -> pa.Array:
    """An Arrow array of what may be one or come in chunks."""
    import pyarrow as pa

    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _numpy(values: np.ndarray[Any, Any], dtype: np.dtype[Any], place: Place) -> Encoder:
    import pyarrow as pa

    if dtype.kind == "O":
        from coldframe.frames.pandas_object_encoder import object_encoder

        return object_encoder(values, place)
    if dtype.kind == "c":
        raise WrongTypeError(
            f"{place} holds complex numbers, which Arrow has not: store its .real and .imag as two columns, "
            "or put it with serializer='pickle'"
        )
    if dtype.kind not in "biufmM" or dtype.itemsize > 8:
        raise WrongTypeError(
            f"{place} has the NumPy type {dtype}, which Arrow has not: convert it with .astype('float64') or str"
        )
    native = dtype.newbyteorder("=")
    arrow = pa.from_numpy_dtype(native)

    def encode(part: np.ndarray[Any, Any]) -> pa.Array:
        return pa.array(part.astype(native, copy=False), type=arrow, from_pandas=True)

    losses = [] if dtype.isnative else ["its byte order: comes back in the order of the machine"]
    return Encoder(arrow, str(native), encode, dtype.itemsize, losses=losses)


def _blocks_of_arrow(values: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.array([values.slice(start, BLOCK).nbytes for start in range(0, len(values), BLOCK)], dtype="float64")


def _string(values: Any, dtype: pd.StringDtype) -> Encoder:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    missing = "NA" if dtype.na_value is pd.NA else "nan"
    if dtype.storage == "python":
        from coldframe.frames.pandas_object_encoder import block_bytes

        arrow, blocks = pa.string(), block_bytes(np.asarray(values, dtype=object), "str")
    else:
        chunked = values._pa_array
        arrow, blocks = chunked.type, _blocks_of_arrow(chunked)
    storage = "python" if dtype.storage == "python" else "pyarrow"

    def encode(part: Any) -> pa.Array:
        return one_array(pa.array(part, type=arrow, from_pandas=True))

    return Encoder(arrow, {"string": storage, "missing": missing}, encode, block_bytes=blocks)


def _arrow(values: Any, dtype: pd.ArrowDtype) -> Encoder:
    arrow = dtype.pyarrow_dtype

    def encode(part: Any) -> pa.Array:
        return one_array(part._pa_array)

    return Encoder(arrow, "arrow", encode, block_bytes=_blocks_of_arrow(values._pa_array))


def _categorical(values: pd.Categorical, dtype: pd.CategoricalDtype, place: Place) -> Encoder:
    import pandas as pd
    import pyarrow as pa

    from coldframe.frames.pandas_intervals import describe_intervals
    from coldframe.frames.pandas_labels import index_details

    categories = as_array(dtype.categories)
    inner = encoder_for(categories, place.categories())
    category, dictionary = inner.descriptor, None
    if isinstance(dtype.categories.dtype, pd.IntervalDtype):
        intervals = describe_intervals(categories, place.categories())
        if intervals is not None:
            category, dictionary = {"intervals": intervals}, pa.array(intervals["text"], pa.string())
    if dictionary is None:
        dictionary = inner.encode(categories)
    if isinstance(dictionary, pa.ExtensionArray):
        # The descriptor tells periods and intervals; few readers know dictionaries of an extension type.
        dictionary = dictionary.storage
    index_type = pa.from_numpy_dtype(values.codes.dtype)
    arrow = pa.dictionary(index_type, dictionary.type, ordered=bool(dtype.ordered))

    def encode(part: pd.Categorical) -> pa.Array:
        codes = part.codes
        indices = pa.array(codes, index_type, mask=codes == -1)
        return pa.DictionaryArray.from_arrays(indices, dictionary, ordered=bool(dtype.ordered), safe=False)

    descriptor = {"category": category, "ordered": bool(dtype.ordered)}
    descriptor.update(index_details(dtype.categories, f"the categories of {place}", inner.losses))
    return Encoder(arrow, descriptor, encode, values.codes.dtype.itemsize, losses=inner.losses)


def _zoned(dtype: pd.DatetimeTZDtype, place: Place) -> Encoder:
    import pyarrow as pa

    from coldframe.frames.pandas_timezones import arrow_name, describe

    zone = describe(dtype.tz, place)
    arrow = pa.timestamp(dtype.unit, arrow_name(zone))

    def encode(part: Any) -> pa.Array:
        return pa.array(part.asi8.view(f"M8[{dtype.unit}]"), type=arrow, from_pandas=True)

    return Encoder(arrow, {"datetime64": dtype.unit, "zone": zone}, encode)


def _masked(dtype: Any) -> Encoder:
    import pyarrow as pa

    arrow = pa.bool_() if dtype.name == "boolean" else pa.from_numpy_dtype(dtype.numpy_dtype)

    def encode(part: Any) -> pa.Array:
        # pa.array(part, from_pandas=True) would turn the NaNs of a Float64 column into nulls.
        return part.__arrow_array__(type=arrow)

    return Encoder(arrow, dtype.name, encode)


def _period(dtype: pd.PeriodDtype) -> Encoder:
    import pyarrow as pa
    from pandas.core.arrays.arrow.extension_types import ArrowPeriodType

    # Not dtype.freq.freqstr: that is the name of an offset, such as ME for the period M.
    frequency = dtype.name.removeprefix("period[").removesuffix("]")
    arrow = ArrowPeriodType(frequency)

    def encode(part: Any) -> pa.Array:
        storage = pa.array(part.asi8, pa.int64(), mask=part.isna())
        return pa.ExtensionArray.from_storage(arrow, storage)

    return Encoder(arrow, {"period": frequency}, encode)


def _interval(values: Any, dtype: pd.IntervalDtype, place: Place) -> Encoder:
    import pandas as pd
    import pyarrow as pa
    from pandas.core.arrays.arrow.extension_types import ArrowIntervalType

    side = encoder_for(as_array(values.left), place)
    struct = pa.struct([("left", side.type), ("right", side.type)])
    # pandas 2 cannot read its own extension type over times with a zone, nor any file that has it.
    zoned = isinstance(dtype.subtype, pd.DatetimeTZDtype)
    arrow = struct if zoned else ArrowIntervalType(side.type, values.closed)

    def encode(part: Any) -> pa.Array:
        ends = [side.encode(as_array(end)) for end in (part.left, part.right)]
        storage = pa.StructArray.from_arrays(ends, fields=list(struct), mask=pa.array(part.isna()))
        return storage if zoned else pa.ExtensionArray.from_storage(arrow, storage)

    return Encoder(arrow, {"interval": side.descriptor, "closed": values.closed}, encode, 16.0, losses=side.losses)


def _sparse(values: Any, dtype: pd.SparseDtype, place: Place) -> Encoder:
    import numpy as np

    dense = encoder_for(np.empty(0, dtype.subtype) if dtype.subtype.kind != "O" else np.asarray(values), place)

    def encode(part: Any) -> pa.Array:
        return dense.encode(np.asarray(part))

    losses = [*dense.losses, "its sparse storage: comes back dense"]
    return Encoder(dense.type, dense.descriptor, encode, dense.row_bytes, dense.block_bytes, losses)
