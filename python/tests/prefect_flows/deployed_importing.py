"""What a worker runs: a flow that imports the serializer."""

from __future__ import annotations

from typing import Any

import pandas as pd
from prefect import flow, task

from coldframe.prefect import ColdframeSerializer


@task(persist_result=True, result_serializer=ColdframeSerializer())
def create() -> pd.DataFrame:
    return pd.DataFrame({"row": range(5)})


@flow(persist_result=True, result_serializer=ColdframeSerializer())
def by_instance() -> dict[str, Any]:
    return {"frame": create(), "from": "by-instance"}
