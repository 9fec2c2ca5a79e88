"""Time zones of pandas as JSON and back, with the class they had."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Mapping
from typing import Any

from coldframe.errors import InvalidInputError


def describe(zone: datetime.tzinfo, place: str) -> dict[str, Any]:
    """A time zone as JSON: its library, and its name or offset in seconds.

    Raises ValueError, naming ``place``, for a time zone that no Arrow column can hold.
    """
    library = type(zone).__module__.partition(".")[0]
    if isinstance(zone, datetime.timezone):
        return {"datetime": _whole_minutes(zone, place)}
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key is not None:
        return {"zoneinfo": zone.key}
    if library == "pytz":
        name = getattr(zone, "zone", None)
        return {"pytz": name} if name is not None else {"pytz": _whole_minutes(zone, place)}
    raise InvalidInputError(
        f"{place} has the time zone {zone!r}, which has no name to store: "
        "convert it with .dt.tz_convert('UTC'), or to a zone named as in 'Europe/Berlin'"
    )


def restore(description: Mapping[str, Any]) -> datetime.tzinfo:
    """The time zone that `describe` described; a zone of pytz becomes one of zoneinfo where pytz is not installed."""
    ((library, name),) = description.items()
    if library == "pytz":
        try:
            import pytz
        except ImportError:
            library = "zoneinfo" if isinstance(name, str) else "datetime"
        else:
            # pytz keeps one object for each offset and name, and compares them by identity.
            zone: datetime.tzinfo = pytz.timezone(name) if isinstance(name, str) else pytz.FixedOffset(name // 60)
            return zone
    if library == "zoneinfo":
        return zoneinfo.ZoneInfo(name)
    return datetime.timezone.utc if name == 0 else datetime.timezone(datetime.timedelta(seconds=name))


def arrow_name(description: Mapping[str, Any]) -> str:
    """The name of a described time zone in an Arrow schema, such as ``Europe/Berlin`` or ``+05:30``."""
    ((library, name),) = description.items()
    if isinstance(name, str):
        return name
    if library == "datetime" and name == 0:
        return "UTC"
    sign, minutes = "-" if name < 0 else "+", abs(name) // 60
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"


def _whole_minutes(zone: datetime.tzinfo, place: str) -> int:
    offset = zone.utcoffset(None)
    seconds = 0 if offset is None else offset.total_seconds()
    if seconds % 60:
        raise InvalidInputError(
            f"{place} has the time zone {zone}, whose offset is no whole number of minutes: "
            "convert it with .dt.tz_convert('UTC')"
        )
    return int(seconds)
