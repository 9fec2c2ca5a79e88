"""Arrow dictionaries, batch by batch, to categoricals of pandas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coldframe.errors import InvalidInputError
from coldframe.frames.pandas_decoders import decoder_for, index_of
from coldframe.frames.pandas_intervals import restore_intervals

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Categories:
    """Categoricals, stored as dictionaries."""

    def __init__(self, descriptor: Mapping[str, Any], arrow: pa.DataType, rows: int, place: str) -> None:
        import numpy as np
        import pyarrow as pa

        self._descriptor, self._type, self._place = descriptor, arrow, place
        width = arrow.index_type.bit_width
        signed = width if str(arrow.index_type).startswith("int") else min(2 * width, 64)
        self._codes = np.empty(rows, dtype=f"int{signed}")
        self._at = 0
        self._dictionary: pa.Array | None = None
        category = descriptor["category"]
        self._intervals = category.get("intervals") if isinstance(category, Mapping) else None
        if self._intervals is not None:
            # Known from the start, since a file may hold only the categories that its rows have.
            self._dictionary = pa.array(self._intervals["text"], arrow.value_type)

    def append(self, values: pa.Array) -> None:
        """Copies the codes of the next rows to their place."""
        import numpy as np

        codes = values.indices.fill_null(0).to_numpy(zero_copy_only=False)
        moved = self._moved(values.dictionary)
        if moved is not None:
            if len(self._dictionary or ()) > np.iinfo(self._codes.dtype).max:
                self._codes = self._codes.astype("int64")
            codes = moved[codes] if len(moved) else np.full(len(codes), -1)
        part = slice(self._at, self._at + len(values))
        self._codes[part] = codes
        if values.indices.null_count:
            self._codes[part][values.indices.is_null().to_numpy(zero_copy_only=False)] = -1
        self._at += len(values)

    def _moved(self, dictionary: pa.Array) -> np.ndarray[Any, Any] | None:
        """Where each value of a batch's dictionary lies among the categories; None where it is the same."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._dictionary is None:
            if dictionary.null_count == 0 and (self._descriptor["category"] != "natural" or _distinct(dictionary)):
                self._dictionary = pa.concat_arrays([dictionary, dictionary.slice(0, 0)])
                return None
            self._dictionary = dictionary.slice(0, 0)
        if dictionary.null_count == 0 and dictionary.equals(self._dictionary):
            return None
        fresh = dictionary.filter(pc.and_(dictionary.is_valid(), pc.invert(pc.is_in(dictionary, self._dictionary))))
        self._dictionary = pa.concat_arrays([self._dictionary, fresh.unique()])
        moved: np.ndarray[Any, Any] = (
            pc.index_in(dictionary, self._dictionary, skip_nulls=True).fill_null(-1).to_numpy()
        )
        return moved

    def finish(self) -> Any:
        """A Categorical. Raises ValueError where there are other values than the intervals that were stored."""
        import pandas as pd

        from coldframe.frames.pandas_labels import with_details

        categories = with_details(index_of(self._categories()), self._descriptor)
        dtype = pd.CategoricalDtype(categories, ordered=self._descriptor["ordered"])
        return pd.Categorical.from_codes(self._codes, dtype=dtype, validate=False)

    def _categories(self) -> Any:
        dictionary = self._dictionary
        if dictionary is None:
            import pyarrow as pa

            dictionary = pa.array([], self._type.value_type)
        if self._intervals is not None:
            known = len(self._intervals["text"])
            if len(dictionary) > known:
                raise InvalidInputError(
                    f"{self._place} holds {dictionary[known].as_py()!r}, which is none of the {known} intervals that "
                    "were stored as its categories: read it as a table of pyarrow"
                )
            return restore_intervals(self._intervals)
        decoder = decoder_for(
            self._descriptor["category"], dictionary.type, len(dictionary), f"the categories of {self._place}"
        )
        decoder.append(dictionary)
        return decoder.finish()


def _distinct(values: pa.Array) -> bool:
    return len(values.unique()) == len(values)
