"""Where frames land, which store a reference is read from, and that no secret gets into any text."""

from __future__ import annotations

import json
import logging
import os
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prefect.filesystems import LocalFileSystem, WritableFileSystem
from prefect.settings import (
    PREFECT_DEFAULT_RESULT_STORAGE_BLOCK,
    PREFECT_LOCAL_STORAGE_PATH,
    get_current_settings,
    temporary_settings,
)
from prefect_aws import AwsCredentials, S3Bucket
from support import forked, output, table

import coldframe
from coldframe.errors import ColdframeError, ConfigurationError, InvalidInputError, UnsupportedError, WrongTypeError
from coldframe.prefect.storage import check_location, landing, store_of, warn_if_apart

PLANTED = "PLANTED4711"


@pytest.fixture(autouse=True)
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of a worker, in which nothing may land."""
    folder = tmp_path / "worker"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COLDFRAME_STORE", raising=False)
    yield folder
    assert [path.name for path in folder.iterdir() if path.name not in ("coldframe.toml", "s3")] == []


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is logged for coldframe."""
    texts: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(f"{record.levelname} {record.getMessage()}")

    logger, handler = logging.getLogger("prefect.coldframe"), Keep()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield texts
    logger.removeHandler(handler)
    logger.setLevel(level)


def put(store: coldframe.Store, key: str = "flow/trips") -> coldframe.ResultReference:
    """Puts a table; the reference is as a record holds it."""
    reference = store.put(key, table())
    return coldframe.ResultReference.from_json(reference.compact().json())


@pytest.mark.parametrize(
    "location",
    [
        "/data/frames",
        "file:///data/frames",
        "s3://bucket/frames",
        "s3://bucket/frames?region=eu-central-1&sse_kms_key_id=alias/x&skip_signature=true",
        "gs://bucket",
        "az://container/frames",
        "abfss://container@account.dfs.core.windows.net/frames",
        "https://account.blob.core.windows.net/container/frames",
        "s3/prod",
        "local/fast-disk",
    ],
)
def test_locations_that_are_kept_as_they_are(location: str) -> None:
    # Neither bucket nor profile is there, and nobody looks.
    assert check_location(location) == location


def test_home_is_expanded_and_paths_become_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_location("~/frames") == str(tmp_path / "frames")
    assert check_location(tmp_path / "frames") == str(tmp_path / "frames")  # type: ignore[arg-type]
    assert not (tmp_path / "frames").exists()


@pytest.mark.parametrize("location", ["frames", "./frames", "../frames", ".", "a/b", "s3/a/b", "s3/..", "s3:/bucket"])
def test_relative_paths_are_refused(location: str) -> None:
    with pytest.raises(InvalidInputError, match="whatever folder a worker runs in") as raised:
        check_location(location)
    assert raised.value.hint is not None and "absolute path" in raised.value.hint


@pytest.mark.parametrize(
    "location",
    [
        f"s3://user:{PLANTED}@bucket/frames",
        f"s3://{PLANTED}@bucket/frames",
        f"s3://user:{PLANTED}/x@bucket/frames",
        f"s3://bucket?secret_access_key={PLANTED}",
        f"s3://bucket?access_key_id={PLANTED}",
        f"s3://bucket?AWS_SESSION_TOKEN={PLANTED}",
        f"s3://bucket?X-Amz-Signature={PLANTED}",
        f"s3://bucket?AWSAccessKeyId={PLANTED}",
        f"s3://bucket?proxy_url=http://user:{PLANTED}@proxy:8080",
        f"gs://bucket?service_account_key={PLANTED}",
        f"az://container?accountKey={PLANTED}",
        f"az://container?AZURE_STORAGE_SAS_TOKEN={PLANTED}",
        f"https://account.blob.core.windows.net/container?sv=2024-01-01&sig={PLANTED}",
        f"abfss://container:{PLANTED}@account.dfs.core.windows.net/frames",
        f"s3://bucket/frames#{PLANTED}",
        f"s3://[{PLANTED}/frames",
        f"user:{PLANTED}@bucket/frames",
        f"ftp://user:{PLANTED}@host/frames",
    ],
)
def test_secrets_are_refused_and_not_repeated(location: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        check_location(location)
    assert raised.value.hint
    told = "".join(traceback.format_exception(raised.value))
    # The call itself stands in the traceback as source, where the name of the argument is all that is seen.
    assert PLANTED not in told


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("memory://", "memory"),
        ("", "empty"),
        ("http://host/x", "no URL of a storage"),
        ("file://frames/x", "absolute path"),
        ("s3://host:9000/bucket", "no port"),
    ],
)
def test_what_else_is_refused(location: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        check_location(location)
    with pytest.raises(WrongTypeError):
        check_location(7)  # type: ignore[arg-type]


def test_the_argument_the_variable_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = LocalFileSystem(basepath=str(tmp_path / "results"))
    found = landing(None, results)
    assert found.store.url == (tmp_path / "results/coldframe").as_uri()
    assert found.because == f"the result storage LocalFileSystem({tmp_path}/results)"
    assert found.block is None
    monkeypatch.setenv("COLDFRAME_STORE", str(tmp_path / "variable"))
    found = landing(None, results)
    assert (found.store.url, found.because) == ((tmp_path / "variable").as_uri(), "COLDFRAME_STORE")
    found = landing(str(tmp_path / "argument"), results)
    assert (found.store.url, found.because) == ((tmp_path / "argument").as_uri(), "the argument `store`")
    reference = put(found.store)
    assert list((tmp_path / "argument/data").rglob("*.parquet"))
    assert store_of(reference, str(tmp_path / "argument"), None, None).get(reference).equals(table())


@pytest.mark.parametrize("basepath", [None, "", "results", "."])
def test_a_block_that_means_the_working_folder(basepath: str | None, prefect_home: Path) -> None:
    block = LocalFileSystem(basepath=basepath)
    found = landing(None, block)
    assert found.store.url == (prefect_home / "storage/coldframe").as_uri()
    assert "Prefect's local storage path" in found.because
    put(found.store, f"basepath/{basepath or 'none'}".replace(".", "dot"))


def test_outside_a_run(prefect_home: Path) -> None:
    assert landing(None, None).store.url == (prefect_home / "storage/coldframe").as_uri()
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: "s3-bucket/prod"}):
        with pytest.raises(ConfigurationError, match="s3-bucket/prod") as raised:
            landing(None, None)
        assert "COLDFRAME_STORE" in str(raised.value.hint)
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: Path("storage")}):
        assert not get_current_settings().results.local_storage_path.is_absolute()
        with pytest.raises(ConfigurationError, match="working folder"):
            landing(None, None)


@pytest.mark.parametrize("value", ["frames", "memory://", f"s3://u:{PLANTED}@bucket"])
def test_the_variable_is_held_to_the_same_rules(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLDFRAME_STORE", value)
    with pytest.raises(InvalidInputError, match="COLDFRAME_STORE") as raised:
        landing(None, None)
    assert PLANTED not in str(raised.value)


def test_profiles(tmp_path: Path, worker: Path) -> None:
    with pytest.raises(ConfigurationError, match="no storage profile"):
        landing("s3/prod", None)
    (worker / "s3/prod").mkdir(parents=True)
    with pytest.raises(InvalidInputError, match="no profile `s3/prod` here, but a folder"):
        landing("s3/prod", None)
    for where, said in ((f"file://{tmp_path}/profile", None), ("memory://", "memory")):
        (worker / "coldframe.toml").write_text(f'[storage."s3/prod"]\nurl = "{where}"\n')
        other = worker.parent / f"elsewhere-{said}"
        other.mkdir()
        (worker / "coldframe.toml").rename(other / "coldframe.toml")
        os.chdir(other)
        if said is None:
            assert landing("s3/prod", None).store.url == (tmp_path / "profile").as_uri()
        else:
            with pytest.raises(InvalidInputError, match=said):
                landing("s3/prod", None)
        os.chdir(worker)


def test_unknown_blocks_are_refused_by_name() -> None:
    class Tape(WritableFileSystem):
        async def read_path(self, path: str) -> bytes:
            raise NotImplementedError

        async def write_path(self, path: str, content: bytes) -> None:
            raise NotImplementedError

    with pytest.raises(UnsupportedError, match="Tape") as raised:
        landing(None, Tape())
    assert "ColdframeSerializer(store=" in str(raised.value.hint)
    assert "COLDFRAME_STORE" in str(raised.value.hint)


def test_one_store_for_many_threads(tmp_path: Path) -> None:
    block, found = LocalFileSystem(basepath=str(tmp_path)), list[Any]()
    threads = [threading.Thread(target=lambda: found.append(landing(None, block).store)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(store) for store in found}) == 1
    assert landing(str(tmp_path / "other"), block).store is not found[0]


def test_a_store_is_opened_anew_when_the_environment_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = LocalFileSystem(basepath=str(tmp_path))
    before = landing(None, block).store
    assert landing(None, block).store is before
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert landing(None, block).store is not before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork(tmp_path: Path) -> None:
    from coldframe.prefect import storage

    block = LocalFileSystem(basepath=str(tmp_path))
    reference = put(landing(None, block).store)

    def child() -> None:
        assert store_of(reference, None, block, None).get(reference).equals(table())
        put(landing(None, block).store, "from/child")

    # A thread that opens a store at the moment of the fork holds the lock, and is not in the child.
    with storage._stores._lock:
        forked(child)
    assert landing(None, block).store.get("from/child").equals(table())


def test_a_folder_that_is_mounted_elsewhere(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    reference = put(landing(str(there), None).store)
    there.rename(here)
    # Named, it is read from there; another store with the same key and version does not count.
    other = landing(str(tmp_path / "other"), None).store
    put(other)
    found = store_of(reference, str(here), None, None)
    assert found.url == here.as_uri()
    assert found.get(reference).equals(table())
    assert store_of(reference, str(tmp_path / "other"), None, None).url == there.as_uri()
    # The same by the block of the results, which moved.
    here.rename(tmp_path / "coldframe")
    block = LocalFileSystem(basepath=str(tmp_path))
    assert store_of(reference, str(tmp_path / "other"), block, None).get(reference).equals(table())


def test_the_store_whose_url_it_is_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = LocalFileSystem(basepath=str(tmp_path / "results"))
    store = landing(None, block).store
    reference = put(store)
    monkeypatch.setenv("COLDFRAME_STORE", str(tmp_path / "variable"))
    assert store_of(reference, str(tmp_path / "argument"), block, None).url == store.url
    variable = landing(None, block).store
    assert store_of(put(variable), str(tmp_path / "argument"), block, None).url == variable.url
    # What does not open here is left out: a profile that only the writer has.
    assert store_of(reference, "s3/writers-own", None, None).get(reference).equals(table())
    monkeypatch.setenv("COLDFRAME_STORE", "relative")
    assert store_of(reference, None, None, None).get(reference).equals(table())


def test_references_that_say_nothing(tmp_path: Path) -> None:
    reference = coldframe.Store("memory://").put("key", table())
    with pytest.raises(UnsupportedError, match="memory"):
        store_of(reference, str(tmp_path), None, None)
    fields = json.loads(reference.json())
    del fields["storage"]
    with pytest.raises(UnsupportedError, match="does not say where it lies"):
        store_of(coldframe.ResultReference.from_json(json.dumps(fields)), None, None, None)


def remote_block() -> S3Bucket:
    keys = {
        "aws_access_key_id": "PLANTEDKEY",
        "aws_secret_access_key": PLANTED,
        "aws_session_token": f"{PLANTED}-token",
    }
    credentials = AwsCredentials(region_name="eu-central-1", **keys)
    return S3Bucket(bucket_name="acme", bucket_folder="results", credentials=credentials)


def test_warned_once_where_records_and_frames_are_apart(tmp_path: Path, logged: list[str]) -> None:
    remote, local = remote_block(), LocalFileSystem(basepath=str(tmp_path))
    for folder in ("one", "two", "one"):
        warn_if_apart(landing(str(tmp_path / folder), remote), remote)
    assert [text.partition(" ")[0] for text in logged] == ["WARNING", "WARNING"]
    assert (tmp_path / "one").as_uri() in logged[0] and "S3Bucket" in logged[0] and "argument `store`" in logged[0]
    warn_if_apart(landing(str(tmp_path / "three"), local), local)
    warn_if_apart(landing(str(tmp_path / "three"), None), None)
    warn_if_apart(landing(None, remote), remote)
    assert len(logged) == 2


def test_no_secret_in_any_text(tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from coldframe.prefect import blocks, storage

    block = remote_block()
    found = landing(None, block)
    place = blocks.location_of(block, tmp_path)
    assert place.options["secret_access_key"] == PLANTED
    assert found.because == "the result storage S3Bucket(s3://acme/results)"
    warn_if_apart(landing(str(tmp_path), block), block)
    texts = [repr(found), repr(place), repr(found.store), str(found.store), found.because, *logged]
    texts += [repr(vars(storage._stores)), repr(vars(storage._saved_blocks)), repr(vars(blocks._CLIENTS))]
    block.credentials.aws_client_parameters.config = {"client_cert": PLANTED}
    monkeypatch.setenv("COLDFRAME_STORE", f"s3://bucket?token={PLANTED}")
    for call in (lambda: blocks.location_of(block, tmp_path), lambda: landing(None, block)):
        with pytest.raises(ColdframeError) as raised:
            call()
        texts += traceback.format_exception(raised.value)
    reference = coldframe.Store(tmp_path / "store").put("key", table())
    assert store_of(reference, None, block, None).get(reference).equals(table())
    texts += logged
    assert any("client_cert" in text for text in texts)
    assert [text for text in texts if PLANTED in text] == []


def test_nothing_of_a_cloud_is_imported(tmp_path: Path) -> None:
    code = """
        import sys
        from prefect.filesystems import LocalFileSystem
        from coldframe.prefect.storage import landing
        print(landing(None, LocalFileSystem(basepath=sys.argv[1])).store.url)
        for library in "prefect_aws prefect_gcp prefect_azure boto3 google.cloud azure pandas pyarrow".split():
            assert library not in sys.modules, library
    """
    assert output(code, str(tmp_path), PREFECT_HOME=str(tmp_path / "home")).strip() == (tmp_path / "coldframe").as_uri()


def test_tables_come_back(tmp_path: Path) -> None:
    found = landing(None, LocalFileSystem(basepath=str(tmp_path)))
    assert pa.table(found.store.scan(put(found.store))).equals(table())


@pytest.mark.parametrize(
    "storage",
    [
        "s3://bucket/p?endpoint=http://127.0.0.1:9&allow_http=true",
        "az://cont/p?azure_endpoint=http://127.0.0.1:9",
        "s3://bucket/p?region=eu-central-1",
        "s3://key:correct-horse@bucket/p",
        "rel/folder",
        "https://127.0.0.1:9/bucket",
    ],
)
def test_a_record_names_no_server_that_credentials_are_sent_to(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "correct-horse")
    written = json.loads(put(coldframe.Store(tmp_path, durable=False)).compact().json())
    text = json.dumps({**written, "storage": storage})
    with pytest.raises(coldframe.ColdframeError) as raised:
        store_of(coldframe.ResultReference.from_json(text), None, None, None)
    assert isinstance(raised.value, (coldframe.errors.DeniedError, coldframe.errors.InvalidInputError))
    assert "correct-horse" not in str(raised.value)
