"""Every place that keeps projections keeps the contract of ProjectionStore, and the check catches
one that does not.

Rules of this file: one canary a rule.
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tailrace import App
from tailrace.app.projection import Projection
from tailrace.app.table import Table
from tailrace.engine.engine import Engine
from tailrace.engine.state import EngineStateStore
from tailrace.errors import StateConflict
from tailrace.ports import ProjectionStore
from tailrace.projections.core.rows import AppliedItem, GroupState, RowChange
from tailrace.projections.run.state_store import StateProjectionStore
from tailrace.server.inprocess import InProcess
from tailrace.sinks.duckdb_table import DuckDB
from tailrace.sinks.projected_table import EngineRows, RemoteRows, TableProjectionStore
from tailrace.stores.dynamodb import DynamoDbStateStore
from tailrace.stores.memory import MemoryStateStore, MemoryStore
from tailrace.tables.definition import TableDefinition
from tailrace.testing import check_projection_store
from tailrace.testing.client import client
from tailrace.testing.contracts import projection
from tests.contracts.breaking import breaks
from tests.unit.engine.building import opened


class InMemory(StateProjectionStore):
    """Rows over a state store in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryStateStore(), "shop", "sales@v1")


def test_rows_in_memory_keep_the_contract() -> None:
    check_projection_store(InMemory)


def test_rows_in_the_state_of_an_engine_keep_the_contract() -> None:
    def over_an_engine() -> ProjectionStore:
        engine = opened(MemoryStore())

        async def flushed() -> None:
            engine.committer.flush()

        return StateProjectionStore(EngineStateStore(engine, flushed), "shop", "sales@v1")

    check_projection_store(over_an_engine)


KEPT = Table("kept", "name", "row")


def with_the_table(engine: Engine) -> EngineStateStore:
    engine.create_table(TableDefinition("kept", "name", "S", "row", "S"))
    engine.committer.flush()

    async def flushed() -> None:
        engine.committer.flush()

    return EngineStateStore(engine, flushed)


def test_rows_in_a_table_keep_the_contract() -> None:
    def in_a_table() -> ProjectionStore:
        engine = opened(MemoryStore())
        return TableProjectionStore(KEPT, "sales", "sales@v1", with_the_table(engine), EngineRows(engine))

    check_projection_store(in_a_table)


def test_rows_in_a_table_at_an_endpoint_keep_the_contract() -> None:
    def far_away() -> ProjectionStore:
        engine = opened(MemoryStore())
        with_the_table(engine)
        far = client(InProcess(engine), "dynamodb")
        writes = DynamoDbStateStore(far, "kept")
        return TableProjectionStore(KEPT, "sales", "sales@v1", writes, RemoteRows(far))

    check_projection_store(far_away)


def test_rows_in_duckdb_keep_the_contract(tmp_path: Path) -> None:
    numbers = itertools.count()

    def in_a_file() -> ProjectionStore:
        return DuckDB(tmp_path / f"{next(numbers)}.duckdb", "sales").projection_store(sales(), "sales@v1")

    check_projection_store(in_a_file)


def sales() -> Projection:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.projection(orders, by="country")
    def sales(total: int, order: dict[str, Any], sign: int) -> int:
        return total + sign

    (projection,) = [mapping.projection for mapping in app.mappings if mapping.projection is not None]
    return projection


# ---- canaries ----------------------------------------------------------------------------------------------


class ForgetsImages(InMemory):
    async def items(self, keys: Sequence[str]) -> list[AppliedItem]:
        return [replace(row, image=None) for row in await super().items(keys)]


class KnowsHalfOfTheBuckets(InMemory):
    async def bucket(self, number: int) -> list[AppliedItem]:
        return await super().bucket(number) if number < 128 else []


class ForgetsConditions(InMemory):
    async def commit(self, changes: Sequence[RowChange]) -> None:
        for change in changes:
            present: Sequence[AppliedItem | GroupState] = (
                await self.items([change.row.name])
                if isinstance(change.row, AppliedItem)
                else await self.groups([change.row.name])
            )
            before = present[0] if present else None
            await super().commit([RowChange(before, change.after)] if before or change.after else [])


class WritesOneByOne(InMemory):
    async def commit(self, changes: Sequence[RowChange]) -> None:
        for change in changes:
            await super().commit([change])


class LooksThenWrites(InMemory):
    async def commit(self, changes: Sequence[RowChange]) -> None:
        for change in changes:
            of = self.items if isinstance(change.row, AppliedItem) else self.groups
            present = [row.stamp for row in await of([change.row.name])]
            if present != ([] if change.before is None else [change.before.stamp]):
                raise StateConflict("it is another", index=0)
        await asyncio.sleep(0)
        for change in changes:
            of = self.items if isinstance(change.row, AppliedItem) else self.groups
            rows = await of([change.row.name])
            await super().commit([RowChange(rows[0] if rows else None, change.after)])


class PromisesTooMuch(InMemory):
    def __init__(self) -> None:
        super().__init__()
        self.rows_at_once = 2


CANARIES: list[tuple[Callable[[], ProjectionStore], Callable[..., object]]] = [
    (ForgetsImages, projection.rows_are_kept_as_they_are),
    (KnowsHalfOfTheBuckets, projection.everything_can_be_read),
    (ForgetsConditions, projection.what_was_written_meanwhile_is_a_conflict),
    (WritesOneByOne, projection.commits_are_all_or_nothing),
    (LooksThenWrites, projection.one_of_many_writers_wins),
    (PromisesTooMuch, projection.as_many_rows_as_it_says),
]


@pytest.mark.parametrize(("make", "rule"), CANARIES)
def test_a_broken_store_is_caught(make: Callable[[], ProjectionStore], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_projection_store(make))


def test_every_rule_has_a_canary() -> None:
    assert {rule for _, rule in CANARIES} == set(projection.RULES)
