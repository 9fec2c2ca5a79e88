"""The card of a result in Prefect's UI, by a real server."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
    ArtifactFilter,
    ArtifactFilterId,
    ArtifactFilterKey,
)
from prefect.context import FlowRunContext, TaskRunContext

from coldframe import ResultReference, Store, drawing
from coldframe.card import markdown
from coldframe.errors import InvalidInputError, WrongTypeError
from coldframe.prefect.artifact import apublish, artifact_key, publish

pytestmark = pytest.mark.usefixtures("prefect_server")

OUTSIDE = pytest.mark.filterwarnings("ignore:Artifact creation outside of a flow or task run:FutureWarning")

# Asynchronous runs of Prefect 3.8 leave a client open.
ASYNCHRONOUS = pytest.mark.filterwarnings("ignore:Exception ignored in.*socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False, progress=False)


@pytest.fixture
def reference(store: Store, request: pytest.FixtureRequest) -> ResultReference:
    """A result whose key no other test has: they share a server."""
    frame = pa.table({"fare": [12.5, None], "zone|": ["a", "<b>"]})
    return store.put(f"etl/{request.node.name}", frame, title="*Trips* of Monday", expires="7d")


def read(identity: UUID) -> Any:
    """The artifact as the server has it."""
    with get_client(sync_client=True) as client:
        (found,) = client.read_artifacts(artifact_filter=ArtifactFilter(id=ArtifactFilterId(any_=[identity])))
    return found


def test_a_task_publishes_the_card(reference: ResultReference) -> None:
    @task
    def step() -> tuple[UUID, UUID, UUID]:
        task_run, flow_run = TaskRunContext.get(), FlowRunContext.get()
        assert task_run is not None and flow_run is not None and flow_run.flow_run is not None
        return publish(reference), task_run.task_run.id, flow_run.flow_run.id

    @flow
    def pipeline() -> tuple[UUID, UUID, UUID]:
        return step()

    identity, task_run, flow_run = pipeline()
    found = read(identity)
    assert found.type == "markdown"
    assert found.data == drawing.reference_markdown(reference)
    assert "| `zone`\\| |" in found.data and "2 rows × 2 columns" in found.data
    assert (found.task_run_id, found.flow_run_id) == (task_run, flow_run)
    assert found.key == artifact_key(reference.key)
    assert found.description == r"\*Trips\* of Monday"


def test_a_flow_publishes_the_card(reference: ResultReference) -> None:
    @flow
    def pipeline() -> tuple[UUID, UUID]:
        run = FlowRunContext.get()
        assert run is not None and run.flow_run is not None
        return publish(reference, key="my-card", description="**mine**"), run.flow_run.id

    identity, flow_run = pipeline()
    found = read(identity)
    assert (found.task_run_id, found.flow_run_id) == (None, flow_run)
    assert (found.key, found.description) == ("my-card", "**mine**")
    assert found.data == drawing.reference_markdown(reference)


@ASYNCHRONOUS
def test_async_runs_publish_the_card(reference: ResultReference) -> None:
    @task
    async def step() -> tuple[UUID, UUID]:
        run = TaskRunContext.get()
        assert run is not None
        return await apublish(reference), run.task_run.id

    @flow
    async def pipeline() -> tuple[tuple[UUID, UUID], UUID]:
        return await step(), await apublish(reference, key="from-the-flow")

    (identity, task_run), other = asyncio.run(pipeline())
    found = read(identity)
    assert found.data == drawing.reference_markdown(reference)
    assert found.task_run_id == task_run and found.flow_run_id is not None
    assert read(other).task_run_id is None and read(other).flow_run_id == found.flow_run_id


@ASYNCHRONOUS
def test_publish_works_where_an_event_loop_runs(reference: ResultReference) -> None:
    @task
    async def step() -> UUID:
        return publish(reference)

    @flow
    async def pipeline() -> tuple[UUID, UUID]:
        return await step(), publish(reference)

    in_task, in_flow = asyncio.run(pipeline())
    assert read(in_task).task_run_id is not None
    assert read(in_flow).task_run_id is None
    assert read(in_task).flow_run_id == read(in_flow).flow_run_id is not None


@ASYNCHRONOUS
def test_apublish_draws_the_card_outside_of_the_loop(
    reference: ResultReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    draw = drawing.reference_markdown

    def noted(of: ResultReference) -> str:
        threads.append(threading.current_thread())
        return draw(of)

    monkeypatch.setattr(drawing, "reference_markdown", noted)

    @flow
    async def pipeline() -> UUID:
        threads.append(threading.current_thread())
        return await apublish(reference)

    assert read(asyncio.run(pipeline())).data == draw(reference)
    loop, drawer = threads
    assert loop is not drawer


@OUTSIDE
def test_outside_of_runs_it_belongs_to_none(reference: ResultReference) -> None:
    async def elsewhere() -> tuple[UUID, UUID]:
        return await apublish(reference), publish(reference)

    for identity in (publish(reference), *asyncio.run(elsewhere())):
        found = read(identity)
        assert (found.task_run_id, found.flow_run_id) == (None, None)
        assert found.data == drawing.reference_markdown(reference)


def test_outside_of_runs_the_warning_of_prefect_comes_through(reference: ResultReference) -> None:
    with pytest.warns(FutureWarning, match="outside of a flow or task run"):
        publish(reference)


def test_versions_are_the_history_of_one_artifact(store: Store) -> None:
    @flow
    def pipeline() -> list[UUID]:
        return [publish(store.put("reports/Daily", pa.table({"row": range(rows)}))) for rows in (1, 2)]

    first, second = pipeline()
    key = artifact_key("reports/Daily")
    with get_client(sync_client=True) as client:
        history = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
        (collection,) = client.read_latest_artifacts(
            artifact_filter=ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[key]))
        )
    assert {each.id: each.description for each in history} == {first: "reports/Daily@1", second: "reports/Daily@2"}
    assert collection.latest_id == second and "`reports/Daily@2`" in str(collection.data)


def test_a_compact_reference_shows_what_the_storage_knows(reference: ResultReference) -> None:
    @flow
    def pipeline() -> UUID:
        return publish(reference.compact())

    found = read(pipeline())
    assert found.data == drawing.reference_markdown(reference)
    assert found.description == r"\*Trips\* of Monday"


def test_what_cannot_be_read_is_published_with_why(store: Store, reference: ResultReference) -> None:
    compact = reference.compact()
    store.delete(reference.key)

    @flow
    def pipeline() -> UUID:
        return publish(compact)

    found = read(pipeline())
    assert "> **Problem:**" in found.data and "deleted" in found.data
    assert found.description == markdown.inert(str(reference))


def test_the_widest_table_stays_below_the_limit(store: Store) -> None:
    wide = pa.table({f"{number} {'x' * 200}": ["価" * 40] for number in range(1_000)})

    @flow
    def pipeline() -> UUID:
        return publish(store.put("wide", wide))

    data = read(pipeline()).data
    assert 8 * 1024 < len(data.encode()) < 64 * 1024
    assert re.search(r"… and 9\d\d more columns", data)


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("trips", "trips"),
        ("2026-11-20", "2026-11-20"),
        ("etl/trips", "etl-trips-26441635"),
        ("etl_trips", "etl-trips-e7863272"),
        ("ETL/Trips", None),
        ("-trips", None),
        ("価格", None),
        ("a" * 200, None),
        ("a" * 199 + "b", None),
    ],
)
def test_keys_are_such_as_prefect_takes(key: str, wanted: str | None) -> None:
    made = artifact_key(key)
    assert ArtifactCreate(key=made).key == made
    assert made == (wanted or made) and made == artifact_key(key)
    assert len(made) <= 89 and re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", made)


def test_similar_keys_stay_apart() -> None:
    keys = [
        "etl/trips",
        "etl_trips",
        "etl-trips",
        "etl.trips",
        "Etl/trips",
        "etl//",
        "価格",
        "価",
        "a" * 200,
        "a" * 201,
    ]
    assert len({artifact_key(key) for key in keys}) == len(keys)


@pytest.fixture
def nothing_is_published() -> Iterator[None]:
    def count() -> int:
        with get_client(sync_client=True) as client:
            return len(client.read_artifacts(limit=200))

    before = count()
    yield
    assert count() == before


@pytest.mark.usefixtures("nothing_is_published")
def test_what_is_no_reference_is_refused_by_its_type(reference: ResultReference) -> None:
    for wrong, name in ((reference.to_arrow(), "Table"), (reference.json(), "str"), (None, "NoneType")):
        with pytest.raises(WrongTypeError, match=f"this is a {name}"):
            publish(wrong)  # type: ignore[arg-type]
        with pytest.raises(WrongTypeError, match=f"this is a {name}"):
            asyncio.run(apublish(wrong))  # type: ignore[arg-type]
    with pytest.raises(WrongTypeError, match="description"):
        publish(reference, description=5)  # type: ignore[arg-type]
    with pytest.raises(WrongTypeError, match="key"):
        publish(reference, key=5)  # type: ignore[arg-type]


@pytest.mark.usefixtures("nothing_is_published")
@pytest.mark.parametrize("key", ["", "Trips", "etl/trips", "a b", "trips\n", "é"])
def test_a_key_that_prefect_does_not_take_is_refused(reference: ResultReference, key: str) -> None:
    with pytest.raises(InvalidInputError, match="lowercase letters, digits and dashes") as caught:
        publish(reference, key=key)
    assert artifact_key(reference.key) in str(caught.value)
