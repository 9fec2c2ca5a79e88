"""Object arrays of pandas to Arrow arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coldframe.errors import InvalidInputError
from coldframe.frames.pandas_encoders import BLOCK, Encoder, one_array

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from coldframe.frames.pandas_places import Place


def object_encoder(values: np.ndarray[Any, Any], place: Place) -> Encoder:
    """The encoder of an object array; all its values are looked at. Raises as `encoder_for` does."""
    import pyarrow as pa

    from coldframe.frames.pandas_objects import look_at

    kind = look_at(lambda: values, place)

    def encode(part: np.ndarray[Any, Any]) -> pa.Array:
        try:
            return _object_slice(part, kind.name, kind.type)
        except (pa.ArrowException, UnicodeError, OverflowError) as error:
            raise InvalidInputError(
                f"{place} holds a value that does not fit the Arrow type {kind.type} ({error}): mend the value, "
                "or put it with serializer='pickle'"
            ) from error

    sizes = block_bytes(values, kind.name) if kind.name in ("str", "bytes", "nested", "array") else None
    width = 1.0 if kind.name in ("none", "bool") else 32.0 if kind.name in ("bigint", "decimal", "uuid") else 8.0
    return Encoder(kind.type, kind.descriptor, encode, width, sizes, kind.losses)


def _object_slice(part: np.ndarray[Any, Any], name: str, arrow: pa.DataType) -> pa.Array:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from coldframe.frames.pandas_objects import is_missing

    if name == "none":
        return pa.nulls(len(part), arrow)
    if name == "float":
        return pa.array(
            [v if type(v) is float else None if v is None or v is pd.NA or v is pd.NaT else v for v in part], arrow
        )
    if name == "uuid":
        storage = pa.array([None if is_missing(v) else v.bytes for v in part], pa.binary(16))
        return pa.ExtensionArray.from_storage(arrow, storage)
    if name == "array":
        absent = np.fromiter(map(_no_array, part), dtype=bool, count=len(part))
        lengths = [0 if gone else len(v) for v, gone in zip(part, absent)]
        offsets = np.zeros(len(part) + 1, dtype="int32")
        np.cumsum(lengths, out=offsets[1:])
        pieces = [v for v, gone in zip(part, absent) if not gone]
        items = np.concatenate(pieces) if pieces else np.empty(0, arrow.value_type.to_pandas_dtype())
        return pa.ListArray.from_arrays(
            pa.array(offsets), pa.array(items, arrow.value_type, from_pandas=False), mask=pa.array(absent)
        )
    if name == "numpy":
        own = np.dtype(arrow.to_pandas_dtype()).type
        # A NaN of the column's own type is a value; a float's stands for a missing one.
        absent = np.fromiter((type(v) is not own and is_missing(v) for v in part), dtype=bool, count=len(part))
        filled = np.where(absent, 0, part).astype(arrow.to_pandas_dtype())
        return pa.array(filled, arrow, mask=absent, from_pandas=False)
    if name in ("Timestamp", "Timedelta"):
        integers = np.fromiter((0 if is_missing(v) else v.asm8.view("int64") for v in part), "int64", len(part))
        absent = np.fromiter(map(is_missing, part), dtype=bool, count=len(part))
        return pa.array(integers, pa.int64(), mask=absent).cast(arrow)
    if name == "nested" or name == "bigint":
        return one_array(pa.array([None if is_missing(v) else v for v in part], arrow))
    return one_array(pa.array(part, arrow, from_pandas=True))


def _no_array(value: Any) -> bool:
    """Whether a value of a column of arrays is none."""
    import numpy as np

    return not isinstance(value, np.ndarray)


def block_bytes(values: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """About how many bytes each `BLOCK` of an object array takes in Arrow."""
    import numpy as np

    kind = {"str": str, "bytes": bytes}.get(name)
    sizes = []
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK].tolist()
        if kind is None:
            sizes.append(sum(map(_size, block)))
        else:
            sizes.append(8 * len(block) + sum(map(len, [value for value in block if type(value) is kind])))
    return np.array(sizes, dtype="float64")


def _size(value: Any) -> int:
    """About how many bytes a value takes in Arrow."""
    if isinstance(value, (str, bytes)):
        return len(value) + 8
    if isinstance(value, list):
        return 8 + sum(map(_size, value))
    if isinstance(value, dict):
        return 8 + sum(map(_size, value.values()))
    return getattr(value, "nbytes", 8)
