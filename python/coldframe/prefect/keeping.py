"""Frames on their way into a store, and out of it: what a record of the serializer `coldframe` refers to."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

from coldframe.errors import ColdframeError, InvalidInputError, LossyError, PickleDeniedError, UnsupportedError
from coldframe.prefect import memory, recognition, run, storage
from coldframe.prefect.envelope import Parted, Place, reference_in
from coldframe.prefect.stored_batches import StoredBatches
from coldframe.putting import losses_told_to
from coldframe.reference import ResultReference
from coldframe.serializers import Pickle
from coldframe.store import Store

Entry = dict[str, Any]
_LONGER = timedelta(hours=1)
"""How long frames outlive their record: whoever was given a handle just before it expired still reads."""
_told: deque[tuple[str | None, str]] = deque(maxlen=64)


def logger() -> Any:
    """The logger of the run that we are in, whose lines Prefect shows beside the run, or one of our own."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("coldframe")


def tell_once(text: str) -> None:
    """Warns that a result cannot be read, once a run: Prefect tries ten times before it gives a state's result up."""
    of = run.current()
    told = (of.task_run_id or of.flow_run_id, text)
    if told not in _told:
        _told.append(told)
        logger().warning("%s", text)


@dataclass(frozen=True)
class Settings:
    """How frames are kept."""

    location: str | None = None
    """The store; None for `COLDFRAME_STORE` or beside Prefect's results."""
    serializer: Any = None
    """What frames are written by; None for the store's default."""
    strict: bool = False
    """Whether a loss is an error."""
    pickle: bool = True
    """Whether what has no other form may be pickled."""


class Keeping:
    """Puts the frames of one value. What was put is deleted again if not all of it could be."""

    def __init__(self, settings: Settings, of: run.Run) -> None:
        self._settings = settings
        self._run = of
        self._landing: storage.Landing | None = None
        #: What was put, by the identity of the frame, which the value keeps alive.
        self._put: dict[int, ResultReference] = {}
        self._keys: set[str] = set()

    @property
    def block(self) -> str | None:
        """The saved block whose credentials open the store, if anything was put that needs one."""
        return self._landing.block if self._landing is not None else None

    def keep(self, parted: Parted, begun: list[Any]) -> list[Entry]:
        """What stands for each frame in the record; `begun` gets each before it is read."""
        entries: dict[int, Entry] = {}
        try:
            for number in readers_last(parted.places):
                begun.append(parted.places[number].frame)
                entries[number] = self._keep(parted.places[number])
        except BaseException:
            self.undo()
            raise
        return [entries[number] for number in sorted(entries)]

    def as_stored(self, frame: Any) -> Any:
        """What those downstream are given for a reader or a plan that was put just now. It asks no storage for that."""
        reference = self._put[id(frame)]
        return StoredBatches(reference) if recognition.is_one_shot(frame) else reference.get(progress=False)

    def undo(self) -> None:
        """Deletes what was put."""
        for reference in self._put.values():
            try:
                reference.store.delete(
                    reference.key, version=reference.version, reason="the value that it was part of was not kept"
                )
            # The error that is on its way matters more.
            except ColdframeError as error:
                logger().warning("%s stays behind, without a record that names it: %s", reference, error)
        self._put.clear()

    def _keep(self, place: Place) -> Entry:
        stored = recognition.handle(place.frame)
        if stored is not None:
            self._find_block(stored[1])
            return stored_entry(*stored)
        store, key = self._store(), self._unused(self._run.key(*place.path))
        if self._settings.pickle and recognition.is_of_subclass(place.frame):
            return self._pickled(store, key, place)
        try:
            reference = self._put_into(store, key, place, self._settings.serializer)
        # A strict put that would lose something: it is to be told, and no way found around it.
        except LossyError:
            raise
        except (UnsupportedError, InvalidInputError) as error:
            if self._settings.serializer is None:
                # Where a setting is wrong, the frame is not at fault.
                store._native.check_serializer()
            check_pickle(place.frame, error, self._settings.pickle)
            return self._pickled(store, key, place, error)
        entry = {"reference": _compact(reference)}
        return {**entry, "is": "batches"} if recognition.is_one_shot(place.frame) else entry

    def _pickled(self, store: Store, key: str, place: Place, instead_of: ColdframeError | None = None) -> Entry:
        with as_told_of(instead_of, place.frame):
            reference = self._put_into(store, key, place, Pickle(lib="cloudpickle"))
        return {"reference": _compact(reference), "is": "pickle"}

    def put(self, place: Place) -> ResultReference:
        """Puts one frame that no record names."""
        return self._put_into(self._store(), self._run.key(*place.path), place, self._settings.serializer)

    def _find_block(self, stored: ResultReference) -> None:
        """Who reads what is stored already needs the block as well, where it lies beside the results."""
        if (stored.storage or "").startswith("file:"):
            return
        # Where it lies elsewhere, there may be no such store at all.
        with suppress(ColdframeError):
            self._store()

    def _store(self) -> Store:
        if self._landing is None:
            self._landing = storage.landing(self._settings.location, self._run.result_storage)
            storage.warn_if_apart(self._landing, self._run.result_storage)
        return self._landing.store

    def _put_into(self, store: Store, key: str, place: Place, serializer: Any) -> ResultReference:
        with losses_told_to(logger().warning):
            reference = store.put(
                key,
                place.frame,
                serializer=serializer,
                strict=self._settings.strict,
                expires=_expiry(self._run.expires),
                title=self._run.title(),
                metadata={"prefect": self._run.metadata()},
                progress=False,
            )
        self._put[id(place.frame)] = reference
        logger().debug("%s: %s rows, %s bytes, in %s", reference, reference.rows, reference.size, reference.storage)
        return reference

    def _unused(self, key: str) -> str:
        """A key of its own for each frame of the value: names that are cut may be the same."""
        numbered, number = key, 1
        while numbered in self._keys:
            number += 1
            numbered = f"{key}-{number}"
        self._keys.add(numbered)
        return numbered


def readers_last(places: Sequence[Place]) -> list[int]:
    """The numbers of places in an order in which what can be read only once comes when all else has succeeded."""
    return sorted(range(len(places)), key=lambda number: recognition.is_one_shot(places[number].frame))


def refuse_late(parted: Parted, of: run.Run) -> None:
    """Raises UnsupportedError for what others may have read, at least in part, before it could be stored."""
    for place in parted.places if of.delayed else ():
        if recognition.is_one_shot(place.frame):
            raise UnsupportedError(
                f"a {type(place.frame).__name__} was returned inside a transaction, which is committed only now: "
                "others may have read it meanwhile, and what is left of it would be stored",
                hint="return `coldframe.prefect.put(reader)` instead, or a table",
            )


def check_pickle(frame: Any, error: ColdframeError, allowed: bool) -> None:
    """Raises `error`, why a frame is no table for a file, where a pickle is not allowed, or would lose its rows."""
    if allowed and not recognition.is_lazy(frame):
        return
    if not recognition.is_lazy(frame):
        # From here, nobody calls a put.
        hint = (error.hint or "").replace('serializer="pickle"', "ColdframeSerializer(pickle=True)")
        error.hint = hint or "allow pickles: ColdframeSerializer(pickle=True)"
    raise error


@contextmanager
def as_told_of(error: ColdframeError | None, frame: Any) -> Iterator[None]:
    """Says that a frame is kept as a pickle because of `error`, once it is; raises that where it cannot be either."""
    try:
        yield
    except UnsupportedError as failure:
        if error is None:
            raise
        # It names the column, and the other what lies inside of Python's objects.
        raise error from failure
    if error is not None:
        logger().warning(
            "a %s cannot be stored as a table (%s), and is kept as a pickle, which only Python reads",
            type(frame).__name__,
            error.message,
        )


def pickle_denied(what: str) -> PickleDeniedError:
    """The error for a pickle that this serializer was told not to load."""
    return PickleDeniedError(
        f"the {what} is a pickle, and loading one runs code that its writer chose",
        hint="ColdframeSerializer(pickle=True), if you trust whoever can write to Prefect's results",
    )


def put(value: Any, settings: Settings, name: str | None = None) -> ResultReference:
    """Puts a frame where those of the current run land."""
    return Keeping(settings, run.current()).put(Place(value, () if name is None else (name,)))


def give(entry: Mapping[str, Any], settings: Settings, block: str | None) -> Any:
    """The frame that an entry refers to, as the kind that was returned.

    Raises NotFoundError, GoneError or DamagedError if it is not there any more, also where its rows are not read yet.
    """
    bare = ResultReference.from_json(json.dumps(reference_in(entry)))
    kind = entry.get("is")
    name = memory.Name(kind, bare.key, bare.version, bare._native.write)
    if (frame := memory.take(name)) is not memory.ABSENT:
        return frame
    found = reference(entry, settings, block)
    if kind == "reference":
        frame = found
    elif kind == "batches":
        frame = StoredBatches(found)
    else:
        if kind == "pickle" and not settings.pickle:
            raise pickle_denied("frame")
        frame = found.get(allow_pickle=kind == "pickle", progress=False)
    if recognition.handle(frame) is not None or recognition.is_lazy(frame):
        _check_data(found)
    memory.keep(name, frame)
    return frame


def _check_data(reference: ResultReference) -> None:
    """Raises DamagedError where the rows of a table are not there, though its reference is. Reads none of them."""
    if reference.rows is not None:
        reference.scan([], limit=1, progress=False)._collect()


def reference(entry: Mapping[str, Any], settings: Settings, block: str | None) -> ResultReference:
    """The full reference of an entry, bound to the store that it is read from. Raises as `give`."""
    bare = ResultReference.from_json(json.dumps(reference_in(entry)))
    store = storage.store_of(bare, settings.location, run.current().result_storage, block)
    return store.reference(bare)


def stored_entry(kind: str, reference: ResultReference) -> Entry:
    """What stands in a record for what is stored already."""
    return {"reference": _compact(reference), "is": kind}


def _compact(reference: ResultReference) -> dict[str, Any]:
    if (reference.storage or "memory:").startswith("memory:"):
        raise UnsupportedError(
            f"{reference} lies in the memory of this process, and a record of it would outlive it",
            hint="put it into a folder or an object store",
        )
    found: dict[str, Any] = json.loads(reference.compact().json())
    return found


def _expiry(of_record: datetime | None) -> datetime | None:
    """When a frame expires: after its record, by which Prefect tells whether it is a hit."""
    return None if of_record is None else max(of_record, datetime.now(timezone.utc)) + _LONGER


__all__ = [
    "Entry",
    "Keeping",
    "Settings",
    "as_told_of",
    "check_pickle",
    "give",
    "logger",
    "pickle_denied",
    "put",
    "readers_last",
    "reference",
    "stored_entry",
    "tell_once",
]
