"""What is known of the run that a value is of: names, ids, cache key, expiry, result storage.

Prefect hands a serializer the value and nothing else. The rest is in its run contexts, and where a transaction commits
later, in the transaction that holds the value.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from prefect.context import FlowRunContext, TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.results import ResultRecord  # type: ignore[attr-defined]
from prefect.transactions import BaseTransaction, Transaction, TransactionState, get_transaction
from prefect.utilities import engine as prefect_engine

_LONGEST_NAME = 48
_LONGEST_SEGMENT = 90
"""Bytes: eight of them make a key that every store takes."""
_MOST_SEGMENTS = 7
_LOGGER_OUTSIDE_OF_RUNS = "prefect.transactions"
_UNKNOWN = ("", "<unknown>", "None")


@dataclass(frozen=True)
class Run:
    """The run of a task or flow, as far as it is known."""

    flow: str | None = None
    flow_run: str | None = None
    flow_run_id: str | None = None
    task: str | None = None
    task_run: str | None = None
    task_run_id: str | None = None
    cache_key: str | None = None
    """The key of Prefect's record."""
    expires: datetime | None = None
    """When Prefect takes the record for expired."""
    result_storage: WritableFileSystem | None = None
    """Where Prefect keeps the record."""
    delayed: bool = False
    """Whether others could read the value since it was returned: an outer transaction commits it only now."""

    def key(self, *path: str | int) -> str:
        """The key of a frame: ``prefect/<flow>/<task>/<cache key or run>/<path in the value>``."""
        flow, task = self.flow or "no-flow", self.task or "flow-result"
        which = self.cache_key or self.task_run_id or self.flow_run_id or uuid.uuid4().hex
        names = ["prefect", flow, task, which, *map(str, path)]
        # What lies deeper is told apart by numbers, which whoever puts several adds.
        return "/".join(map(_segment, names[:_MOST_SEGMENTS]))

    def metadata(self) -> dict[str, str]:
        """What people search for, under Prefect's names."""
        known = {
            "flow_name": self.flow,
            "flow_run_name": self.flow_run,
            "flow_run_id": self.flow_run_id,
            "task_name": self.task,
            "task_run_name": self.task_run,
            "task_run_id": self.task_run_id,
            "cache_key": self.cache_key,
        }
        return {name: text[:512] for name, text in known.items() if text}

    def title(self) -> str | None:
        """One line for people."""
        name, what = (self.task_run, "task run") if self.task else (self.flow_run, "flow run")
        return f"Result of {what} {name}"[:200] if name else None


def current(value: Any = None) -> Run:
    """The run that returned `value`, or that we are in."""
    task, flow = _contexts()
    transaction, delayed = _holder(get_transaction(), value)
    names = _logged_names(transaction)
    expires: datetime | None = None
    storage = None
    if transaction is not None:
        record = _staged(transaction)
        expires = record.metadata.expiration if record is not None else None
        storage = getattr(transaction.store, "result_storage", None)
    elif task is not None and task.task.cache_expiration is not None:
        expires = datetime.now(timezone.utc) + task.task.cache_expiration
    for context in (task, flow):
        if storage is None and context is not None:
            storage = context.result_store.result_storage
    flow_run = flow.flow_run if flow is not None else None
    return Run(
        flow=names.get("flow_name") or (flow.flow.name if flow is not None and flow.flow is not None else None),
        flow_run=names.get("flow_run_name") or _text(getattr(flow_run, "name", None)),
        flow_run_id=names.get("flow_run_id") or _text(getattr(flow_run, "id", None)),
        task=names.get("task_name") or (task.task.name if task is not None else None),
        task_run=names.get("task_run_name") or (task.task_run.name if task is not None else None),
        task_run_id=names.get("task_run_id") or (_text(task.task_run.id) if task is not None else None),
        cache_key=transaction.key if transaction is not None else None,
        expires=expires,
        result_storage=storage,
        delayed=delayed,
    )


def hand_on(value: Any, instead: Any) -> bool:
    """Makes Prefect hand `instead` to everybody downstream of the run that returned `value`; False where it cannot be.

    Prefect hands on the object that a task returned, also when that can be read only once and its serializer has read
    it. The record is what futures and states give; the engine's own value is what a direct call gives. Neither has a
    public name, so what is not there any more is left alone.
    """
    transaction, delayed = _holder(get_transaction(), value)
    record = _staged(transaction)
    if transaction is None or record is None or delayed:
        return False
    record.result = instead
    for hook in getattr(transaction, "on_rollback_hooks", ()):
        engine: Any = getattr(getattr(hook, "func", None), "__self__", None)
        if getattr(engine, "_return_value", None) is value:
            engine._return_value = instead
            # By this, Prefect knows whose result a task is given, and draws the arrow.
            if link := getattr(prefect_engine, "link_state_to_task_run_result", None):
                link(engine.state, instead)
            return True
    return False


def give_up(value: Any) -> None:
    """Rolls back the transaction that was committing `value`, for an error that is no `Exception`.

    Prefect does so for each `Exception`. After another error it would leave the transaction open, so that whatever runs
    on this thread from then on were part of it and never committed; and its lock would stay locked.
    """
    active = get_transaction()
    if active is None or _holder(active, value)[0] is None:
        return
    if isinstance(active, Transaction):
        active.rollback()
        active.reset()
        return
    # What would roll it back has to be awaited, and there is nobody to await it here.
    active.state = TransactionState.ROLLED_BACK
    if active.store is not None and active.key and active.store.lock_manager is not None:
        active.store.release_lock(active.key, holder=active._holder)
    if active._token is not None:
        active.__var__.reset(active._token)
        active._token = None


def owner() -> TaskRunContext | None:
    """What lives as long as the task run that we are in."""
    return TaskRunContext.get()


def _contexts() -> tuple[TaskRunContext | None, FlowRunContext | None]:
    """The contexts of the run that we are in; that of a task is none where it called a flow, and that is what runs."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    flow_run = flow.flow_run if flow is not None else None
    if task is not None and flow_run is not None and task.task_run.flow_run_id != flow_run.id:
        return None, flow
    return task, flow


def _holder(active: BaseTransaction | None, value: Any) -> tuple[BaseTransaction | None, bool]:
    """The transaction that holds the record of `value`, and whether it is an inner one of the active transaction."""
    if active is None or value is None or _is_of_another_flow_run(active):
        return None, False
    for transaction in _in_order_of_commit(active):
        # Several tasks may have returned the same object: those before this one are done with it.
        done = transaction.is_committed() or transaction.is_rolled_back()
        staged: Any = getattr(transaction, "_staged_value", None)
        if not done and (staged is value or (isinstance(staged, ResultRecord) and staged.result is value)):
            return transaction, transaction is not active
    return None, False


def _is_of_another_flow_run(transaction: BaseTransaction) -> bool:
    """Whether a transaction was opened outside of the flow run that we are in: then it is not what commits now.

    It is the flow's own result that is written, and a task inside may have returned the same object.
    """
    flow = FlowRunContext.get()
    flow_run = flow.flow_run if flow is not None else None
    if flow_run is None:
        return False
    opened_in = _logged_names(transaction).get("flow_run_id")
    if opened_in is None:
        return getattr(transaction.logger, "name", None) == _LOGGER_OUTSIDE_OF_RUNS
    return opened_in != str(flow_run.id)


def _in_order_of_commit(transaction: BaseTransaction) -> Iterator[BaseTransaction]:
    for child in transaction.children:
        yield from _in_order_of_commit(child)
    yield transaction


def _staged(transaction: BaseTransaction | None) -> ResultRecord[Any] | None:
    record = getattr(transaction, "_staged_value", None)
    return record if isinstance(record, ResultRecord) else None


def _logged_names(transaction: BaseTransaction | None) -> Mapping[str, str]:
    """The names and ids that a transaction's logger adds to its lines: by then, there is no context of the task."""
    extra = getattr(getattr(transaction, "logger", None), "extra", None)
    if not isinstance(extra, Mapping):
        return {}
    return {str(name): text for name, found in extra.items() if (text := _text(found)) is not None}


def _text(found: object) -> str | None:
    text = "" if found is None else str(found)
    return None if text in _UNKNOWN else text


def _segment(name: str) -> str:
    """A name as one segment of a key. Long ones end in a digest, so that what differs stays different."""
    safe = "".join("-" if character in "/\\@" or not character.isprintable() else character for character in name)
    safe = safe.strip()
    if len(safe) > _LONGEST_NAME or len(safe.encode()) > _LONGEST_SEGMENT:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        begin = safe[: _LONGEST_NAME - 9].encode()[: _LONGEST_SEGMENT - 9].decode(errors="ignore")
        safe = f"{begin.strip()}-{digest}"
    return safe if safe.strip(".") else "unnamed"


__all__ = ["Run", "current", "give_up", "hand_on", "owner"]
