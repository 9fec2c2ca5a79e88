"""Prefect's transactions, from inside a serializer: which one holds a value, and what has to be done to it.

Much of it has no public name in Prefect. What is not there any more is passed over: then less is known of a run, a
reader is not replaced, and nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prefect.context import FlowRunContext, TaskRunContext
from prefect.results import ResultRecord  # type: ignore[attr-defined]
from prefect.transactions import BaseTransaction, Transaction, TransactionState, get_transaction
from prefect.utilities import engine as prefect_engine

_DONE = (TransactionState.COMMITTED, TransactionState.ROLLED_BACK)
_LOGGER_OUTSIDE_OF_RUNS = "prefect.transactions"
_UNKNOWN = ("", "<unknown>", "None")


@dataclass(frozen=True)
class Holder:
    """The transaction that holds the record of a value that is being committed."""

    transaction: BaseTransaction
    delayed: bool
    """Whether an outer transaction commits it only now, so that others could read the value meanwhile."""

    @property
    def record(self) -> ResultRecord[Any] | None:
        """The record."""
        return _staged(self.transaction)

    @property
    def names(self) -> Mapping[str, str]:
        """The names and ids of the run."""
        return logged_names(self.transaction)


def holder_of(value: Any) -> Holder | None:
    """The transaction that commits `value`; none outside of a task run, and where a flow's own result is written."""
    active = get_transaction()
    if active is None or value is None or _is_of_another_flow_run(active):
        return None
    for transaction in _still_open(active):
        staged: Any = getattr(transaction, "_staged_value", None)
        if staged is value or (isinstance(staged, ResultRecord) and staged.result is value):
            return Holder(transaction, transaction is not active)
    return None


def hand_on(holder: Holder | None, value: Any, instead: Any) -> bool:
    """Makes Prefect hand `instead` to everybody downstream of the run that returned `value`; False where it cannot be.

    Prefect hands on the object that a task returned, also when that can be read only once and its serializer has read
    it. The record is what futures and states give; the engine's own value is what a direct call gives.
    """
    record = None if holder is None else holder.record
    if holder is None or record is None or holder.delayed:
        return False
    record.result = instead
    for hook in getattr(holder.transaction, "on_rollback_hooks", ()):
        engine: Any = getattr(getattr(hook, "func", None), "__self__", None)
        if getattr(engine, "_return_value", None) is value:
            engine._return_value = instead
            # By this, Prefect knows whose result a task is given, and draws the arrow.
            if link := getattr(prefect_engine, "link_state_to_task_run_result", None):
                link(engine.state, instead)
            return True
    return False


def give_up(holder: Holder | None) -> list[str]:
    """Rolls back the active transaction, for an error that is no `Exception`; returns what could not be done.

    Prefect does so for each `Exception`. After another error it would leave the transaction open, so that whatever runs
    on this thread from then on were part of it and never committed; and its locks would stay locked.
    """
    active = get_transaction()
    if active is None or holder is None:
        return []
    left: list[str] = []
    if isinstance(active, Transaction):
        active.rollback()
    else:
        # What would roll it back has to be awaited, and there is nobody to await it here.
        for transaction in list(_still_open(active)):
            left.extend(_rolled_back(transaction))
    _leave(active)
    return left


def is_read_again() -> bool | None:
    """Whether Prefect reads the record of the task run that we are in after it has seen that it is there.

    False while it looks whether it is there; None at all other times, such as in the body of a task.
    """
    context = TaskRunContext.get()
    if context is None:
        return None
    transaction = get_transaction()
    if logged_names(transaction).get("task_run_id") != str(context.task_run.id):
        # Its own transaction is not open yet.
        return False
    return True if transaction is not None and transaction.is_committed() else None


def logged_names(transaction: BaseTransaction | None) -> Mapping[str, str]:
    """The names and ids that a transaction's logger adds to its lines: by then, there is no context of the task."""
    extra = getattr(getattr(transaction, "logger", None), "extra", None)
    if not isinstance(extra, Mapping):
        return {}
    return {str(name): text for name, found in extra.items() if (text := known(found)) is not None}


def known(found: object) -> str | None:
    """A name or an id as text, unless it is none."""
    text = "" if found is None else str(found)
    return None if text in _UNKNOWN else text


def _is_of_another_flow_run(transaction: BaseTransaction) -> bool:
    """Whether a transaction was opened outside of the flow run that we are in: then it is not what commits now.

    It is the flow's own result that is written, and a task inside may have returned the same object.
    """
    flow = FlowRunContext.get()
    flow_run = flow.flow_run if flow is not None else None
    if flow_run is None:
        return False
    opened_in = logged_names(transaction).get("flow_run_id")
    if opened_in is None:
        return getattr(transaction.logger, "name", None) == _LOGGER_OUTSIDE_OF_RUNS
    return opened_in != str(flow_run.id)


def _still_open(transaction: BaseTransaction) -> Iterator[BaseTransaction]:
    """A transaction and those inside of it, in the order in which they are committed, but for those that are done.

    Several tasks may have returned the same object: those before this one are done with it.
    """
    # There may be thousands.
    if transaction.state in _DONE:
        return
    for child in transaction.children:
        if child.state not in _DONE:
            yield from _still_open(child)
    yield transaction


def _staged(transaction: BaseTransaction) -> ResultRecord[Any] | None:
    record = getattr(transaction, "_staged_value", None)
    return record if isinstance(record, ResultRecord) else None


def _rolled_back(transaction: BaseTransaction) -> list[str]:
    """Rolls one transaction back, without those inside of it, as far as that needs no waiting."""
    left: list[str] = []
    for hook in getattr(transaction, "on_rollback_hooks", ()):
        name = getattr(hook, "__name__", type(hook).__name__)
        plain = getattr(hook, "func", hook)
        if inspect.iscoroutinefunction(plain):
            # Prefect's own sets the state of the task run, which ends as crashed.
            if getattr(plain, "__self__", None) is None:
                left.append(f"the hook {name} was not run")
            continue
        try:
            hook(transaction)
        # Also whatever a user's hook fails with.
        except Exception as error:
            left.append(f"the hook {name} failed: {error}")
    transaction.state = TransactionState.ROLLED_BACK
    store = transaction.store
    holder = getattr(transaction, "_holder", None)
    if store is not None and transaction.key and store.lock_manager is not None and holder is not None:
        try:
            if store.is_lock_holder(transaction.key, holder):
                store.release_lock(transaction.key, holder=holder)
        except Exception as error:
            left.append(f"the lock of {transaction.key} was not released: {error}")
    return left


def _leave(transaction: BaseTransaction) -> None:
    """Makes the outer transaction, or none, the active one again."""
    token = transaction._token
    if token is None:
        return
    try:
        transaction.__var__.reset(token)
    except ValueError:
        # Prefect commits on a thread of its own, with a copy of the context: the block that opened it will leave it.
        return
    transaction._token = None


__all__ = ["Holder", "give_up", "hand_on", "holder_of", "is_read_again", "known", "logged_names"]
