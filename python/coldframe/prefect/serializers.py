"""The serializers that Prefect is given: `ColdframeSerializer`, `ParquetSerializer`, `ArrowSerializer`."""

from __future__ import annotations

import abc
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

from prefect.serializers import Serializer
from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from typing_extensions import Self

from coldframe import _coldframe, inline, pickling, serializers
from coldframe.errors import ColdframeError, InvalidInputError, LossyError, NotFoundError, UnsupportedError
from coldframe.prefect import envelope, keeping, recognition, run, storage, transactions
from coldframe.prefect.keeping import Keeping, Settings, logger
from coldframe.prefect.stored_batches import LostBatches, StoredBatches
from coldframe.putting import losses_told_to
from coldframe.reference import ResultReference

_collected: ContextVar[list[ResultReference] | None] = ContextVar("coldframe_collected_references", default=None)


class NotPersistedError(BaseException):
    """A value was not persisted, and the serializer is strict.

    Prefect catches every `Exception` of a serializer and goes on; this ends the run. It is raised from the error that
    says why.
    """


@contextmanager
def as_references() -> Iterator[list[ResultReference]]:
    """Within it, results are read with references in the place of frames; all of them are in the list that it gives.

    Tasks that are called within it are given their frames as ever.

    ::

        with coldframe.prefect.as_references() as references:
            value = state.result()
    """
    found: list[ResultReference] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


class _FrameSerializer(Serializer, abc.ABC):
    """What the three have in common."""

    # An error would repeat what was given, and in a `store` that may be a secret.
    model_config = ConfigDict(hide_input_in_errors=True)

    strict: bool = Field(
        default=False,
        description="Ends the run where a result cannot be persisted whole, by `NotPersistedError`. Otherwise Prefect "
        "logs it, and goes on.",
    )
    pickle: bool = Field(
        default=True,
        description="Whether what is no JSON and no frame is pickled, as by Prefect's own default. Whoever reads it "
        "unpickles it.",
    )

    @model_serializer(mode="wrap")
    def _chosen(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Prefect keeps the settings with every result, and refuses those that it does not know: what was not chosen is
        # left out, so that older readers take what newer writers wrote.
        fields = type(self).model_fields
        return {
            name: setting
            for name, setting in handler(self).items()
            if name == "type" or setting != fields[name].get_default(call_default_factory=True)
        }

    def dumps(self, obj: Any) -> bytes:
        """The record of a value."""
        of = run.current(obj)
        try:
            parted = envelope.part(obj, allow_pickle=self.pickle)
            keeping.refuse_late(parted, of)
        except Exception as error:
            self._fail(obj, of, error)
            raise
        begun: list[Any] = []
        try:
            text, stored = self._kept(parted, of, begun)
        except Exception as error:
            why = str(error)
            lost = [frame for frame in begun if recognition.is_one_shot(frame)]
            self._hand_on(obj, of, parted, lost, lambda _: LostBatches(why))
            self._fail(obj, of, error)
            raise
        replaced = [frame for frame in begun if recognition.is_one_shot(frame)]
        if parted.pickle is None:
            # Computed again, they might give other rows than are stored; but that is not worth a copy of objects.
            replaced += [frame for frame in begun if recognition.is_plan(frame)]
        try:
            self._hand_on(obj, of, parted, replaced, stored)
        # The record is complete; what fails now is to read it, or to make the objects of the value again.
        except Exception as error:
            name = type(obj).__name__
            logger().error("a %s was persisted, and its frames cannot be handed on as stored: %s", name, error)
        return text

    def _fail(self, value: Any, of: run.Run, error: Exception) -> None:
        name = type(value).__name__
        # Of a run that failed already, the error is what people are to see.
        if not self.strict or isinstance(value, BaseException):
            logger().error("a %s was not persisted, and the run goes on without: %s", name, error)
            return
        logger().error("a %s was not persisted, and the run is ended: %s", name, error)
        try:
            for left in transactions.give_up(of.holder):
                logger().error("of what is rolled back: %s", left)
        # The run is ended in any case.
        except Exception as failure:
            logger().error("the transaction could not be rolled back: %s", failure)
        raise NotPersistedError(f"a {name} was not persisted: {error}") from error

    def loads(self, blob: bytes) -> Any:
        """The value of a record.

        Raises NotFoundError where a frame of it is gone: inside a run, Prefect takes that for a miss and runs again.
        """
        try:
            parted, frames, block = envelope.read(blob)
            if parted.pickle is not None and not self.pickle:
                raise keeping.pickle_denied("value")
            return parted.joined(lambda number: self._frame(envelope.entry_at(frames, number), block))
        except NotFoundError as error:
            keeping.tell_once(f"a persisted result is not there: {error}")
            raise
        except ColdframeError as error:
            keeping.tell_once(f"a persisted result cannot be read: {error}")
            raise

    def _hand_on(
        self, value: Any, of: run.Run, parted: envelope.Parted, replaced: list[Any], instead: Callable[[int], Any]
    ) -> None:
        """Those downstream get something else for the frames of the value that are `replaced`."""
        if not replaced:
            return
        identities = {id(frame) for frame in replaced}

        def give(number: int) -> Any:
            frame = parted.places[number].frame
            return instead(number) if id(frame) in identities else frame

        if transactions.hand_on(of.holder, value, parted.joined(give)):
            return
        if any(recognition.is_one_shot(frame) for frame in replaced):
            logger().warning(
                "a reader was read to be stored, and whoever has the %s that was returned has an empty one: Prefect "
                "gives no way to replace what a flow returns; return `coldframe.prefect.put(reader)`, or the handle "
                "of a task",
                type(value).__name__,
            )

    @abc.abstractmethod
    def _kept(self, parted: envelope.Parted, of: run.Run, begun: list[Any]) -> tuple[bytes, Callable[[int], Any]]:
        """The record, and what gives each frame as it is stored; `begun` gets those that were read."""

    @abc.abstractmethod
    def _frame(self, entry: keeping.Entry, block: str | None) -> Any:
        """The frame that an entry of a record stands for."""


class ColdframeSerializer(_FrameSerializer):
    """Streams the frames of a value into a store, and leaves references in Prefect's record.

    Frames may be at any depth: in dicts, lists, tuples, dataclasses, models. The rest of the value becomes JSON if it
    comes back equal from it, and a pickle if it does not.

    ::

        @task(persist_result=True, result_serializer=ColdframeSerializer())
        def create(): ...

    Without `store`, frames land where `COLDFRAME_STORE` says, or else in the folder ``coldframe/`` beside Prefect's
    results.
    """

    type: Literal["coldframe"] = Field(default="coldframe", frozen=True)

    store: str | None = Field(
        default=None,
        description="A URL, an absolute path, or the name of a profile. No credentials: it is kept with every result.",
    )
    serializer: str | dict[str, Any] | None = Field(
        default=None,
        description='What frames are written by, such as "parquet/zstd(3)" or "arrow"; "parquet" where absent.',
    )

    @field_validator("store", mode="before")
    @classmethod
    def _check_store(cls, store: Any) -> Any:
        return storage.check_location(os.fspath(store)) if isinstance(store, (str, os.PathLike)) else store

    @field_validator("serializer", mode="before")
    @classmethod
    def _check_serializer(cls, serializer: Any) -> Any:
        return _table_serializer(serializer)

    @property
    def settings(self) -> Settings:
        """How frames are kept."""
        return Settings(self.store, self.serializer, self.strict, self.pickle)

    def _kept(self, parted: envelope.Parted, of: run.Run, begun: list[Any]) -> tuple[bytes, Callable[[int], Any]]:
        kept = Keeping(self.settings, of)
        frames = kept.keep(parted, begun)
        try:
            text = parted.text(frames, kept.block)
        except BaseException:
            kept.undo()
            raise
        return text, lambda number: kept.as_stored(parted.places[number].frame)

    def _frame(self, entry: keeping.Entry, block: str | None) -> Any:
        return _given(entry, self.settings, block)


class _InlineSerializer(_FrameSerializer, abc.ABC):
    """Keeps the bytes of frames in the record itself."""

    @abc.abstractmethod
    def _format(self) -> Any:
        """By what frames are written."""

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        _table_serializer(self._format())
        return self

    def _kept(self, parted: envelope.Parted, of: run.Run, begun: list[Any]) -> tuple[bytes, Callable[[int], Any]]:
        entries: dict[int, keeping.Entry] = {}
        for number in keeping.readers_last(parted.places):
            begun.append(parted.places[number].frame)
            entries[number] = self._encoded(parted.places[number])
        text = parted.text([entries[number] for number in sorted(entries)])
        return text, lambda number: self._frame(entries[number], None)

    def _encoded(self, place: envelope.Place) -> keeping.Entry:
        stored = recognition.handle(place.frame)
        if stored is not None:
            return keeping.stored_entry(*stored)
        if self.pickle and recognition.is_of_subclass(place.frame):
            return _pickled_entry(place.frame)
        try:
            with losses_told_to(logger().warning):
                encoded = inline.encode(place.frame, self._format(), strict=self.strict)
            if encoded is None:
                raise UnsupportedError(f"a {type(place.frame).__name__} gives no table")
        except LossyError:
            raise
        except (UnsupportedError, InvalidInputError) as error:
            keeping.check_pickle(place.frame, error, self.pickle)
            with keeping.as_told_of(error, place.frame):
                return _pickled_entry(place.frame)
        entry = envelope.inline_entry(encoded.data, encoded.reference)
        is_batches = recognition.is_one_shot(place.frame) or isinstance(place.frame, StoredBatches)
        return {**entry, "is": "batches"} if is_batches else entry

    def _frame(self, entry: keeping.Entry, block: str | None) -> Any:
        if "bytes" not in entry:
            return _given(entry, Settings(pickle=self.pickle), block)
        kind = entry.get("is")
        if kind == "batches":
            return _inline_batches(entry)
        data, description = envelope.bytes_in(entry), envelope.reference_in(entry)
        if kind == "pickle":
            if not self.pickle:
                raise keeping.pickle_denied("frame")
            return pickling.loads(data, description, allow_pickle=True)
        return inline.decode(data, description)


class ParquetSerializer(_InlineSerializer):
    """Keeps frames as Parquet files inside Prefect's records; the rest of a value as `ColdframeSerializer` does.

    For small tables: a record is read whole whenever Prefect looks whether it is there.
    """

    type: Literal["parquet"] = Field(default="parquet", frozen=True)

    compression: str = Field(default="auto", description='"auto", "none", "snappy", "lz4", "zstd" or "gzip".')
    level: int | None = Field(default=None, description="Of `zstd` and `gzip`.")
    preset: str = Field(default="default", description='"fast", "default" or "small".')

    def _format(self) -> Any:
        return serializers.Parquet(compression=self.compression, level=self.level, preset=self.preset)


class ArrowSerializer(_InlineSerializer):
    """Keeps frames as Arrow files inside Prefect's records; the rest of a value as `ColdframeSerializer` does.

    For small tables: a record is read whole whenever Prefect looks whether it is there.
    """

    type: Literal["arrow"] = Field(default="arrow", frozen=True)

    compression: str = Field(default="none", description='"none", "lz4" or "zstd".')
    level: int | None = Field(default=None, description="Of `zstd`.")

    def _format(self) -> Any:
        return serializers.Arrow(compression=self.compression, level=self.level)


def _given(entry: keeping.Entry, settings: Settings, block: str | None) -> Any:
    """The frame that an entry refers to, or its reference where references are asked for."""
    collected = _collected.get()
    # What Prefect reads for a cache hit, it hands on and keeps.
    if collected is None or transactions.is_read_again() is not None:
        return keeping.give(entry, settings, block)
    reference = keeping.reference(entry, settings, block)
    collected.append(reference)
    return reference


def _pickled_entry(frame: Any) -> keeping.Entry:
    pickled = pickling.dumps(frame, "cloudpickle")
    return {**envelope.inline_entry(pickled, pickling.describe("cloudpickle")), "is": "pickle"}


def _inline_batches(entry: keeping.Entry) -> StoredBatches:
    return StoredBatches(inline.Encoded(envelope.bytes_in(entry), envelope.reference_in(entry)))


def _table_serializer(serializer: Any) -> Any:
    """A serializer of tables as it is kept in JSON: a short form or a descriptor."""
    if serializer is None:
        return None
    choice = serializers.resolve(serializer)
    if not isinstance(choice, serializers.CoreChoice) or choice.holds not in ("parquet", "arrow"):
        raise InvalidInputError(
            "serializer: frames are written as tables, and this one holds none",
            hint='such as "parquet/zstd(3)" or "arrow"',
        )
    try:
        _coldframe.check_serializer(choice.text)
    except ColdframeError as error:
        raise InvalidInputError(f"serializer: {error.message}", hint=error.hint) from None
    return json.loads(choice.text) if choice.text.startswith("{") else choice.text
