"""coldframe for Prefect 3: frames that tasks and flows return are streamed into a store, and Prefect keeps references.

::

    from prefect import task
    from coldframe.prefect import ColdframeSerializer

    @task(persist_result=True, result_serializer=ColdframeSerializer())
    def create_dataframe(): ...

Once this module is imported, ``result_serializer="coldframe"`` means the same, and so does
``PREFECT_RESULTS_DEFAULT_SERIALIZER=coldframe``. ``PREFECT_PLUGINS_ENABLED=true`` makes Prefect import it, also where a
worker runs flows. Without any import, in writers as in readers: ``PickleSerializer(picklelib="coldframe.prefect")``.
"""

from __future__ import annotations

from typing import Any

from coldframe.prefect.artifact import apublish, publish
from coldframe.prefect.results import areferences, put, references
from coldframe.prefect.serializers import (
    ArrowSerializer,
    ColdframeSerializer,
    NotPersistedError,
    ParquetSerializer,
    as_references,
)
from coldframe.prefect.stored_batches import StoredBatches

__all__ = [
    "ArrowSerializer",
    "ColdframeSerializer",
    "NotPersistedError",
    "ParquetSerializer",
    "StoredBatches",
    "apublish",
    "areferences",
    "as_references",
    "dumps",
    "loads",
    "publish",
    "put",
    "references",
]


def dumps(obj: Any) -> bytes:
    """The record of a value, as of `ColdframeSerializer()`: for ``PickleSerializer(picklelib="coldframe.prefect")``."""
    return ColdframeSerializer().dumps(obj)


def loads(blob: bytes) -> Any:
    """The value of a record that `dumps` wrote."""
    return ColdframeSerializer().loads(blob)
