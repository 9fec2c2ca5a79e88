"""What cards are made of: short forms of serializers, places, code; counts, times and texts as people read them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from coldframe.card import characters, facts, units

NOW = datetime(2026, 11, 20, 14, 5, tzinfo=timezone.utc)
COMPACT = {"key": "etl/trips", "version": 3, "storage": "s3://acme/results"}


@pytest.mark.parametrize(
    ("descriptor", "form"),
    [
        ({"type": "parquet", "compression": "zstd", "level": 1}, "parquet/zstd(1)"),
        ({"type": "parquet", "compression": "none"}, "parquet/none"),
        ({"type": "parquet"}, "parquet"),
        ({"type": "parquet", "preset": "small"}, "parquet(small)"),
        ({"type": "parquet", "preset": "fast", "compression": "lz4"}, "parquet(fast)/lz4"),
        ({"type": "arrow", "compression": "lz4"}, "arrow/lz4"),
        ({"type": "json"}, "json"),
        ({"type": "bytes"}, "bytes"),
        ({"type": "compressed", "codec": "xz", "level": 6, "inner": {"type": "json"}}, "compressed(xz(6))/json"),
        ({"type": "own", "level": 3}, '{"type": "own", "level": 3}'),
        ({"type": "parquet", "compression": "zstd", "level": 1, "x": 1}, None),
    ],
)
def test_serializers_have_their_short_form(descriptor: dict[str, Any], form: str | None) -> None:
    assert facts.serializer_form(descriptor) == (json.dumps(descriptor) if form is None else form)


@pytest.mark.parametrize(
    ("storage", "path", "shown"),
    [
        ("file:///home/ada/my%20store", "data/100%25/x.parquet", "/home/ada/my store/data/100%25/x.parquet"),
        ("file:///C:/results", "data/x", "C:/results/data/x"),
        ("s3://acme/results/", "data/x", "s3://acme/results/data/x"),
        (None, "data/x", "data/x"),
    ],
)
def test_the_location_of_a_file(storage: str | None, path: str, shown: str) -> None:
    assert facts.location(storage, path) == shown


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ({**COMPACT, "profile": "s3/prod"}, 'coldframe.Store("s3/prod").get("etl/trips@3")'),
        ({**COMPACT, "key": 'a"b\\c'}, 'coldframe.Store("s3://acme/results").get("a\\"b\\\\c@3")'),
        ({"key": "k", "version": 1}, 'coldframe.Store("…").get("k@1")'),
        (
            {**COMPACT, "storage": "memory://"},
            'store.get("etl/trips@3")  # with the store that wrote it: it lives in memory',
        ),
    ],
)
def test_the_code_that_reads_it(reference: dict[str, Any], code: str) -> None:
    drawn = facts.reading_code(facts.ReferenceView(reference))
    assert drawn == code
    compile(drawn, "<code>", "eval")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "just now"),
        (4, "just now"),
        (5, "5 seconds ago"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (3_599, "59 minutes ago"),
        (3 * 3_600, "3 hours ago"),
        (86_400, "1 day ago"),
        (59 * 86_400, "59 days ago"),
        (61 * 86_400, "2 months ago"),
        (366 * 86_400, "1 year ago"),
        (-6 * 86_400, "in 6 days"),
    ],
)
def test_ages(seconds: int, told: str) -> None:
    assert units.relative(NOW, NOW - timedelta(seconds=seconds)) == told
    assert units.relative(NOW.replace(tzinfo=None), NOW - timedelta(seconds=seconds)) == told


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-20T11:02:03Z", "2026-11-20T11:02:03+00:00"),
        ("2026-11-20T11:02:03.1Z", "2026-11-20T11:02:03.100000+00:00"),
        ("2026-11-20T11:02:03.123456789+02:00", "2026-11-20T09:02:03.123456+00:00"),
        ("2026-11-20T11:02:03-01:30", "2026-11-20T12:32:03+00:00"),
    ],
)
def test_instants(text: str, instant: str) -> None:
    found = units.instant(text)
    assert found is not None and found.isoformat() == instant


@pytest.mark.parametrize("text", ["", "2026-11-20", "2026-13-20T11:02:03Z", "0001-01-01T00:00:00+23:00", None, 5])
def test_what_is_no_instant(text: object) -> None:
    assert units.instant(text) is None


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (48211930, "46.0 MiB"),
        (2**63, "8.0 EiB"),
    ],
)
def test_sizes(stored: int, told: str) -> None:
    assert units.size(stored) == told


def test_text_is_measured_cut_and_wrapped_by_what_it_takes() -> None:
    assert characters.width("価格") == 4 and characters.width("e\u0301") == 1
    assert characters.shorten("価格価格", 5) == "価格…" and characters.shorten("abc", 3) == "abc"
    assert characters.pad("価", 4) == "価  " and characters.pad("価", 4, right=True) == "  価"
    assert characters.wrap("one two three", 8) == ["one two", "three"]
    assert characters.wrap("a" * 10, 4) == ["aaaa", "aaaa", "aa"]
    assert characters.one_line("a\nb\u202e\x1b") == "a\\nb\\u202e\\u001b"


def test_importing_takes_the_standard_library_only() -> None:
    code = "import sys, coldframe.card, coldframe.progress; print(*{name.split('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"tqdm", "IPython", "pandas", "polars", "pyarrow", "duckdb"} & set(ran.stdout.split())
