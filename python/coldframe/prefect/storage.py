"""Where the frames of results land, and where they are found again.

Frames land in the `store` that the serializer was given, else in what ``COLDFRAME_STORE`` names, else in a folder
``coldframe/`` beside the run's results. They never land in the working folder of a worker, which another worker does
not have, and which ends with its container.
"""

from __future__ import annotations

import contextvars
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from prefect.logging import get_logger
from prefect.settings import get_current_settings

from coldframe import ResultReference, Store
from coldframe.errors import (
    ColdframeError,
    ConfigurationError,
    DeniedError,
    InvalidInputError,
    UnsupportedError,
    WrongTypeError,
)
from coldframe.prefect.blocks import WAY_OUT, Location, kind_of, local_location, location_of
from coldframe.prefect.remembered import Remembered, fingerprint, surroundings

if TYPE_CHECKING:
    from prefect.filesystems import WritableFileSystem

__all__ = ["Landing", "check_location", "landing", "store_of", "warn_if_apart"]

_VARIABLE = "COLDFRAME_STORE"
_SCHEMES = ("file", "s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "https")
_WAYS = "write s3://bucket/path, gs://bucket/path, az://container/path, an absolute path, or a profile such as s3/prod"
_ELSEWHERE = "it is kept with every result: give credentials by the environment, or by a profile in coldframe.toml"
_PROFILE = re.compile(r"(s3|gs|gcs|az|azure|local|file)/(?!\.{1,2}$)[^/\\:@?#\s]+")
_CONTAINER_AT_ACCOUNT = re.compile(r"[^:@]+@[^.:@]+\.(dfs|blob)\.(core\.windows\.net|fabric\.microsoft\.com)")
_SECRET_NAME = re.compile(
    r"(^|_)(secret|pass|password|passwd|pwd|token|credential|credentials|key|sas|sig|signature)(_|$)|^(sv|se|sp)$"
    r"|^x_(amz|goog)_|accesskey|secretkey|sastoken"
)
_NO_SECRETS = frozenset(
    {
        "application_credentials", "container_authorization_token_file", "fabric_token_service_url",
        "federated_token_file", "skip_signature", "sse_bucket_key_enabled", "sse_kms_key_id", "web_identity_token_file",
    }
)  # fmt: skip
"""Options whose names look like those of secrets, and whose values are none."""

_stores: Remembered[Store] = Remembered(seconds=None)
_saved_blocks: Remembered[Any] = Remembered()
_told_apart: set[tuple[int, str]] = set()


@dataclass(frozen=True)
class Landing:
    """Where the frames of a result land, and why there.

    Attributes:
        store: The store.
        because: What named it, for log lines; without secrets.
        block: The id of the saved block that the store comes from, by which a reader without a run finds credentials.
    """

    store: Store
    because: str
    block: str | None


def check_location(location: str) -> str:
    """What is kept of a serializer's `store`: a URL, an absolute path, or the name of a profile such as ``s3/prod``.

    Nothing is opened, and the profile need not be here: a serializer is also made where its results are read.

    Raises InvalidInputError for a relative path, for ``memory://``, and for a URL that holds a secret.
    """
    return _checked(location, "store")


def landing(location: str | None, result_storage: WritableFileSystem | None) -> Landing:
    """Where frames are written.

    Args:
        location: The `store` of the serializer.
        result_storage: The run's; None outside a run, where Prefect's own folder takes its place.

    Raises InvalidInputError for a wrong location, UnsupportedError naming what of a block cannot be carried over.
    """
    named = _named(location)
    if named is not None:
        text, told = named
        return Landing(_opened_by_name(text, told), _because(told), None)
    if result_storage is None:
        return Landing(_opened(_default_location()), "Prefect's local storage path", None)
    storage_path = get_current_settings().results.local_storage_path
    found = location_of(result_storage, storage_path)
    name = type(result_storage).__name__
    if kind_of(result_storage) == "local" and not _is_absolute(result_storage):
        # Also where a block says so, a folder below the working folder is nobody else's.
        told = f"Prefect's local storage path, as the {name} of the results depends on the working folder"
        return Landing(_opened(found), told, None)
    saved = getattr(result_storage, "_block_document_id", None)
    told = f"the result storage {name}({found.url.rpartition('/')[0]})"
    return Landing(_opened(found), told, None if saved is None else str(saved))


def store_of(
    reference: ResultReference, location: str | None, result_storage: WritableFileSystem | None, block: str | None
) -> Store:
    """The store that a reference of a record is read from.

    That is the folder that it names, if this machine has it; or the first whose URL is the reference's: the argument,
    ``COLDFRAME_STORE``, the one beside `result_storage`, the one beside the saved block `block`. Else the first of them
    that holds this very version, written by the same put: a folder may be mounted elsewhere, a bucket may have been
    copied. Else the reference's own URL is opened with the credentials of the environment: the record comes from a
    storage that Prefect unpickles from, and is trusted as much.

    Args:
        reference: What the record holds.
        location: The `store` of the serializer.
        result_storage: The run's, if there is one.
        block: The id of a saved block, as `Landing.block`; it is asked for only if the reference is of a remote storage
            and nothing else opens it.
    """
    storage = reference.storage
    if storage is None or storage.startswith("memory:"):
        raise UnsupportedError(
            "the reference does not say where it lies" if storage is None else "the frame lay in a process's memory",
            hint="compute the result again",
            subject=str(reference),
        )
    own = _opened(Location(storage)) if storage.startswith("file:") else None
    if own is not None and _holds(own, reference):
        # Whoever names this folder names the same store, and no bucket has to be asked.
        return own
    others: list[Store] = []
    for candidate in _candidates(location, result_storage, block if own is None else None):
        if candidate.url == storage:
            return candidate
        others.append(candidate)
    for candidate in others:
        if _holds(candidate, reference):
            return candidate
    if own is None:
        # It comes from a record: it may name a bucket, and no server that the environment's credentials are sent to.
        _check_url(storage, "the reference's storage")
        if "?" in storage:
            raise DeniedError(
                "the reference's storage holds options, and a record may not choose them",
                hint="give them by the environment or by a profile, and name the store: ColdframeSerializer(store=…)",
                subject=str(reference),
            )
    return own or _opened(Location(storage))


def warn_if_apart(landing: Landing, result_storage: WritableFileSystem | None) -> None:
    """Warns, once per process and store, where records are remote and frames are on this machine alone."""
    url = landing.store.url or ""
    if result_storage is None or kind_of(result_storage) == "local" or not url.startswith("file:"):
        return
    seen = (os.getpid(), url)
    if seen in _told_apart:
        return
    _told_apart.add(seen)
    get_logger("coldframe").warning(
        "Results are recorded in %s, and their frames land in %s, named by %s: a reader on another machine finds the "
        "record and not its frames. Name a store that all of them reach, or leave the name away for frames to land "
        "beside the results; if the folder is mounted everywhere, nothing is to be done.",
        type(result_storage).__name__,
        url,
        landing.because,
    )


def _checked(location: str, told: str) -> str:
    if not isinstance(location, (str, os.PathLike)):
        raise WrongTypeError(f"{told}: a URL or a path is expected, and this is a {type(location).__qualname__}")
    text = os.fspath(location)
    if not isinstance(text, str):
        raise WrongTypeError(f"{told}: a path of text is expected, and this is one of bytes")
    if text == "~" or text.startswith("~/"):
        text = str(Path(text).expanduser())
    if not text:
        raise InvalidInputError(f"{told}: it is empty", hint=_WAYS)
    if "://" in text:
        _check_url(text, told)
        return text
    if Path(text).is_absolute() or _PROFILE.fullmatch(text):
        return text
    # What is mistyped may hold anything.
    shown = "this" if re.search(r"[@?:]", text) else f"`{text}`"
    raise InvalidInputError(
        f"{told}: {shown} is a relative path, and would land in whatever folder a worker runs in",
        hint=f"{_WAYS}; a profile's name is a kind of storage, a slash and a word",
    )


def _check_url(text: str, told: str) -> None:
    scheme = text.partition("://")[0]
    if scheme == "memory":
        raise InvalidInputError(f"{told}: what lies in memory ends with the process", hint=_WAYS)
    if scheme not in _SCHEMES:
        raise InvalidInputError(f"{told}: this is no URL of a storage", hint=_WAYS)
    try:
        parts = urlsplit(text)
    except ValueError:
        # Without the cause, which repeats the text.
        raise InvalidInputError(f"{told}: `{scheme}://…` is no URL", hint=_WAYS) from None
    account = scheme in ("az", "abfs", "abfss") and _CONTAINER_AT_ACCOUNT.fullmatch(parts.netloc)
    if "@" in parts.netloc and not account:
        raise InvalidInputError(f"{told}: a storage's URL holds no credentials", hint=_ELSEWHERE)
    if ":" in parts.netloc:
        raise InvalidInputError(
            f"{told}: a storage's URL names a bucket, and no port",
            hint="give the endpoint by AWS_ENDPOINT_URL or the like, or by a profile in coldframe.toml",
        )
    if "#" in text:
        raise InvalidInputError(f"{told}: a storage's URL holds no `#`", hint="write %23 if a name contains it")
    if scheme == "file" and parts.netloc not in ("", "localhost"):
        raise InvalidInputError(f"{told}: a folder's URL has an absolute path", hint="write file:///path/to/folder")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if _may_be_secret(name, value):
            raise InvalidInputError(f"{told}: the query of the URL holds a secret", hint=_ELSEWHERE)


def _may_be_secret(name: str, value: str) -> bool:
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    short = re.sub(r"^(aws|google|azure_storage|azure)_", "", plain)
    if "://" in value and "@" in value:
        return True
    return short not in _NO_SECRETS and _SECRET_NAME.search(short) is not None


def _named(location: str | None) -> tuple[str, str] | None:
    """The location that a person named, checked, and by what it was named."""
    if location is not None:
        return _checked(location, "store"), "store"
    variable = os.environ.get(_VARIABLE)
    return (_checked(variable, _VARIABLE), _VARIABLE) if variable else None


def _because(told: str) -> str:
    return "the argument `store`" if told == "store" else told


def _opened_by_name(text: str, told: str) -> Store:
    by_profile = "://" not in text and not Path(text).is_absolute()
    try:
        store = _opened(Location(text))
    except ConfigurationError as error:
        if by_profile and "no storage profile" in error.message:
            # A folder below the working folder, which the core proposes, is refused here.
            error.hint = f'add [storage."{text}"] with a url to coldframe.toml, or write an absolute path'
        raise
    if by_profile and store._native.profile != text:
        raise InvalidInputError(
            f"{told}: there is no profile `{text}` here, but a folder of that name in the working folder",
            hint=f'add [storage."{text}"] with a url to coldframe.toml, or write the absolute path of the folder',
        )
    if (store.url or "").startswith("memory:"):
        raise InvalidInputError(f"{told}: what lies in memory ends with the process", hint=_WAYS)
    return store


def _opened(location: Location) -> Store:
    """The store of a location, opened once for the same options, environment and working folder."""
    options: dict[str, Any] = dict(location.options)
    folder = None if "://" in location.url or Path(location.url).is_absolute() else str(Path.cwd())
    key = fingerprint(location.url, options, surroundings(), folder)
    return _stores.get(key, lambda: Store(location.url, **options))


def _is_absolute(block: Any) -> bool:
    return bool(block.basepath) and Path(block.basepath).expanduser().is_absolute()


def _default_location() -> Location:
    """Beside Prefect's results where no run says where they are, as far as the settings tell."""
    results = get_current_settings().results
    if results.default_storage_block is not None:
        raise ConfigurationError(
            f"outside a run, Prefect's API alone knows the default storage block `{results.default_storage_block}`",
            hint=WAY_OUT,
        )
    return local_location(None, results.local_storage_path)


def _candidates(location: str | None, result_storage: WritableFileSystem | None, block: str | None) -> Iterator[Store]:
    """The stores that a reference may be of; what does not open here is left out."""
    for text, told in ((location, "store"), (os.environ.get(_VARIABLE) or None, _VARIABLE)):
        if text is not None:
            try:
                yield _opened_by_name(_checked(text, told), told)
            except ColdframeError as error:
                _tell_left_out(_because(told), error)
    try:
        storage_path = get_current_settings().results.local_storage_path
        yield _opened(_default_location() if result_storage is None else location_of(result_storage, storage_path))
    except ColdframeError as error:
        _tell_left_out("the result storage", error)
    if block is not None:
        try:
            yield _opened(location_of(_saved_block(block), get_current_settings().results.local_storage_path))
        # Also whatever Prefect's client and the block's class fail with: the environment may still open it.
        except Exception as error:
            _tell_left_out(f"the saved block {block}", error)


def _tell_left_out(what: str, error: Exception) -> None:
    # The text of an error of Prefect's may hold a block's values.
    said = error.message if isinstance(error, ColdframeError) else type(error).__name__
    get_logger("coldframe").debug("%s opens no store here: %s", what, said)


def _holds(store: Store, reference: ResultReference) -> bool:
    try:
        return store.exists(reference)
    except ColdframeError:
        return False


def _saved_block(block: str) -> Any:
    return _saved_blocks.get(fingerprint(block, _api()), lambda: _load(UUID(block)))


def _api() -> str | None:
    return get_current_settings().api.url


def _load(block: UUID) -> Any:
    """Loads a saved block on a thread of its own: the caller's may run an event loop, which Prefect would use."""
    done: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(_read(block))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="coldframe-block", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _read(block: UUID) -> Any:
    from prefect.blocks.core import Block
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return Block._from_block_document(client.read_block_document(block))
