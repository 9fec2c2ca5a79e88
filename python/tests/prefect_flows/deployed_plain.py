"""What a worker runs: flows that import nothing of coldframe."""

from __future__ import annotations

from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.serializers import PickleSerializer


@task(persist_result=True)
def create() -> pd.DataFrame:
    return pd.DataFrame({"row": range(5)})


@flow(persist_result=True, result_serializer="coldframe", result_storage="local-file-system/shared")
def by_type_with_block() -> dict[str, Any]:
    return {"frame": create(), "from": "by-type-with-block"}


@flow(persist_result=True)
def by_setting() -> dict[str, Any]:
    return {"frame": create.with_options(result_serializer="coldframe")(), "from": "by-setting"}


@flow(persist_result=True, result_serializer=PickleSerializer(picklelib="coldframe.prefect"))
def by_pickle_library() -> dict[str, Any]:
    return {"frame": create(), "from": "by-pickle-library"}
