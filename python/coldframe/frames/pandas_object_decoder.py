"""Arrow arrays, batch by batch, to object columns of pandas."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


class Objects:
    """Python objects, one for each row."""

    def __init__(self, descriptor: Mapping[str, Any], arrow: pa.DataType, rows: int) -> None:
        import numpy as np

        self._descriptor = descriptor
        self._name = descriptor["object"]
        self._missing = _missing_value(descriptor["missing"])
        self._out = np.empty(rows, dtype=object)
        self._at = 0

    def append(self, values: pa.Array) -> None:
        """Makes objects of the next rows."""
        import numpy as np

        made = self._objects(values)
        if not isinstance(made, np.ndarray) or made.dtype != object:
            # Assigning a list of lists or arrays would spread them over rows and columns.
            made = np.fromiter(made, dtype=object, count=len(values))
        if values.null_count and (self._missing is not None or self._name in ("Timestamp", "Timedelta", "numpy")):
            made[values.is_null().to_numpy(zero_copy_only=False)] = self._missing
        self._out[self._at : self._at + len(values)] = made
        self._at += len(values)

    def finish(self) -> Any:
        """A NumPy array of objects."""
        return self._out

    def _objects(self, values: pa.Array) -> Any:
        import numpy as np

        name = self._name
        if name == "none":
            return [self._missing] * len(values)
        if name in ("str", "bytes"):
            return values.to_numpy(zero_copy_only=False, writable=True)
        if name == "bigint":
            return (None if value is None else int(value) for value in values.to_pylist())
        if name == "uuid":
            storage = getattr(values, "storage", values)
            return (None if value is None else uuid.UUID(bytes=value) for value in storage.to_pylist())
        if name == "datetime" and "zone" in self._descriptor:
            from coldframe.frames.pandas_timezones import restore

            zone = restore(self._descriptor["zone"])
            return (None if value is None else value.astimezone(zone) for value in values.to_pylist())
        if name in ("Timestamp", "Timedelta"):
            return self._instants(values)
        if name == "numpy":
            dtype = np.dtype(self._descriptor["dtype"])
            filled = values.fill_null(False if dtype.kind == "b" else 0).to_numpy(zero_copy_only=False)
            return filled.astype(dtype, copy=False)
        if name == "array":
            return self._arrays(values)
        if name == "natural":
            # Otherwise nested integers beside a null would become floats.
            return values.to_pandas(integer_object_nulls=True)
        return values.to_pylist()

    def _instants(self, values: pa.Array) -> Any:
        import pandas as pd

        plain = values.to_numpy(zero_copy_only=False)
        if self._name == "Timedelta":
            return pd.TimedeltaIndex(plain)
        index = pd.DatetimeIndex(plain)
        if "zone" in self._descriptor:
            from coldframe.frames.pandas_timezones import restore

            index = index.tz_localize("UTC").tz_convert(restore(self._descriptor["zone"]))
        return index

    def _arrays(self, values: pa.Array) -> Iterable[Any]:
        flat = values.values.to_numpy(zero_copy_only=False)
        offsets = values.offsets.to_numpy()
        # A view would keep the memory of the whole batch.
        return (
            flat[start:end].copy() if valid else None
            for start, end, valid in zip(offsets[:-1], offsets[1:], values.is_valid().to_pylist())
        )


def _missing_value(name: str) -> Any:
    import pandas as pd

    return {"None": None, "nan": float("nan"), "NA": pd.NA, "NaT": pd.NaT}[name]
