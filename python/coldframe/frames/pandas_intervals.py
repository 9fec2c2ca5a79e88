"""Categories of pandas that are intervals, as text with the exact intervals in JSON beside it, and back.

Parquet has no dictionaries of structs; text is also what readers of other languages can show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from coldframe.frames.pandas_places import Place

MOST = 1000
"""So many intervals are told in JSON; `pandas.cut` rarely makes a hundred."""


def describe_intervals(values: pd.arrays.IntervalArray, place: Place) -> dict[str, Any] | None:
    """Intervals without missing ones as JSON: their text, both ends exactly, which are closed, and the ends' type.

    Ends are integers, floats in hexadecimal, or the integers of times, whose unit and zone are in the type. None where
    there are more than `MOST`, or where the ends have no such form.
    """
    from coldframe.frames.pandas_encoders import as_array, encoder_for

    text = [str(value) for value in values]
    if len(values) > MOST or len(set(text)) < len(text):
        return None
    ends = [as_array(values.left), as_array(values.right)]
    kind = encoder_for(ends[0], place).descriptor
    if not isinstance(kind, str) and "datetime64" not in kind:
        return None
    left, right = (_integers_or_hexadecimals(end) for end in ends)
    return {"text": text, "left": left, "right": right, "closed": values.closed, "type": kind}


def restore_intervals(description: Mapping[str, Any]) -> pd.arrays.IntervalArray:
    """The intervals that `describe_intervals` described."""
    import pandas as pd

    left, right = (_end(description[side], description["type"]) for side in ("left", "right"))
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=description["closed"])


def _integers_or_hexadecimals(end: Any) -> list[int] | list[str]:
    import numpy as np

    if not isinstance(end, np.ndarray):
        return [int(value) for value in end.asi8]
    if end.dtype.kind == "f":
        return [float(value).hex() for value in end]
    return [int(value) for value in (end.view("int64") if end.dtype.kind in "mM" else end)]


def _end(values: list[Any], kind: Any) -> np.ndarray[Any, Any] | pd.Index[Any]:
    import numpy as np
    import pandas as pd

    from coldframe.frames.pandas_timezones import restore

    if isinstance(kind, str):
        dtype = np.dtype(kind)
        if dtype.kind == "f":
            return np.array([float.fromhex(value) for value in values], dtype)
        return np.array(values, "int64").view(dtype) if dtype.kind in "mM" else np.array(values, dtype)
    instants = np.array(values, "int64").view(f"M8[{kind['datetime64']}]")
    return pd.DatetimeIndex(instants).tz_localize("UTC").tz_convert(restore(kind["zone"]))
