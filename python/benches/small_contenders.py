"""What `small.py` measures: how each library keeps a small table under a key, on a local folder and on S3."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCESS, SECRET, REGION, BUCKET = "test", "testtesttest", "us-east-1", "coldframe"
Put = Callable[[str, Any], object]
Get = Callable[[str], Any]


@dataclass(frozen=True)
class Place:
    """A folder, or the endpoint of an S3 server; `scratch` is a folder in either case."""

    scratch: str
    endpoint: str | None = None

    def folder(self, name: str) -> Path:
        made = Path(self.scratch) / name
        made.mkdir(exist_ok=True)
        return made


@dataclass(frozen=True)
class Contender:
    """`open` is counted as part of the first call; one that only reads what another put has its name in `reads`."""

    name: str
    modules: tuple[str, ...]
    open: Callable[[Place], tuple[Put, Get]]
    reads: str | None = None


def as_arrow(value: Any):
    import pyarrow as pa

    return value if isinstance(value, pa.Table) else pa.Table.from_pandas(value)


def as_before(table: Any):
    """pandas says in the schema what came from it."""
    return table.to_pandas() if table.schema.pandas_metadata else table


def coldframe_opener(
    *, durable: bool = True, cache: bool = False, by_reference: bool = False, serializer: str | None = None
):
    def opened(place: Place) -> tuple[Put, Get]:
        import coldframe

        if place.endpoint is None:
            store = coldframe.Store(place.folder(f"coldframe-{serializer}"), durable=durable)
        else:
            options = {"endpoint": place.endpoint, "allow_http": True, "region": REGION}
            keys = {"access_key_id": ACCESS, "secret_access_key": SECRET}
            prefix = Path(place.scratch).name
            store = coldframe.Store(f"s3://{BUCKET}/{prefix}/coldframe", cache=cache, **options, **keys)
        kept = place.folder("references") / f"{serializer}.json"

        def put(key: str, value: Any) -> object:
            reference = store.put(key, value, serializer=serializer)
            if key.startswith("gets/"):
                kept.write_text(reference.json())
            return reference

        if not by_reference:
            return put, store.get
        reference = coldframe.ResultReference.from_json(kept.read_text())
        return put, lambda _key: store.get(reference)

    return opened


def flush(path: Path) -> None:
    """Until the disk has the file, and its name."""
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def file_opener(write: Callable[[Any, Path], None], read: Callable[[Path], Any], *, durable: bool):
    def opened(place: Place) -> tuple[Put, Get]:
        folder = place.folder(f"files-{write.__name__}-{durable}")

        def put(key: str, value: Any) -> None:
            path = folder / key.replace("/", "-")
            write(value, path)
            if durable:
                flush(path)

        return put, lambda key: read(folder / key.replace("/", "-"))

    return opened


def write_pickle(value: Any, path: Path) -> None:
    with path.open("wb") as file:
        pickle.dump(value, file, protocol=5)


def read_pickle(path: Path):
    with path.open("rb") as file:
        return pickle.load(file)


def write_parquet(value: Any, path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(as_arrow(value), path)


def read_parquet(path: Path):
    from pyarrow import parquet

    return as_before(parquet.read_table(path))


def write_ipc(value: Any, path: Path) -> None:
    import pyarrow as pa

    table = as_arrow(value)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def read_ipc(path: Path):
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        return as_before(pa.ipc.open_file(file).read_all())


def prefect_opener(place: Place) -> tuple[Put, Get]:
    """Its store of results, with its default serializer; it asks no server."""
    from prefect.filesystems import LocalFileSystem
    from prefect.results import ResultStore

    folder = LocalFileSystem(basepath=str(place.folder("prefect")))
    store = ResultStore(result_storage=folder, cache_result_in_memory=False)
    return lambda key, value: store.write(value, key=key), lambda key: store.read(key).result


def arrow_files(place: Place):
    from pyarrow import fs

    assert place.endpoint is not None
    scheme, host = place.endpoint.split("://")
    return fs.S3FileSystem(access_key=ACCESS, secret_key=SECRET, region=REGION, scheme=scheme, endpoint_override=host)


def remote_parquet_opener(place: Place) -> tuple[Put, Get]:
    from pyarrow import parquet

    files, folder = arrow_files(place), f"{BUCKET}/{Path(place.scratch).name}/parquet"

    def put(key: str, value: Any) -> None:
        parquet.write_table(as_arrow(value), f"{folder}/{key}", filesystem=files)

    return put, lambda key: as_before(parquet.read_table(f"{folder}/{key}", filesystem=files))


def remote_polars_opener(place: Place) -> tuple[Put, Get]:
    import polars as pl

    folder = f"s3://{BUCKET}/{Path(place.scratch).name}/polars"
    keys = {"aws_access_key_id": ACCESS, "aws_secret_access_key": SECRET, "aws_region": REGION}
    options: Any = keys | {"aws_endpoint_url": place.endpoint, "aws_allow_http": "true"}

    def put(key: str, value: Any) -> None:
        frame = pl.DataFrame(value)
        frame.write_parquet(f"{folder}/{key}.parquet", storage_options=options)

    return put, lambda key: pl.read_parquet(f"{folder}/{key}.parquet", storage_options=options)


def remote_boto_opener(place: Place) -> tuple[Put, Get]:
    """One request each way: what a latency costs at least."""
    import boto3

    credentials: Any = {"aws_access_key_id": ACCESS, "aws_secret_access_key": SECRET}
    client = boto3.client("s3", endpoint_url=place.endpoint, region_name=REGION, **credentials)
    folder = f"{Path(place.scratch).name}/pickle"

    def put(key: str, value: Any) -> None:
        client.put_object(Bucket=BUCKET, Key=f"{folder}/{key}", Body=pickle.dumps(value, protocol=5))

    def get(key: str):
        return pickle.loads(client.get_object(Bucket=BUCKET, Key=f"{folder}/{key}")["Body"].read())

    return put, get


def remote_s3fs_opener(place: Place) -> tuple[Put, Get]:
    import s3fs

    files = s3fs.S3FileSystem(
        key=ACCESS, secret=SECRET, endpoint_url=place.endpoint, client_kwargs={"region_name": REGION}
    )
    folder = f"{BUCKET}/{Path(place.scratch).name}/s3fs"

    def put(key: str, value: Any) -> None:
        with files.open(f"{folder}/{key}", "wb") as file:
            pickle.dump(value, file, protocol=5)

    def get(key: str):
        return pickle.load(io.BytesIO(files.cat_file(f"{folder}/{key}")))

    return put, get


ARROW = ("pyarrow", "pyarrow.ipc", "pyarrow.parquet", "pyarrow.dataset")
OURS = ("pyarrow", "coldframe")
#: By place: the first of each is what the others are compared with.
GROUPS: dict[str, list[Contender]] = {
    "local folder, flushed to the disk": [
        Contender("coldframe", OURS, coldframe_opener()),
        Contender("pickle", ("pyarrow",), file_opener(write_pickle, read_pickle, durable=True)),
        Contender("pyarrow Parquet", ARROW, file_opener(write_parquet, read_parquet, durable=True)),
    ],
    "local folder, not flushed": [
        Contender("coldframe", OURS, coldframe_opener(durable=False)),
        Contender("coldframe, by reference", OURS, coldframe_opener(durable=False, by_reference=True), "coldframe"),
        Contender("coldframe, `arrow`", OURS, coldframe_opener(durable=False, serializer="arrow")),
        Contender("pickle", ("pyarrow",), file_opener(write_pickle, read_pickle, durable=False)),
        Contender("pyarrow Parquet", ARROW, file_opener(write_parquet, read_parquet, durable=False)),
        Contender("pyarrow IPC", ARROW, file_opener(write_ipc, read_ipc, durable=False)),
        Contender("Prefect", ("pyarrow", "prefect.results", "prefect.filesystems"), prefect_opener),
    ],
    "S3": [
        Contender("coldframe", OURS, coldframe_opener()),
        Contender("coldframe, by reference", OURS, coldframe_opener(by_reference=True), "coldframe"),
        Contender("coldframe, local cache", OURS, coldframe_opener(cache=True), "coldframe"),
        Contender("pyarrow Parquet", (*ARROW, "pyarrow.fs"), remote_parquet_opener),
        Contender("polars Parquet", ("pyarrow", "polars"), remote_polars_opener),
        Contender("pickle, boto3", ("pyarrow", "boto3"), remote_boto_opener),
        Contender("pickle, s3fs", ("pyarrow", "s3fs"), remote_s3fs_opener),
    ],
}
