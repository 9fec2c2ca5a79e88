"""What is known of the run that a value is of: names, ids, cache key, expiry, result storage.

Prefect hands a serializer the value and nothing else. The rest is in its run contexts, and where a transaction commits
later, in the transaction that holds the value.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from prefect.context import FlowRunContext, TaskRunContext
from prefect.filesystems import WritableFileSystem

from coldframe.prefect.transactions import Holder, holder_of, known

_LONGEST_NAME = 48
_LONGEST_SEGMENT = 90
"""Bytes: eight of them make a key that every store takes."""
_MOST_SEGMENTS = 7


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
    holder: Holder | None = field(default=None, repr=False, compare=False)
    """The transaction that commits the value."""

    @property
    def delayed(self) -> bool:
        """Whether others could read the value since it was returned: an outer transaction commits it only now."""
        return self.holder is not None and self.holder.delayed

    def key(self, *path: str | int) -> str:
        """The key of a frame: ``prefect/<flow>/<task>/<cache key or run>/<path in the value>``."""
        flow, task = self.flow or "no-flow", self.task or "flow-result"
        which = self.cache_key or self.task_run_id or self.flow_run_id or uuid.uuid4().hex
        # A key that a user chose may be a path.
        names = ["prefect", flow, task, *(filter(None, which.split("/"))), *map(str, path)]
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
    holder = holder_of(value)
    names: Mapping[str, str] = {}
    expires: datetime | None = None
    storage = cache_key = None
    if holder is not None:
        names, cache_key = holder.names, holder.transaction.key
        expires = holder.record.metadata.expiration if holder.record is not None else None
        storage = getattr(holder.transaction.store, "result_storage", None)
    elif task is not None and task.task.cache_expiration is not None:
        expires = datetime.now(timezone.utc) + task.task.cache_expiration
    for context in (task, flow):
        if storage is None and context is not None:
            storage = context.result_store.result_storage
    flow_run = flow.flow_run if flow is not None else None
    return Run(
        flow=names.get("flow_name") or (flow.flow.name if flow is not None and flow.flow is not None else None),
        flow_run=names.get("flow_run_name") or known(getattr(flow_run, "name", None)),
        flow_run_id=names.get("flow_run_id") or known(getattr(flow_run, "id", None)),
        task=names.get("task_name") or (task.task.name if task is not None else None),
        task_run=names.get("task_run_name") or (task.task_run.name if task is not None else None),
        task_run_id=names.get("task_run_id") or (known(task.task_run.id) if task is not None else None),
        cache_key=cache_key,
        expires=expires,
        result_storage=storage,
        holder=holder,
    )


def _contexts() -> tuple[TaskRunContext | None, FlowRunContext | None]:
    """The contexts of the run that we are in; that of a task is none where it called a flow, and that is what runs."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    flow_run = flow.flow_run if flow is not None else None
    if task is not None and flow_run is not None and task.task_run.flow_run_id != flow_run.id:
        return None, flow
    return task, flow


def _segment(name: str) -> str:
    """A name as one segment of a key. What was changed ends in a digest, so that what differs stays different."""
    safe = "".join("-" if character in "/\\@" or not character.isprintable() else character for character in name)
    safe = safe.strip()
    if safe != name or len(safe) > _LONGEST_NAME or len(safe.encode()) > _LONGEST_SEGMENT or not safe.strip("."):
        digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
        begin = safe[: _LONGEST_NAME - 9].encode(errors="replace")[: _LONGEST_SEGMENT - 9].decode(errors="ignore")
        begin = begin.strip().strip(".") or "unnamed"
        return f"{begin}-{digest}"
    return safe


__all__ = ["Run", "current"]
