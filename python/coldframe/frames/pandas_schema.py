"""The `pandas` entry of an Arrow schema, as pyarrow writes and reads it, and what follows from it alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_SIMPLE = frozenset(
    ["bool", "boolean", "float16", "float32", "float64", "Float32", "Float64"]
    + [f"{sign}{width}" for sign in ("int", "uint", "Int", "UInt") for width in (8, 16, 32, 64)]
    + [f"{kind}64[{unit}]" for kind in ("datetime", "timedelta") for unit in ("s", "ms", "us", "ns")]
)


def column_entry(name: str | None, stored: str, values: Any, arrow: pa.DataType) -> dict[str, Any]:
    """The entry of a column or index level of the given values."""
    import pandas as pd
    import pyarrow as pa

    dtype = values.dtype
    metadata: dict[str, Any] | None = None
    if isinstance(dtype, pd.CategoricalDtype):
        metadata = {"num_categories": len(dtype.categories), "ordered": bool(dtype.ordered)}
        physical = str(arrow.index_type)
    elif isinstance(dtype, pd.DatetimeTZDtype):
        metadata, physical = {"timezone": arrow.tz}, f"datetime64[{dtype.unit}]"
    elif isinstance(dtype, pd.SparseDtype):
        physical = str(dtype.subtype)
    else:
        physical = str(dtype)
        if pa.types.is_decimal(arrow):
            metadata = {"precision": arrow.precision, "scale": arrow.scale}
    if isinstance(dtype, pd.ArrowDtype) and not _understood(physical):
        physical = "object"
    if isinstance(dtype, pd.IntervalDtype) and pa.types.is_struct(arrow):
        physical = "object"
    return {
        "name": name,
        "field_name": stored,
        "pandas_type": logical_type(arrow),
        "numpy_type": physical,
        "metadata": metadata,
    }


def _understood(text: str) -> bool:
    import pandas as pd

    try:
        return isinstance(pd.api.types.pandas_dtype(text), pd.ArrowDtype)
    except (TypeError, NotImplementedError, ValueError):
        return False


def logical_type(arrow: pa.DataType) -> str:
    """What pandas calls an Arrow type in its metadata."""
    import pyarrow as pa

    known = {
        pa.null(): "empty",
        pa.float16(): "float16",
        pa.float32(): "float32",
        pa.float64(): "float64",
        pa.date32(): "date",
        pa.date64(): "date",
        pa.binary(): "bytes",
        pa.large_binary(): "bytes",
        pa.string(): "unicode",
        pa.large_string(): "unicode",
    }
    if arrow in known:
        return known[arrow]
    types = pa.types
    if types.is_list(arrow):
        return f"list[{logical_type(arrow.value_type)}]"
    if types.is_timestamp(arrow):
        return "datetime" if arrow.tz is None else "datetimetz"
    if types.is_time(arrow):
        return "time"
    if types.is_decimal(arrow):
        return "decimal"
    if types.is_dictionary(arrow):
        return "categorical"
    return str(arrow) if types.is_integer(arrow) or types.is_boolean(arrow) else "object"


def pandas_entry(
    columns: Sequence[Mapping[str, Any]],
    index_columns: Sequence[Any],
    labels: pd.Index[Any],
) -> dict[bytes, bytes]:
    """The metadata of a schema. ``index_columns`` are stored names, or the description of a RangeIndex."""
    import pandas as pd
    import pyarrow as pa

    levels = labels.levels if isinstance(labels, pd.MultiIndex) else [labels]
    entry = {
        "index_columns": list(index_columns),
        "column_indexes": [_label_entry(level, name) for level, name in zip(levels, labels.names)],
        "columns": list(columns),
        "attributes": {},
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": pd.__version__,
    }
    return {b"pandas": json.dumps(entry).encode()}


def _label_entry(level: pd.Index[Any], name: Any) -> dict[str, Any]:
    import pandas as pd

    from coldframe.frames.pandas_labels import stored_name

    metadata = None
    if isinstance(level.dtype, pd.DatetimeTZDtype):
        kind, metadata = "datetimetz", {"timezone": str(level.dtype.tz)}
        physical = f"datetime64[{level.dtype.unit}]"
    else:
        inferred = pd.api.types.infer_dtype(level, skipna=False)
        physical = str(level.dtype)
        kind = {"string": "unicode", "integer": physical, "floating": physical, "datetime64": "datetime"}.get(
            inferred, inferred
        )
        if kind == "unicode":
            metadata = {"encoding": "UTF-8"}
        if physical not in _SIMPLE and physical not in ("object", "str"):
            physical = "object"
    text = None if name is None else stored_name(name)
    return {"name": text, "field_name": text, "pandas_type": kind, "numpy_type": physical, "metadata": metadata}


def read_entry(schema: pa.Schema) -> dict[str, Any] | None:
    """The `pandas` entry of a schema; None where it has none that can be read."""
    raw = (schema.metadata or {}).get(b"pandas")
    if raw is None:
        return None
    try:
        entry = json.loads(raw)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def default_descriptor(arrow: pa.DataType, entry: Mapping[str, Any] | None) -> Any:
    """The exact pandas type of a column as far as its schema tells it; ``entry`` is its part of the `pandas` entry."""
    import pyarrow as pa

    if entry is None:
        return "natural"
    physical, types = str(entry.get("numpy_type")), pa.types
    if types.is_timestamp(arrow) and arrow.tz is not None and physical.startswith("datetime64"):
        return {"datetime64": arrow.unit, "zone": default_zone(arrow.tz)}
    if types.is_dictionary(arrow):
        return "natural"
    if physical in _SIMPLE:
        return physical
    if physical in ("str", "string"):
        return {"string": "pyarrow", "missing": "nan" if physical == "str" else "NA"}
    if physical.endswith("[pyarrow]"):
        return "arrow"
    if physical == "object":
        name = _object_name(arrow)
        return "natural" if name is None else {"object": name, "missing": "None"}
    return "natural"


def default_zone(name: str) -> dict[str, Any]:
    """The time zone that pandas makes of a name in an Arrow schema."""
    if name == "UTC":
        return {"datetime": 0}
    if name[:1] in ("+", "-") and len(name) == 6:
        seconds = int(name[1:3]) * 3600 + int(name[4:6]) * 60
        return {"datetime": -seconds if name[0] == "-" else seconds}
    return {"zoneinfo": name}


def _object_name(arrow: pa.DataType) -> str | None:
    import pyarrow as pa

    types = pa.types
    known = {pa.null(): "none", pa.string(): "str", pa.large_string(): "str", pa.binary(): "bytes", pa.bool_(): "bool"}
    if arrow in known:
        return known[arrow]
    if types.is_date(arrow):
        return "date"
    if types.is_time(arrow):
        return "time"
    if types.is_decimal(arrow):
        return "decimal"
    return None
