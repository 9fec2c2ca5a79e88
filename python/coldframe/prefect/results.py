"""What lies behind a state, and putting a frame by hand where those of the run land."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.futures import PrefectFuture
from prefect.results import ResultRecord, ResultRecordMetadata  # type: ignore[attr-defined]
from prefect.serializers import UnknownSerializer

from coldframe.errors import InvalidInputError, MissingSerializerError, NotFoundError, WrongTypeError
from coldframe.prefect import keeping
from coldframe.prefect.serializers import ColdframeSerializer, as_references
from coldframe.reference import ResultReference


def put(value: Any, name: str | None = None, *, serializer: ColdframeSerializer | None = None) -> ResultReference:
    """Puts a frame where those of the current run land, and returns the reference to it.

    A task that returns the reference, or hands it on at once, keeps no frame in memory; a reader of batches is read
    once, and those downstream read what is stored. `name` is the end of the key: give one where a run puts several.
    `serializer` says how; where absent, it is that of the run, if it is coldframe's.

    Raises what a put raises.
    """
    chosen = serializer or _of_run() or ColdframeSerializer()
    if not isinstance(chosen, ColdframeSerializer):
        raise WrongTypeError(
            f"serializer: a ColdframeSerializer is expected, and this is a {type(chosen).__qualname__}"
        )
    return keeping.put(value, chosen.settings, name)


Result = State[Any] | PrefectFuture[Any]


def references(result: Result | Sequence[Result]) -> list[ResultReference]:
    """The references to all frames in a persisted result, without reading their rows.

    Takes the state of a run, a future, or several of them. In an async function, use `areferences`.

    Raises NotFoundError if the result was not persisted.
    """
    if isinstance(result, (list, tuple)):
        return [reference for one in result for reference in references(one)]
    if isinstance(result, PrefectFuture):
        result.wait()
    state: Any = _persisted(result)
    with as_references() as found:
        # Also where a loop is running, whose state would be given as a coroutine.
        state.result(_sync=True)
    return _each_once(found)


async def areferences(result: Result | Sequence[Result]) -> list[ResultReference]:
    """As `references`, for async functions."""
    if isinstance(result, (list, tuple)):
        return [reference for one in result for reference in await areferences(one)]
    if isinstance(result, PrefectFuture):
        # The task may need this loop.
        await asyncio.to_thread(result.wait)
    state = _persisted(result)
    with as_references() as found:
        await state.aresult()
    return _each_once(found)


def _each_once(found: list[ResultReference]) -> list[ResultReference]:
    # Prefect reads again where it fails, and what was read before that is in the list as well.
    return list(dict.fromkeys(found))


def _persisted(result: Any) -> State[Any]:
    """The state with what was persisted instead of what is in memory."""
    state = result.state if isinstance(result, PrefectFuture) else result
    if not isinstance(state, State):
        raise WrongTypeError(
            f"result: a state or a future is expected, and this is a {type(result).__qualname__}",
            hint="state = my_task(return_state=True), or future = my_task.submit()",
        )
    data = state.data
    if isinstance(data, ResultRecord):
        # Older ones do not know; then it is the reading that fails.
        if not getattr(data, "is_persisted", True):
            raise NotFoundError(
                "the result was not persisted, and so has no references",
                hint="@task(persist_result=True); within `with transaction()`, once that is over",
            )
        data = data.metadata
    if not isinstance(data, ResultRecordMetadata):
        raise InvalidInputError(
            f"the state {state.name} has no persisted result",
            hint="@task(persist_result=True) or @flow(persist_result=True)",
        )
    if isinstance(data.serializer, UnknownSerializer):
        raise MissingSerializerError(
            f"the state was read before the serializer `{data.serializer.type}` was known here",
            hint="import coldframe.prefect, and then read the state again",
        )
    return state.model_copy(update={"data": data})


def _of_run() -> ColdframeSerializer | None:
    """The serializer of the run that we are in, also where another one wraps it."""
    for context in (TaskRunContext.get(), FlowRunContext.get()):
        found: Any = context.result_store.serializer if context is not None else None
        while found is not None:
            if isinstance(found, ColdframeSerializer):
                return found
            found = getattr(found, "serializer", None)
    return None


__all__ = ["areferences", "put", "references"]
