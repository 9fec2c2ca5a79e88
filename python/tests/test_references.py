"""References travel, and mean the same result; what is gone, damaged, or not allowed says so."""

from __future__ import annotations

import json
import pickle
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support import output, table

from coldframe import ResultReference, Store
from coldframe.errors import (
    ColdframeError,
    ConfigurationError,
    ConflictError,
    DamagedError,
    DeniedError,
    GoneError,
    InvalidInputError,
    NotFoundError,
    WrongTypeError,
)

SECRET = "hunter2-is-no-password"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder and a home without any configuration."""
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("COLDFRAME_STORE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


def test_json_round_trip(store: Store) -> None:
    reference = store.put(
        "etl/trips", table(10), title="Trips", metadata={"a": [1, None, "ü"]}, description="Two\nlines"
    )
    again = ResultReference.from_json(reference.json(), store)
    assert again == reference
    assert hash(again) == hash(reference)
    assert again.json() == reference.json()
    assert ResultReference.from_json(reference.json().encode(), store) == reference
    assert (again.key, again.version, again.rows, again.title) == ("etl/trips", 1, 10, "Trips")
    assert (again.metadata, again.description) == ({"a": [1, None, "ü"]}, "Two\nlines")
    assert again.storage == store.url
    assert again.get().equals(table(10))
    assert json.loads(reference.json())["type"] == "reference"


def test_compact_reference(store: Store) -> None:
    wide = pa.table({f"a column with a long name {number}": [number] for number in range(500)})
    reference = store.put("wide", wide, title="Wide", metadata={"text": "x" * 5000})
    compact = reference.compact()
    assert compact.is_compact
    assert not reference.is_compact
    assert len(compact.json()) < 1024 < len(reference.json())
    received = ResultReference.from_json(compact.json(), store)
    assert received == compact
    assert (received.rows, received.title, received.metadata) == (1, "Wide", reference.metadata)
    assert received.shape == (1, 500)
    assert received.get().equals(wide)
    assert store.reference(received) == reference
    assert store.reference("wide@1") == reference


def test_equality_is_by_value(store: Store, tmp_path: Path) -> None:
    first, second = store.put("key", 1), store.put("key", 1)
    assert first != second
    assert first == store.reference("key", version=1) == store.reference("key@1")
    assert len({first, second, store.reference("key@1"), store.reference("key")}) == 2
    assert first != "key@1"
    assert first != Store(tmp_path / "other").put("key", 1)


def test_pickle_finds_its_store(store: Store) -> None:
    reference = store.put("key", table(10))
    for sent in (reference, reference.compact()):
        received = pickle.loads(pickle.dumps(sent))
        assert received == sent
        assert received.get().equals(table(10))
        again = pickle.loads(pickle.dumps(received))
        assert again.get().equals(table(10))


def test_pickle_without_a_store_stays_without(store: Store) -> None:
    unbound = ResultReference.from_json(store.put("key", 1).json())
    received = pickle.loads(pickle.dumps(unbound))
    assert received == unbound
    with pytest.raises(DeniedError):
        received.get()


def test_store_by_pickle(store: Store) -> None:
    store.put("key", 1)
    received = pickle.loads(pickle.dumps(store))
    assert received.url == store.url
    assert received.get("key") == 1


def test_credentials_are_never_told(tmp_path: Path, store: Store) -> None:
    options = {
        "access_key_id": "AKIAEXAMPLE",
        "secret_access_key": SECRET,
        "session_token": SECRET,
        "region": "eu-central-1",
    }
    remote = Store("s3://bucket/path", endpoint="http://127.0.0.1:9", allow_http=True, max_retries=0, **options)
    texts = [
        repr(remote),
        str(remote),
        remote._repr_html_(),
        remote.url or "",
        str(pickle.dumps(remote)),
        str(vars(remote)),
    ]
    for work in (
        lambda: remote.put("key", 1),
        lambda: remote.get("key"),
        lambda: remote.list(),
        lambda: remote.verify(),
        lambda: Store("s3://bucket/path", secret_access_key=SECRET, sekret=SECRET),  # a wrong name beside it
        lambda: Store("s3://bucket/path", secret_access_key=[SECRET]),  # type: ignore[arg-type]
        lambda: Store(f"s3://bucket/path?secret_access_key={SECRET}"),
    ):
        with pytest.raises(ColdframeError) as raised:
            work()
        error: BaseException | None = raised.value
        while error is not None:
            texts += [str(error), repr(error), str(vars(error))]
            error = error.__cause__ or error.__context__
    local = store.put("key", 1)
    texts += [local.json(), repr(local), local._repr_html_(), str(pickle.dumps(local))]
    assert [text for text in texts if SECRET in text] == []


def test_reference_from_anybody_is_denied(store: Store) -> None:
    text = store.put("key", 1).json()
    for sent in (text, ResultReference.from_json(text).compact().json()):
        received = ResultReference.from_json(sent)
        with pytest.raises(DeniedError) as raised:
            received.get()
        assert isinstance(raised.value, PermissionError)
        assert raised.value.hint
    # The card of such a reference says so too, and does not fail.
    assert "key@1" in ResultReference.from_json(text)._repr_html_()
    assert ResultReference.from_json(text, store).get() == 1
    assert store.get(ResultReference.from_json(text)) == 1


def test_reference_to_the_configured_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    received = ResultReference.from_json(store.put("key", 1).json())
    monkeypatch.setenv("COLDFRAME_STORE", store.url or "")
    assert received.get() == 1


def test_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "profile"
    Path("coldframe.toml").write_text(f'default = "files/prod"\n[storage."files/prod"]\nurl = "{folder.as_posix()}"\n')
    store = Store("files/prod")
    reference = store.put("key", table(10))
    assert (folder / "coldframe.json").exists()
    assert Store().get("key").equals(table(10))
    assert reference.storage == "files/prod" or "profile" in (reference.storage or "")
    received = ResultReference.from_json(reference.json())
    assert received.get().equals(table(10))
    assert pickle.loads(pickle.dumps(reference)).get().equals(table(10))
    assert pickle.loads(pickle.dumps(store)).get("key").equals(table(10))
    code = "import sys, coldframe; print(coldframe.ResultReference.from_json(sys.argv[1]).rows)"
    assert output(code, reference.compact().json()) == "10\n"
    with pytest.raises(ConfigurationError, match="s3/prod"):
        Store("s3/prod")
    monkeypatch.chdir(tmp_path / "home")
    with pytest.raises(ColdframeError):
        received = ResultReference.from_json(reference.json())
        received.get()


def test_cached_value_until_released(store: Store) -> None:
    reference = store.put("key", table(10))
    assert reference.get() is not reference.get()
    kept = reference.get(cache=True)
    assert reference.get(cache=True) is kept
    assert reference.get() is not kept
    assert reference.get(["row"], cache=True).column_names == ["row"]
    store.delete("key")
    assert reference.get(cache=True) is kept
    reference.release()
    with pytest.raises(GoneError):
        reference.get(cache=True)


@pytest.mark.parametrize("expires", ["1d", "24h", "12h720m", timedelta(days=1), "datetime", "zone"])
def test_expiry(store: Store, expires: Any) -> None:
    now = datetime.now(timezone.utc)
    if expires == "datetime":
        expires = now + timedelta(days=1)
    if expires == "zone":
        expires = (now + timedelta(days=1)).astimezone(timezone(timedelta(hours=5, minutes=30)))
    reference = store.put("key", 1, expires=expires)
    assert reference.expires is not None
    assert reference.created <= reference.expires
    assert abs(reference.expires - now - timedelta(days=1)) < timedelta(hours=1)
    assert store.get("key") == 1


def test_expired(store: Store, tmp_path: Path) -> None:
    store.put("key", 1, expires="1d")
    # As it is found a day later, without waiting for that.
    (record,) = (tmp_path / "store" / "refs").rglob("*-v1.json")
    record.write_text(re.sub(r'"expires": ?"[^"]*"', '"expires":"2026-01-01T00:00:00Z"', record.read_text()))
    reference = store.versions("key")[0].reference
    assert reference is not None
    for work in (lambda: store.get("key"), reference.get, lambda: store.get(reference.compact())):
        with pytest.raises(GoneError, match="expired"):
            work()
    assert not store.exists("key")
    assert [entry.state for entry in store.versions("key")] == ["expired"]
    assert store.put("key", 2, if_absent=True).version == 2
    assert store.put("other", 1).expires is None


@pytest.mark.parametrize(
    "expires",
    [
        datetime(2030, 1, 1),
        "tomorrow",
        "",
        "1",
        "-1d",
        timedelta(days=-1),
        datetime(2020, 1, 1, tzinfo=timezone.utc),
        "1.5d",
        "1y",
    ],
)
def test_wrong_expiry(store: Store, expires: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"expires|the expiry"):
        store.put("key", 1, expires=expires)
    assert len(store.list()) == 0


def test_gone_says_when_and_why(store: Store) -> None:
    reference = store.put("key", table(10))
    store.put("key", table(5))
    assert store.delete("key@1", reason="the source was wrong") == [1]
    for work in (
        reference.get,
        lambda: store.get("key@1"),
        lambda: store.get("key", version=1),
        reference.compact().get,
    ):
        with pytest.raises(GoneError, match="the source was wrong") as raised:
            work()
        assert isinstance(raised.value, FileNotFoundError)
    assert store.get("key").num_rows == 5
    entries = store.versions("key")
    assert [(entry.version, entry.state) for entry in entries] == [(2, "live"), (1, "deleted")]
    assert "the source was wrong" in (entries[1].why or "")
    assert store.delete("key") == [2]
    assert store.delete("key") == []
    assert store.put("key", 1).version == 3


def test_conditions(store: Store) -> None:
    store.put("key", 1, if_absent=True)
    with pytest.raises(ConflictError) as raised:
        store.put("key", 2, if_absent=True)
    assert isinstance(raised.value, FileExistsError)
    assert store.put("key", 2, after=1).version == 2
    with pytest.raises(ConflictError):
        store.put("key", 3, after=1)
    with pytest.raises(ConflictError):
        store.put("key", 3, after=0)
    assert store.put("other", 1, after=0).version == 1
    store.delete("key")
    assert store.put("key", 3, if_absent=True).version == 3
    assert store.verify().notes == []


def test_as_of_and_version(store: Store) -> None:
    references = [store.put("key", number) for number in range(3)]
    for number, reference in enumerate(references):
        assert store.get("key", version=number + 1) == number
        assert store.get(f"key@{number + 1}") == number
        assert store.get("key", as_of=reference.created) == number
    before = references[0].created - timedelta(seconds=1)
    with pytest.raises(NotFoundError):
        store.get("key", as_of=before)
    assert store.scan(store.put("frame", table(3)).key, as_of=datetime.now(timezone.utc)).shape == (3, 2)
    for wrong in (datetime(2030, 1, 1), "2030-01-01", 5):
        with pytest.raises(InvalidInputError, match="as_of"):
            store.get("key", as_of=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="as_of"):
        store.get(references[0], as_of=references[0].created)
    with pytest.raises(InvalidInputError, match="version"):
        store.get(references[0], version=1)
    with pytest.raises(NotFoundError, match="4"):
        store.get("key", version=4)


def test_no_such_key_names_one_that_is_like_it(store: Store) -> None:
    store.put("etl/trips", 1)
    for work in (lambda: store.get("etl/trip"), lambda: store.show("etl/trip"), lambda: store.scan("etl/trip@7").shape):
        with pytest.raises(NotFoundError, match="did you mean `etl/trips`"):
            work()
    with pytest.raises(NotFoundError, match=r"store\.versions"):
        store.get("etl/trips@7")
    with pytest.raises(NotFoundError, match=r"store\.list"):
        store.get("something-else-entirely")


def test_copy_between_stores(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other", durable=False)
    reference = store.put("key", table(1000), title="Title")
    copied = store.copy(reference, other)
    assert (copied.key, copied.title, copied.storage) == ("key", "Title", other.url)
    assert copied.get().equals(table(1000))
    assert store.copy("key", other) == copied
    assert store.copy("key@1", other, key="another").key == "another"
    assert store.copy("key", store, key="here").get().equals(table(1000))
    store.delete("key")
    assert other.get("key").equals(table(1000))
    assert [found.key for found in other.list()] == ["another", "key"]
    with pytest.raises(GoneError):
        store.copy("key", other, key="third")
    with pytest.raises(WrongTypeError, match="to"):
        store.copy("here", str(tmp_path))  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["changed", "shortened", "removed"])
@pytest.mark.parametrize("serializer", ["parquet", "arrow", "json"])
def test_damage_is_found(store: Store, tmp_path: Path, how: str, serializer: str) -> None:
    value: Any = {"text": "x" * 1000} if serializer == "json" else table(5000)
    reference = store.put("key", value, serializer=serializer)
    store.put("sound", 1)
    path = tmp_path / "store" / json.loads(reference.json())["parts"][0]["path"]
    content = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
    elif how == "shortened":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
    # An uncompressed Arrow file of one's own is else read without a look at its content.
    reads = (lambda: reference.get(check=True), lambda: store.get("key", check=True))
    for work in (*reads, lambda: store.copy("key", store, key="copy")):
        with pytest.raises(DamagedError) as raised:
            work()
        assert isinstance(raised.value, OSError)
        assert "key" in str(raised.value)
    verified = store.verify()
    assert not verified.ok
    assert len(verified.problems) == 1
    assert "key" in " ".join(verified.problems[0])
    assert store.verify("sound").ok
    assert len(store.list()) == 2


def test_search(store: Store) -> None:
    store.put("etl/alpha", 1, title="Trips of New York")
    store.put("etl/beta", 1, description="nothing")
    store.put("gamma", 1, metadata={"owner": "Ada", "nested": {"city": "york"}})
    assert [found.key for found in store.list(search="YORK")] == ["etl/alpha", "gamma"]
    assert [found.key for found in store.list("etl/", search="york")] == ["etl/alpha"]
    assert [found.key for found in store.list(search="beta")] == ["etl/beta"]
    assert list(store.list(search="nowhere")) == []
    assert [found.key for found in store.list("etl/")] == ["etl/alpha", "etl/beta"]


def test_pages(store: Store) -> None:
    keys = [f"key/{number:04}" for number in range(230)]
    for key in keys:
        store.put(key, None)
    listing = store.list()
    assert len(listing._references) == 100
    assert [found.key for found in listing[:3]] == keys[:3]
    assert listing[150].key == keys[150]
    assert [found.key for found in listing] == keys
    assert len(listing) == 230
    assert listing[-1].key == keys[-1]
    assert [found.key for found in store.list()[-2:]] == keys[-2:]
    assert len(store.list("key/02")) == 30
    assert "key/0000" in repr(listing)
    with pytest.raises(IndexError):
        store.list()[230]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"type": "reference"}', "not json", '{"type": "literal", "value": null}', "\0"]
)
def test_text_that_is_no_reference(text: str) -> None:
    with pytest.raises(ColdframeError) as raised:
        ResultReference.from_json(text)
    assert isinstance(raised.value, ValueError)


def test_reference_of_a_newer_format(store: Store) -> None:
    newer = {**json.loads(store.put("key", 1).json()), "format": 99}
    with pytest.raises(ColdframeError, match="99"):
        ResultReference.from_json(json.dumps(newer))
