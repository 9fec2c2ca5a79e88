"""What an object column of pandas holds, found out by looking at every value once, without building anything of it."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from coldframe.errors import InvalidInputError, WrongTypeError

if TYPE_CHECKING:
    import pyarrow as pa

    from coldframe.frames.pandas_places import Place

_PICKLE = "put it with serializer='pickle'"
_PLAIN = {
    str: "str",
    bytes: "bytes",
    bool: "bool",
    datetime.date: "date",
    datetime.timedelta: "timedelta",
    uuid.UUID: "uuid",
}
_INSIDE = frozenset(
    {"none", "str", "bytes", "bool", "int", "float", "decimal", "date", "time", "datetime", "timedelta"}
)


@dataclass
class ObjectKind:
    """What all values of an object column are."""

    name: str
    """Such as ``str``, ``bigint``, ``nested``, ``numpy``; ``none`` where all are missing."""
    type: pa.DataType
    """The Arrow type that holds them."""
    missing: str = "None"
    """What stands for a missing value: ``None``, ``nan``, ``NA`` or ``NaT``."""
    details: dict[str, Any] = field(default_factory=dict)
    """What else their return needs, as JSON: a time zone, a unit, a NumPy type."""
    losses: list[str] = field(default_factory=list)
    """What does not come back, each a phrase."""

    @property
    def descriptor(self) -> dict[str, Any]:
        """The JSON form, from which a decoder is made."""
        return {"object": self.name, "missing": self.missing, **self.details}


def look_at(values: Callable[[], Iterable[Any]], place: Place) -> ObjectKind:
    """Finds out what the values are.

    ``values`` gives a fresh iterable at each call; ``place`` is how errors call the column, such as "column `x`".
    Raises TypeError where the values are of several types or of one that Arrow has not, ValueError where a value is
    out of range; both name the way out.
    """
    types, missing = _types_and_missing(values)
    kind = _kind_of(types, values, place)
    if missing:
        kind.missing = missing[0]
    if len(missing) > 1:
        kind.losses.append(f"which missing values were {' and which '.join(missing)}: all come back as {missing[0]}")
    return kind


def is_missing(value: Any) -> bool:
    """Whether a value of an object column stands for a missing one: None, NA, NaT, or a float NaN."""
    import pandas as pd

    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def _types_and_missing(values: Callable[[], Iterable[Any]]) -> tuple[set[type], list[str]]:
    import numpy as np
    import pandas as pd

    types = set(map(type, values()))
    missing = []
    for name, kind in (("None", type(None)), ("NA", type(pd.NA)), ("NaT", type(pd.NaT))):
        if kind in types:
            types.discard(kind)
            missing.append(name)
    for kind in (float, np.float64):
        # A column of floats alone keeps its NaNs as values; among others they mean "missing", as pandas has it.
        if kind in types and len(types) > 1 and _only_nan(values, kind):
            types.discard(kind)
            missing.append("nan")
    return types, list(dict.fromkeys(missing))


def _only_nan(values: Callable[[], Iterable[Any]], kind: type) -> bool:
    return all(value != value for value in values() if type(value) is kind)


def _kind_of(types: set[type], values: Callable[[], Iterable[Any]], place: Place) -> ObjectKind:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    if not types:
        return ObjectKind("none", pa.null())
    if len(types) > 1:
        raise WrongTypeError(_clash(types, place))
    (kind,) = types
    if kind in _PLAIN:
        arrow = {
            "str": pa.string(),
            "bytes": pa.binary(),
            "bool": pa.bool_(),
            "date": pa.date32(),
            "timedelta": pa.duration("us"),
            "uuid": pa.uuid(),
        }
        return ObjectKind(_PLAIN[kind], arrow[_PLAIN[kind]])
    if kind is int:
        return _integers(values, place)
    if kind is float:
        return ObjectKind("float", pa.float64())
    if kind is decimal.Decimal:
        return _decimals(values, place)
    if kind is datetime.time:
        return _times(values, place)
    if kind is datetime.datetime or kind is pd.Timestamp:
        return _datetimes(kind, values, place)
    if kind is pd.Timedelta:
        return ObjectKind("Timedelta", pa.duration(unit := _one_unit(values, kind, place)), details={"unit": unit})
    if kind is list or kind is dict:
        losses: list[str] = []
        return ObjectKind("nested", _nested(kind, values, place, losses), losses=losses)
    if kind is np.ndarray:
        return _arrays(values, place)
    # A timedelta64 is an np.integer too.
    if issubclass(kind, np.generic) and np.dtype(kind).kind in "biuf" and np.dtype(kind).itemsize <= 8:
        return ObjectKind("numpy", pa.from_numpy_dtype(np.dtype(kind)), details={"dtype": np.dtype(kind).name})
    raise WrongTypeError(_no_arrow_type(kind, place))


def _clash(types: Iterable[type], place: Place) -> str:
    names = sorted(_name(kind) for kind in types)
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{place} holds {listed}: {place.to_text}, or {_PICKLE}"


def _no_arrow_type(kind: type, place: Place) -> str:
    column = place.column
    ways = {
        "tuple": f"convert it with {column}.map(list)",
        "bytearray": f"convert it with {column}.map(bytes)",
        "memoryview": f"convert it with {column}.map(bytes)",
        "set": f"convert it with {column}.map(sorted)",
        "frozenset": f"convert it with {column}.map(sorted)",
        "Period": f"convert it with {column}.infer_objects() or {column}.astype('period[D]')",
        "Interval": f"convert it with {column}.infer_objects()",
        "datetime64": f"convert it with pd.to_datetime({column})",
        "timedelta64": f"convert it with pd.to_timedelta({column})",
        "str_": f"convert it with {column}.map(str, na_action='ignore')",
        "bytes_": f"convert it with {column}.map(bytes, na_action='ignore')",
        "longdouble": f"convert it with {column}.astype('float64')",
        "complex": "store its real and imaginary parts as two columns",
        "complex64": "store its real and imaginary parts as two columns",
        "complex128": "store its real and imaginary parts as two columns",
    }
    otherwise = "convert it to str, numbers, lists or dicts, or drop it"
    way = place.to_text if column is None else ways.get(kind.__name__, otherwise)
    return f"{place} holds objects of type {_name(kind)}, which no Arrow type holds exactly: {way}, or {_PICKLE}"


def _name(kind: type) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def _of_type(values: Callable[[], Iterable[Any]], kind: type) -> Iterator[Any]:
    return (value for value in values() if type(value) is kind)


def _integers(values: Callable[[], Iterable[Any]], place: Place) -> ObjectKind:
    import pyarrow as pa

    low, high = min(_of_type(values, int)), max(_of_type(values, int))
    if low >= -(2**63) and high < 2**63:
        return ObjectKind("int", pa.int64())
    if low >= 0 and high < 2**64:
        return ObjectKind("int", pa.uint64())
    digits = len(str(max(abs(low), abs(high)))) if max(abs(low), abs(high)) < 10**76 else 77
    if digits > 76:
        raise InvalidInputError(f"{place} holds an integer of more than 76 digits: {place.to_text}, or {_PICKLE}")
    return ObjectKind("bigint", pa.decimal128(38, 0) if digits <= 38 else pa.decimal256(76, 0))


def _decimals(values: Callable[[], Iterable[Any]], place: Place) -> ObjectKind:
    import pyarrow as pa

    whole, scale, exponents, negative_zero = 0, 0, set(), False
    for value in _of_type(values, decimal.Decimal):
        sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise InvalidInputError(
                f"{place} holds the decimal {value}, which no Arrow decimal holds: replace it by None"
            )
        whole = max(whole, len(digits) + exponent)
        scale = max(scale, -exponent)
        exponents.add(exponent)
        negative_zero = negative_zero or (sign == 1 and not value)
    if whole + scale > 76:
        raise InvalidInputError(
            f"{place} holds decimals that need {whole + scale} digits, and Arrow holds 76: "
            f"round them to fewer with .map(lambda d: round(d, 10)), or {_PICKLE}"
        )
    precision = max(whole + scale, 1)
    kind = ObjectKind(
        "decimal", pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    )
    if exponents != {-scale}:
        kind.losses.append(f"how many digits each decimal had behind its point: all come back with {scale}")
    if negative_zero:
        kind.losses.append("the sign of decimals that are minus zero")
    return kind


def _times(values: Callable[[], Iterable[Any]], place: Place) -> ObjectKind:
    import pyarrow as pa

    if any(value.tzinfo is not None for value in _of_type(values, datetime.time)):
        raise WrongTypeError(
            f"{place} holds times with a time zone, which no Arrow type holds: convert it to str, or {_PICKLE}"
        )
    return ObjectKind("time", pa.time64("us"), losses=_folds(values, datetime.time))


def _folds(values: Callable[[], Iterable[Any]], kind: type) -> list[str]:
    return (
        ["the fold of its times: all come back with 0"] if any(value.fold for value in _of_type(values, kind)) else []
    )


def _one_unit(values: Callable[[], Iterable[Any]], kind: type, place: Place) -> str:
    units = {value.unit for value in _of_type(values, kind)}
    if len(units) > 1:
        raise WrongTypeError(
            f"{place} holds {_name(kind)}s of the units {' and '.join(sorted(units))}: "
            "convert them to one with .map(lambda t: t.as_unit('ns'))"
        )
    unit: str = units.pop()
    return unit


def _datetimes(kind: type, values: Callable[[], Iterable[Any]], place: Place) -> ObjectKind:
    import pyarrow as pa

    from coldframe.frames.pandas_timezones import arrow_name, describe

    own = kind is not datetime.datetime
    unit = _one_unit(values, kind, place) if own else "us"
    zones = {_zone_of(value.tzinfo) for value in _of_type(values, kind)}
    if len(zones) > 1:
        raise WrongTypeError(
            f"{place} holds datetimes of several time zones ({', '.join(sorted(map(str, zones)))}): "
            "convert it with pd.to_datetime(..., utc=True)"
        )
    zone = zones.pop()
    details: dict[str, Any] = {"unit": unit} if own else {}
    if zone is None:
        return ObjectKind(kind.__name__, pa.timestamp(unit), details=details, losses=_folds(values, kind))
    details["zone"] = describe(zone, place)
    return ObjectKind(kind.__name__, pa.timestamp(unit, arrow_name(details["zone"])), details=details)


def _zone_of(zone: datetime.tzinfo | None) -> datetime.tzinfo | None:
    # pytz gives each date an object of its own for one and the same zone.
    if zone is not None and type(zone).__module__.startswith("pytz") and getattr(zone, "zone", None):
        import pytz

        zone = pytz.timezone(zone.zone)  # type: ignore[attr-defined]
    return zone


def _arrays(values: Callable[[], Iterable[Any]], place: Place) -> ObjectKind:
    import numpy as np
    import pyarrow as pa

    shapes = {value.ndim for value in _of_type(values, np.ndarray)}
    if shapes != {1}:
        raise WrongTypeError(
            f"{place} holds arrays of {max(shapes)} dimensions, and only those of one are stored: "
            f"convert it with .map(lambda a: a.tolist()), or {_PICKLE}"
        )
    dtypes = {value.dtype for value in _of_type(values, np.ndarray)}
    if len(dtypes) > 1:
        raise WrongTypeError(
            f"{place} holds arrays of the types {' and '.join(sorted(map(str, dtypes)))}: "
            "convert them to one with .map(lambda a: a.astype('float64'))"
        )
    dtype = dtypes.pop()
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or not dtype.isnative:
        raise WrongTypeError(
            f"{place} holds arrays of type {dtype}, which are not stored: "
            f"convert it with .map(lambda a: a.tolist()), or {_PICKLE}"
        )
    return ObjectKind("array", pa.list_(pa.from_numpy_dtype(dtype)), details={"dtype": dtype.name})


def _nested(kind: type, values: Callable[[], Iterable[Any]], place: Place, losses: list[str]) -> pa.DataType:
    import pyarrow as pa

    if kind is list:
        items: Callable[[], Iterable[Any]] = lambda: chain.from_iterable(_of_type(values, list))  # noqa: E731
        return pa.list_(_inside(items, place.within(f"a list in {place}"), losses))
    orders = dict.fromkeys(map(tuple, _of_type(values, dict)))
    names = dict.fromkeys(chain.from_iterable(orders))
    odd = next((name for name in names if not isinstance(name, str)), None)
    if odd is not None:
        raise WrongTypeError(
            f"a dict in {place} has the key {odd!r}, and Arrow's structs have names: "
            f"convert the keys to str, or {_PICKLE}"
        )
    if not names:
        raise WrongTypeError(
            f"{place} holds empty dicts only, which Parquet cannot hold: replace them by None, or {_PICKLE}"
        )
    if any(len(order) < len(names) for order in orders):
        losses.append("which keys a dict did not have: all come back with all keys, those absent as None")
    elif len(orders) > 1:
        losses.append("the order of the keys of its dicts: all come back with that of the first")
    fields = []
    for name in names:
        members: Callable[[], Iterable[Any]] = lambda name=name: (d.get(name) for d in _of_type(values, dict))  # type: ignore[misc]  # noqa: E731
        fields.append(pa.field(name, _inside(members, place.within(f"key `{name}` of a dict in {place}"), losses)))
    return pa.struct(fields)


def _inside(values: Callable[[], Iterable[Any]], place: Place, losses: list[str]) -> pa.DataType:
    kind = look_at(values, place)
    if kind.name == "nested":
        losses.extend(kind.losses)
    elif kind.name not in _INSIDE or kind.missing != "None" or "zone" in kind.details:
        what = kind.missing if kind.missing != "None" else f"values of type {kind.name}"
        raise WrongTypeError(
            f"{place} is or holds {what}, which is stored exactly in a column of its own only: {_PICKLE}"
        )
    else:
        losses.extend(kind.losses)
    return kind.type
