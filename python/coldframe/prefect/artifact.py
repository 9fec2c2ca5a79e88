"""The card of a result in Prefect's UI, as a markdown artifact of the run that publishes it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from coldframe import drawing, frames, wording
from coldframe.arguments import check_text
from coldframe.card import markdown
from coldframe.errors import ColdframeError, InvalidInputError, WrongTypeError
from coldframe.reference import ResultReference

if TYPE_CHECKING:
    from types import ModuleType

_ALLOWED = re.compile(r"[a-z0-9-]+")
_LONGEST = 80


def publish(reference: ResultReference, *, key: str | None = None, description: str | None = None) -> UUID:
    """Puts the card of a result into Prefect's UI, and returns the id of the artifact.

    Inside a task or flow it belongs to that run. `key` is by default `artifact_key(reference.key)`, so that the
    versions of one result are the history of one artifact. `description` is markdown, and by default the result's
    title, or its key and version.

    The card says what is known now, without reading the data: sizes, columns with their least and greatest values,
    where the files lie, and code that reads them. It stays in the UI when the result has expired or is deleted.

    It waits for the storage and for Prefect's server, in a running event loop as well; `apublish` does not block one.
    Outside of runs Prefect warns that it will refuse artifacts there some day.

    Raises WrongTypeError for what is no ResultReference, InvalidInputError for a key that Prefect does not take.
    """
    key = _checked_key(reference, key, description)
    create: Any = _artifacts().create_markdown_artifact
    from prefect.context import SyncClientContext

    drawn, description = _drawn(reference, description)
    # Where there is no client yet, as in asynchronous runs, Prefect makes one here, and would leave it open.
    with SyncClientContext.get_or_create():
        # Without `_sync`, Prefect guesses from the surroundings, and returns a coroutine where a loop runs.
        identity: UUID = create(drawn, key=key, description=description, _sync=True)
    return identity


async def apublish(reference: ResultReference, *, key: str | None = None, description: str | None = None) -> UUID:
    """Puts the card of a result into Prefect's UI as `publish` does, and lets the event loop run meanwhile."""
    key = _checked_key(reference, key, description)
    create = _artifacts().acreate_markdown_artifact
    drawn, description = await asyncio.to_thread(_drawn, reference, description)
    identity: UUID = await create(drawn, key=key, description=description)
    return identity


def artifact_key(key: str) -> str:
    """The key of a result as Prefect takes it: lowercase letters, digits and dashes.

    If something has to be changed for that, digits that follow from the whole key keep it apart from similar ones.

    >>> artifact_key("trips")
    'trips'
    >>> artifact_key("etl/trips"), artifact_key("etl_trips")
    ('etl-trips-26441635', 'etl-trips-e7863272')
    """
    plain = re.sub("[^a-z0-9]+", "-", key.lower())[:_LONGEST].strip("-")
    if plain == key:
        return key
    digits = hashlib.sha256(key.encode()).hexdigest()[:8]
    return f"{plain or 'result'}-{digits}"


def _checked_key(reference: object, key: object, description: object) -> str:
    if not isinstance(reference, ResultReference):
        raise WrongTypeError(
            f"reference: a ResultReference is expected, and this is a {wording.class_name(type(reference))}",
            hint="put the value into a store, and publish what the put returns",
            operation="publish",
        )
    check_text("key", key)
    check_text("description", description)
    if key is None:
        return artifact_key(reference.key)
    if not isinstance(key, str) or not _ALLOWED.fullmatch(key):
        raise InvalidInputError(
            f"key: Prefect takes lowercase letters, digits and dashes, and this is {wording.show(key)}",
            hint=f"write {artifact_key(reference.key)!r}, or leave it out, which means the same",
            operation="publish",
            subject=str(reference),
        )
    return key


def _drawn(reference: ResultReference, description: str | None) -> tuple[str, str]:
    """The card, and the description beside it."""
    drawn = drawing.reference_markdown(reference)
    if description is not None:
        return drawn, description
    try:
        title = reference.title
    # A compact one has its title on the storage; the card says already why that cannot be read.
    except ColdframeError:
        title = None
    # The UI draws descriptions as markdown, and a title is none.
    return drawn, markdown.inert(title or str(reference))


def _artifacts() -> ModuleType:
    """Prefect's module for artifacts, which takes long to import."""
    frames.require("prefect", "to publish a result in its UI")
    from prefect import artifacts

    return artifacts
