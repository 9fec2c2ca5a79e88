"""Uncompressed Arrow files on a local disk are mapped into memory, not copied."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import coldframe
from coldframe.errors import DamagedError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is mapped stands in /proc")


def _mapped(folder: Path) -> list[range]:
    """The addresses at which files of the folder are mapped."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, *_, path = line.split(maxsplit=5)
        if path.startswith(str(folder)):
            start, end = (int(address, 16) for address in addresses.split("-"))
            found.append(range(start, end))
    return found


def _buffers(table: pa.Table) -> Iterator[pa.Buffer]:
    for column in table.columns:
        for chunk in column.chunks:
            yield from (buffer for buffer in chunk.buffers() if buffer is not None and buffer.size > 0)


def test_a_table_lies_in_its_file(tmp_path: Path) -> None:
    table = pa.table({"n": range(100_000), "text": [f"row {row}" for row in range(100_000)]})
    store = coldframe.Store(tmp_path, durable=False)
    back = store.put("key", table, serializer="arrow").get()
    assert back.equals(table)
    places = _mapped(tmp_path)
    assert places
    buffers = list(_buffers(back))
    assert len(buffers) >= 3
    assert all(any(buffer.address in place for place in places) for buffer in buffers)


def test_it_outlives_the_delete_of_its_result(tmp_path: Path) -> None:
    table = pa.table({"n": range(100_000)})
    store = coldframe.Store(tmp_path, durable=False)
    back = store.put("key", table, serializer="arrow").get()
    assert store.delete("key") == [1]
    assert back.equals(table)


def test_the_content_is_checked_where_it_is_asked_for(tmp_path: Path) -> None:
    table = pa.table({"n": range(100_000)})
    store = coldframe.Store(tmp_path, durable=False)
    reference = store.put("key", table, serializer="arrow")
    (file,) = tmp_path.glob("data/key/*.arrow")
    content = bytearray(file.read_bytes())
    content[400_000] ^= 1
    file.write_bytes(content)
    assert reference.get().num_rows == reference.scan().to_arrow().num_rows == 100_000
    for read in (
        lambda: reference.get(check=True),
        lambda: store.get("key", check=True),
        lambda: reference.scan(check=True).to_arrow(),
        lambda: pickle.loads(pickle.dumps(reference.scan(check=True))).to_arrow(),
    ):
        with pytest.raises(DamagedError):
            read()
    file.chmod(0o666)
    with pytest.raises(DamagedError):
        reference.get()


def test_compressed_files_are_not_mapped(tmp_path: Path) -> None:
    table = pa.table({"n": range(100_000)})
    back = coldframe.Store(tmp_path, durable=False).put("key", table, serializer="arrow/lz4").get()
    assert back.equals(table)
    assert not _mapped(tmp_path)
