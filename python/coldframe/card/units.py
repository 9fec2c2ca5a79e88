"""Counts, sizes and times as people read them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d+))?(?:Z|([+-])(\d{2}):(\d{2}))", re.ASCII | re.IGNORECASE
)
_STEPS = (("minute", 60), ("hour", 3_600), ("day", 86_400), ("month", 2_629_800), ("year", 31_557_600))


def count(number: int) -> str:
    """A count with commas: ``6,001,215``."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """A count with what is counted: ``1 row``, ``2 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(stored: float) -> str:
    """A number of bytes in the largest unit that keeps a digit before the point: ``46.0 MiB``."""
    if stored < 1023.5:
        return f"{stored:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        stored /= 1024
        if stored < 1023.95:
            return f"{stored:.1f} {unit}"
    return f"{stored / 1024:.1f} EiB"


def per_row(stored: int, rows: int) -> str:
    """The stored bytes of one row: ``8.0 bytes per row``; nothing where there are no rows."""
    if rows <= 0:
        return ""
    each = stored / rows
    return f"{each:.1f} bytes per row" if each < 1000 else f"{size(each)} per row"


def instant(text: object) -> datetime | None:
    """The instant that an RFC 3339 text says, in UTC; None for anything else."""
    match = _INSTANT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    moment, fraction, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    microsecond = int(((fraction or "") + "000000")[:6])
    try:
        local = datetime.fromisoformat(moment).replace(microsecond=microsecond, tzinfo=timezone.utc)
        return local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):
        return None


def exact(moment: datetime) -> str:
    """An instant to the second: ``2026-11-20 11:02:03 UTC``."""
    return _in_utc(moment).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative(now: datetime, moment: datetime) -> str:
    """An instant as seen from `now`: ``3 hours ago``, ``in 6 days``, ``just now``. A time without zone is in UTC."""
    seconds = int((_in_utc(now) - _in_utc(moment)).total_seconds())
    distance = abs(seconds)
    if seconds < 0:
        # Just after it was said, "7d" is still seven days away, and not six and most of another.
        distance += distance // 100
    if distance < 5:
        return "just now"
    noun, length = "second", 1
    for larger, seconds_of_it in _STEPS:
        # Two months and more are told in months: below that, days say more.
        if distance < seconds_of_it * (2 if larger == "month" else 1):
            break
        noun, length = larger, seconds_of_it
    told = counted(distance // length, noun)
    return f"in {told}" if seconds < 0 else f"{told} ago"


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
