"""Every state store keeps the contract of StateStore, and the check catches one that does not.

Rules of this file: one canary a rule.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tailrace.engine.state import EngineStateStore
from tailrace.errors import StateConflict
from tailrace.ports import Action, ItemWrite, StateStore
from tailrace.rows.writes import AbsentOrOlder, Check, Equals, StateRow, Write
from tailrace.stores.memory import MemoryStateStore, MemoryStore
from tailrace.stores.sqlite import SqliteStore
from tailrace.streams.version import Version
from tailrace.testing import check_state_store
from tailrace.testing.contracts import state
from tests.contracts.breaking import breaks
from tests.unit.engine.building import opened


def test_the_state_store_in_memory_keeps_the_contract() -> None:
    check_state_store(MemoryStateStore)


@pytest.mark.parametrize("make", [MemoryStore, lambda: SqliteStore(None)])
def test_the_state_rows_of_an_engine_keep_the_contract(make: Callable[[], Any]) -> None:
    def over_an_engine() -> StateStore:
        engine = opened(make())

        async def flushed() -> None:
            engine.committer.flush()

        return EngineStateStore(engine, flushed)

    check_state_store(over_an_engine, has_tables=True)


# ---- canaries ----------------------------------------------------------------------------------------------


class MergesFields(MemoryStateStore):
    async def transact(self, writes: Sequence[Action]) -> None:
        merged: list[Action] = []
        for write in writes:
            if isinstance(write, Write) and write.fields is not None:
                row = await self.get(write.key)
                fields = {**(row.fields if row else {}), **write.fields}
                merged.append(Write(write.key, fields, write.condition))
            else:
                merged.append(write)
        await super().transact(merged)


class SharesItsRows(MemoryStateStore):
    def __init__(self) -> None:
        super().__init__()
        self._given: dict[str, StateRow] = {}

    async def get(self, key: str) -> StateRow | None:
        row = await super().get(key)
        return None if row is None else self._given.setdefault(key, row)


class GetsOnlyOnce(SharesItsRows):
    async def transact(self, writes: Sequence[Action]) -> None:
        await super().transact(writes)
        self._given.clear()


class BeginsPagesAtTheirKey(MemoryStateStore):
    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        return [row for row in await super().query(prefix) if row.key >= after][:limit]


class ForgetsTheLimit(MemoryStateStore):
    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        return await super().query(prefix, after=after)


class MatchesWholeWords(MemoryStateStore):
    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        rows = await super().query(prefix, after=after, limit=limit)
        return [row for row in rows if prefix.endswith("/") or row.key[len(prefix) :][:1] in ("", "/")]


class AnswersOnePage(MemoryStateStore):
    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        return (await super().query(prefix, after=after, limit=limit))[:1_000]


class CountsOnePage(MemoryStateStore):
    async def count(self, prefix: str) -> int:
        return min(1_000, await super().count(prefix))


class ComparesOrEqual(MemoryStateStore):
    async def transact(self, writes: Sequence[Action]) -> None:
        for index, write in enumerate(writes):
            if isinstance(write, Write) and isinstance(write.condition, AbsentOrOlder):
                generation, sequence = write.condition.version
                writes = [
                    *writes[:index],
                    Write(write.key, write.fields, AbsentOrOlder(Version(generation, sequence + 1))),
                    *writes[index + 1 :],
                ]
        await super().transact(writes)


class ComparesAsText(MemoryStateStore):
    async def transact(self, writes: Sequence[Action]) -> None:
        for write in writes:
            if isinstance(write, Check | Write) and isinstance(write.condition, Equals):
                row = await self.get(write.key)
                if row is not None and str(row.fields.get(write.condition.field)) == str(
                    write.condition.value
                ):
                    plain = [Write(one.key, one.fields) for one in writes if isinstance(one, Write)]
                    return await super().transact(plain)
        return await super().transact(writes)


class WritesOneByOne(MemoryStateStore):
    async def transact(self, writes: Sequence[Action]) -> None:
        for index, write in enumerate(writes):
            try:
                await super().transact([write])
            except StateConflict as conflict:
                raise StateConflict(str(conflict), index=index) from conflict


class ForgetsTheIndex(MemoryStateStore):
    async def transact(self, writes: Sequence[Action]) -> None:
        try:
            await super().transact(writes)
        except StateConflict as conflict:
            raise StateConflict(str(conflict)) from conflict


class LooksThenWrites(MemoryStateStore):
    async def transact(self, writes: Sequence[Action]) -> None:
        checks = [Check(write.key, write.condition) for write in writes if not isinstance(write, ItemWrite)]
        await super().transact(checks)
        await asyncio.sleep(0)
        await super().transact([Write(one.key, one.fields) for one in writes if isinstance(one, Write)])


class DropsWritesToTables(MemoryStateStore):
    async def transact(self, writes: Sequence[Action]) -> None:
        await super().transact([write for write in writes if not isinstance(write, ItemWrite)])


CANARIES: list[tuple[Callable[[], StateStore], Callable[..., object]]] = [
    (MergesFields, state.rows_are_kept_as_they_are),
    (GetsOnlyOnce, state.what_is_given_is_a_copy),
    (MatchesWholeWords, state.queries_follow_the_prefix),
    (BeginsPagesAtTheirKey, state.queries_come_in_pages),
    (ForgetsTheLimit, state.queries_come_in_pages),
    (AnswersOnePage, state.queries_have_no_end),
    (CountsOnePage, state.counts_are_of_what_a_query_gives),
    (ComparesOrEqual, state.conditions_are_judged),
    (ComparesAsText, state.conditions_are_judged),
    (WritesOneByOne, state.transactions_are_all_or_nothing),
    (ForgetsTheIndex, state.transactions_are_all_or_nothing),
    (LooksThenWrites, state.one_of_many_takers_wins),
    (DropsWritesToTables, state.writes_to_tables_are_refused),
]


@pytest.mark.parametrize(("make", "rule"), CANARIES)
def test_a_broken_state_store_is_caught(make: Callable[[], StateStore], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_state_store(make))


def test_every_rule_has_a_canary() -> None:
    assert {rule for _, rule in CANARIES} == {*state.RULES, state.writes_to_tables_are_refused}
