"""The store: put, get, scan, list, versions, show, delete, verify, exists, copy."""

from __future__ import annotations

import builtins
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coldframe import _coldframe, reading
from coldframe.arguments import check_flag, check_number, check_required_text, check_text
from coldframe.drawing import Card
from coldframe.errors import ColdframeError, InvalidInputError, NotFoundError, UnsupportedError, WrongTypeError
from coldframe.listing import Listing, Verification, Versions
from coldframe.progress import Progress
from coldframe.putting import Wanted, prepare, tell_late
from coldframe.reference import ResultReference
from coldframe.scan import Scan

__all__ = ["Store"]


class Store:
    """Keeps results under keys, in versions, on one storage.

    >>> import coldframe, pandas
    >>> store = coldframe.Store("memory://")
    >>> trips = pandas.DataFrame({"fare": [12.5, 7.0]}, index=["a", "b"])
    >>> reference = store.put("etl/trips", trips)
    >>> store.get("etl/trips").equals(trips)
    True

    Args:
        url: A URL (``s3://…``, ``gs://…``, ``az://…``, ``file:///…``, ``memory://``), a path, or the name of a profile
            in ``coldframe.toml``. Where absent, what ``COLDFRAME_STORE`` or the configuration says, else
            ``./.coldframe``.
        durable: Whether a put on a local disk survives a loss of power.
        memory: How many bytes one put or scan may hold; 192 MiB where absent.
        cache: False switches the cache of remote data on the local disk off.
        progress: True or False switches progress bars on or off; where absent, work of more than two seconds shows one
            in notebooks and terminals.
        options: Options of the storage, such as ``region="eu-central-1"``; stronger than those of the environment.

    A store may be used by several threads at once, inside a running asyncio loop (which waits meanwhile), and after a
    fork; only ``memory://`` belongs to the process that opened it, and is refused in a forked child (UnsupportedError).

    Raises ConfigurationError for settings, also for a profile that is not there; InvalidInputError for a URL.
    """

    def __init__(
        self,
        url: str | os.PathLike[str] | None = None,
        durable: bool = True,
        *,
        memory: int | None = None,
        cache: bool | None = None,
        progress: bool | None = None,
        **options: str | int | bool,
    ) -> None:
        if url is not None and not isinstance(url, (str, os.PathLike)):
            raise WrongTypeError(f"url: a URL or a path is expected, and this is a {type(url).__qualname__}")
        for name, flag in (("durable", durable), ("cache", cache), ("progress", progress)):
            check_flag(name, flag)
        check_number("memory", memory, 1, "bytes, such as memory=256 * 1024**2")
        location = None if url is None else os.fspath(url)
        if location is not None and (location == "~" or location.startswith("~/")):
            # pathlib takes long to import.
            location = os.path.expanduser(location)  # noqa: PTH111
        self._location = location
        self._durable = durable
        self._memory = memory
        self._cache = cache
        self._progress = progress
        self._native = _coldframe.Store(_Settings(self._location, options, durable, memory, cache))

    @classmethod
    def _of(cls, native: _coldframe.Store) -> Store:
        store = cls.__new__(cls)
        store._location, store._durable, store._native = native.url, True, native
        store._memory = store._cache = store._progress = None
        return store

    @property
    def url(self) -> str | None:
        """Where it lies, without credentials."""
        return self._native.url

    def put(
        self,
        key: str,
        value: Any,
        *,
        serializer: Any = None,
        strict: bool = False,
        if_absent: bool = False,
        after: int | None = None,
        expires: Any = None,
        title: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        fingerprint: bool | None = None,
        progress: bool | None = None,
    ) -> ResultReference:
        """Persists a value as the next version of a key, and returns the reference to it.

        Frames of pandas, polars, pyarrow and DuckDB, and whatever gives Arrow streams, arrays, or batches one by one,
        are streamed in bounded memory. JSON values that come back equal, bytes, None, True and False are taken as well,
        and pydantic models, with a LossyWarning; all else needs a serializer to be chosen.

        Args:
            key: A path-like name, such as ``etl/2026-11-20/trips``.
            value: What is put.
            serializer: A short form (``"parquet/zstd(3)"``, ``"arrow"``, ``"json"``, ``"pickle"``), a descriptor as a
                dict, or an instance (``coldframe.Parquet(level=3)``). A table becomes ``parquet`` where absent.
            strict: Raises LossyError if anything would be lost on the way and back, instead of a LossyWarning.
            if_absent: Only if there is no version that is neither deleted nor expired; else ConflictError.
            after: Only if the newest version is this one, 0 for none; else ConflictError.
            expires: When it is refused from: a timedelta, text such as ``"7d"``, or a datetime with a zone.
            title: One line for people.
            description: Some lines for people.
            metadata: What else is kept in the reference, as JSON: at most 16 KiB.
            fingerprint: Whether the fingerprint of a table or JSON value is computed and kept in the reference. Where
                absent it is, but not with the serializer ``"arrow"``, which hands a table over at the speed of memory.
            progress: As in `Store`.

        A put that fails or is interrupted leaves nothing behind.
        """
        hint = "put(key, value): the key comes first" if isinstance(value, str) else None
        check_required_text("key", key, hint)
        check_flag("progress", progress)
        wanted = Wanted(
            if_absent=if_absent,
            after=after,
            expires=expires,
            title=title,
            description=description,
            metadata=metadata,
            strict=strict,
            fingerprint=fingerprint,
        )
        try:
            prepared = prepare(self._native, key, value, serializer, wanted)
            with Progress(f"put {key}", prepared.rows, self._progress if progress is None else progress) as shown:
                reference = ResultReference(self._native.put(key, prepared.content, wanted, shown), self)
        except ColdframeError as error:
            # Also one that an iterator of batches raised on its way.
            if error.subject is None:
                error.operation, error.subject = "put", key
            raise
        tell_late(f"put {key}", wanted, reference.lossy)
        return reference

    def get(
        self,
        what: str | ResultReference,
        columns: Sequence[Any] | None = None,
        *,
        where: str | None = None,
        version: int | None = None,
        as_of: datetime | None = None,
        check: bool = False,
        allow_pickle: bool = False,
        type: Any = None,
        progress: bool | None = None,
    ) -> Any:
        """The result, as the kind that was put, checked.

        Args:
            what: ``KEY``, ``KEY@N``, or a reference.
            columns: Only these columns of a frame, in this order; a pandas frame keeps its index.
            where: Only the rows of a frame for which this holds; see `scan`.
            version: This version of the key instead of the newest.
            as_of: The version that was the newest then; a datetime with a zone.
            check: Also compares the content of an uncompressed Arrow file on a local disk, which belongs to this user
                and which nobody else may write to, with its checksums. All else is compared in any case.
            allow_pickle: Loads a pickle. **That runs code of whoever wrote it**: only for results that you trust.
            type: What pydantic makes of a JSON value, such as a model class or ``list[Model]``.
            progress: As in `Store`.

        Raises NotFoundError, GoneError with when and why, DamagedError, or what the storage fails with.
        """
        opened = self._open(what, version, as_of)
        if opened.kind == "table":
            if type is not None:
                raise InvalidInputError("type: it is for JSON values, and this result is a table", subject=_name(what))
            progress = self._progress if progress is None else progress
            return Scan(
                lambda: opened,
                _name(what),
                columns=columns,
                where=where,
                check=check,
                progress=progress,
                again=self._referred_to,
            ).frame()
        for argument, given in (("columns", columns), ("where", where)):
            if given is not None:
                raise InvalidInputError(f"{argument}: this result is no table", subject=_name(what))
        return reading.value(opened, allow_pickle=allow_pickle, type=type)

    def scan(
        self,
        what: str | ResultReference,
        columns: Sequence[Any] | None = None,
        *,
        where: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        tail: int | None = None,
        version: int | None = None,
        as_of: datetime | None = None,
        batch_rows: int | None = None,
        check: bool = False,
        progress: bool | None = None,
    ) -> Scan:
        """Some columns and rows of a table; nothing is read yet.

        `where` is a condition as SQL has it: comparisons of columns with literals (``= <> < <= > >=``, ``BETWEEN``,
        ``IN``, ``LIKE``, ``IS NULL``, ``IS TRUE``), put together with ``AND``, ``OR``, ``NOT`` and parentheses. Names
        that are no plain words stand in double quotes, text in single quotes; dates and times are text such as
        ``'2026-11-20T12:00Z'``, in UTC where the column has a time zone and they have none. A row is kept if the
        condition is true: neither false nor unknown, as comparisons with null are. NaN is unequal to every number, and
        neither less nor greater. Row groups that cannot hold such rows are not read.

        >>> import coldframe, polars
        >>> store = coldframe.Store("memory://")
        >>> reference = store.put("etl/trips", polars.DataFrame({"fare": [12.5, 7.0, None], "tip": [1, 0, 2]}))
        >>> store.scan("etl/trips", ["tip"], where="fare > 10 OR fare IS NULL").to_polars()["tip"].to_list()
        [1, 2]

        Args:
            what: ``KEY``, ``KEY@N``, or a reference.
            columns: Only these columns, in this order.
            where: Only the rows for which this condition holds; its columns need not be among `columns`.
            limit: At most so many rows, of those that `where` keeps.
            offset: Leaves out so many rows first, of those that `where` keeps.
            tail: Only the last so many rows, of those that `where` keeps.
            version: This version of the key instead of the newest.
            as_of: The version that was the newest then; a datetime with a zone.
            batch_rows: At most so many rows a batch.
            check: As in `get`.
            progress: As in `Store`.
        """
        _check_what(what)
        return Scan(
            lambda: self._open(what, version, as_of),
            _name(what),
            columns=columns,
            where=where,
            limit=limit,
            offset=offset,
            tail=tail,
            batch_rows=batch_rows,
            check=check,
            progress=self._progress if progress is None else progress,
            again=self._referred_to,
        )

    def _referred_to(self, opened: _coldframe.Opened) -> ResultReference:
        return ResultReference(opened.reference, self)

    def list(self, prefix: str = "", *, search: str | None = None) -> Listing:
        """The newest version of each key that begins with `prefix`, in the order of the keys.

        References are fetched in pages as they are taken.

        Args:
            prefix: How the keys begin.
            search: Only results whose key, title, description or metadata hold this text, in whatever case.
        """
        check_required_text("prefix", prefix)
        check_text("search", search)
        return Listing(self, prefix, search)

    def versions(self, key: str) -> Versions:
        """Every version of a key, the newest first, deleted ones too."""
        check_required_text("key", key)
        name, named = _split(key)
        if named is not None:
            hint = f"store.versions({name!r}); or store.reference({key!r}) for that version alone"
            raise InvalidInputError(f"key: {key} names version {named}, and versions are those of a key", hint=hint)
        return Versions(key, self._native.versions(key), self)

    def show(self, what: str | ResultReference, *, version: int | None = None) -> Card:
        """What is known of a result, without reading its data: it draws itself, and prints as text."""
        if isinstance(what, ResultReference) and version is None:
            return Card(what if what._store is self else ResultReference(what._native, self))
        return Card(ResultReference(self._open(what, version).reference, self))

    def reference(self, what: str | ResultReference, *, version: int | None = None) -> ResultReference:
        """The full reference of a result."""
        return ResultReference(self._open(what, version).reference, self)

    def delete(
        self, key: str, *, version: int | None = None, reason: str | None = None, force: bool = False
    ) -> builtins.list[int]:
        """Deletes all versions of a key, or one of them; returns the numbers of those that are gone by it.

        Args:
            key: ``KEY`` or ``KEY@N``.
            version: Only this version.
            reason: Why, for whoever looks for it later.
            force: Tagged versions too.
        """
        check_required_text("key", key, "delete(reference.key, version=reference.version)")
        check_number("version", version, 1)
        check_text("reason", reason)
        check_flag("force", force)
        name, named = _split(key)
        if named is not None:
            if version is not None and version != named:
                raise InvalidInputError(
                    f"key: {key} names another version than version={version}",
                    hint=f"say it once: {key!r} alone, or {name!r} with version={version}",
                )
            key, version = name, named
        return self._native.delete(key, version, force, reason)

    def exists(self, what: str | ResultReference) -> bool:
        """Whether there is such a version that is neither deleted nor expired."""
        return self._native.exists(_native(what))

    def verify(self, prefix: str = "", *, contents: bool = False, progress: bool | None = None) -> Verification:
        """Reads every version of the keys that begin with `prefix`, and compares it with what was written.

        With `contents=True` each table and JSON value that has a fingerprint is decoded as well, and compared with it.
        """
        check_required_text("prefix", prefix)
        check_flag("contents", contents)
        progress = self._progress if progress is None else progress
        with Progress(f"verify {prefix}".strip(), None, progress) as shown:
            return Verification(*self._native.verify(prefix, contents, shown))

    def copy(
        self, what: str | ResultReference, to: Store, *, key: str | None = None, progress: bool | None = None
    ) -> ResultReference:
        """Copies a version to another store as the next version of its key there; a copy that is there is kept.

        The same bytes are written, each of them checked on the way.
        """
        if not isinstance(to, Store):
            raise WrongTypeError(f"to: a Store is expected, and this is a {type(to).__qualname__}")
        check_text("key", key)
        progress = self._progress if progress is None else progress
        with Progress(f"copy {_name(what)}", None, progress) as shown:
            copied, _ = self._native.copy(_native(what), to._native, key, shown)
        return ResultReference(copied, to)

    def _open(
        self, what: str | ResultReference, version: int | None = None, as_of: datetime | None = None
    ) -> _coldframe.Opened:
        _check_what(what)
        if version is not None:
            if not isinstance(what, str) or as_of is not None:
                raise InvalidInputError("version: it belongs to a key alone, without as_of")
            check_number("version", version, 1)
            key, named = _split(what)
            if named is not None:
                raise InvalidInputError(
                    f"key: {what} names a version, and version={version} was given as well",
                    hint=f"say it once: {what!r} alone, or {key!r} with version={version}",
                )
            what = f"{what}@{version}"
        moment = None
        if as_of is not None:
            if not isinstance(what, str):
                raise InvalidInputError("as_of: it belongs to a key; a reference is of one version")
            if not isinstance(as_of, datetime) or as_of.tzinfo is None:
                raise InvalidInputError(
                    f"as_of: {as_of!r} is no datetime with a zone", hint="datetime.now(timezone.utc)"
                )
            moment = as_of.isoformat()
        try:
            return self._native.open(_native(what), moment)
        except NotFoundError as error:
            if type(error) is NotFoundError and isinstance(what, str):
                error.hint = self._nearest(what) or error.hint
            raise

    def _nearest(self, what: str) -> str | None:
        """What was probably meant by a key that is not there."""
        key, at, digits = what.rpartition("@")
        name = key if at and digits.isdigit() else what
        try:
            similar = self._native.similar_keys(name)
        # The error that is on its way says more than one of this search.
        except ColdframeError:
            return None
        if name in similar:
            return f"store.versions({name!r}) shows the versions that there are"
        if similar:
            return f"did you mean {' or '.join(f'`{near}`' for near in similar)}?"
        return "store.list() shows the keys"

    def _pickled_location(self) -> str | None:
        """By what another process opens it: its profile, so that its options count there, or else its URL."""
        return self._native.profile or self.url

    def __reduce__(self) -> tuple[Any, ...]:
        if (self.url or "").startswith("memory:"):
            raise UnsupportedError(
                "a store in memory belongs to the process that opened it, and cannot be pickled", hint="use a folder"
            )
        # Options may hold secrets, which never travel: whoever unpickles it brings their own.
        return _unpickled, (self._pickled_location(), self._durable, self._memory, self._cache, self._progress)

    def __repr__(self) -> str:
        from coldframe import card

        return card.store_text({"url": self.url, "durable": self._durable})

    def _repr_html_(self) -> str:
        from coldframe import card

        return card.store_html({"url": self.url, "durable": self._durable})


def _unpickled(
    location: str | None, durable: bool, memory: int | None, cache: bool | None, progress: bool | None
) -> Store:
    return Store(location, durable, memory=memory, cache=cache, progress=progress)


class _Settings:
    """How the native part opens a store."""

    __slots__ = ("cache", "durable", "location", "memory", "options")

    def __init__(
        self,
        location: str | None,
        options: Mapping[str, str | int | bool],
        durable: bool,
        memory: int | None,
        cache: bool | None,
    ) -> None:
        self.location = location
        self.options = {name: _option(name, value) for name, value in options.items()}
        self.durable = bool(durable)
        self.memory = memory
        self.cache = cache


def _option(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    # The value may be a secret: it is not repeated.
    raise WrongTypeError(f"option {name}: text is expected, and this is a {type(value).__qualname__}")


def _check_what(what: object) -> None:
    if not isinstance(what, (str, ResultReference)):
        raise WrongTypeError(f"a key or a reference is expected, and this is a {type(what).__qualname__}")


def _split(what: str) -> tuple[str, int | None]:
    """``KEY@N`` taken apart; None where no version is named."""
    key, at, digits = what.rpartition("@")
    return (key, int(digits)) if at and digits.isascii() and digits.isdigit() else (what, None)


def _native(what: str | ResultReference) -> str | _coldframe.Reference:
    _check_what(what)
    return what._native if isinstance(what, ResultReference) else what


def _name(what: str | ResultReference) -> str:
    return str(what)
