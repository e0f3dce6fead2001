"""Every state store keeps the contract of StateStore, and the check catches one that does not.

Rules of this file: one canary a rule.
"""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.engine.state import EngineStateStore
from tailrace.errors import StateConflict
from tailrace.ports import Action, ItemWrite, StateStore
from tailrace.rows.bounds import slices
from tailrace.rows.writes import Absent, AbsentOrOlder, Check, Equals, StateRow, Write
from tailrace.stores.memory import MemoryStateStore, MemoryStore
from tailrace.stores.sqlite import SqliteStore
from tailrace.streams.version import Version
from tailrace.testing import check_state_store
from tailrace.testing.contracts import state, state_writers
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


class CutsLongKeys(MemoryStateStore):
    async def get(self, key: str) -> StateRow | None:
        row = await super().get(key[:1_024])
        return None if row is None else StateRow(key, row.fields)

    async def transact(self, writes: Sequence[Action]) -> None:
        await super().transact([replace(write, key=write.key[:1_024]) for write in writes])  # type: ignore[type-var]


class OrdersLongKeysByTheirDigest(MemoryStateStore):
    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        def order(key: str) -> str:
            return "/".join(
                word if len(word) <= 400 else sha256(word.encode()).hexdigest() for word in key.split("/")
            )

        rows = sorted(await super().query(prefix), key=lambda row: order(row.key))
        return [row for row in rows if not after or order(row.key) > order(after)][:limit]


class CutsLargeTexts(MemoryStateStore):
    async def transact(self, writes: Sequence[Action]) -> None:
        await super().transact(
            [
                replace(
                    write,
                    fields={
                        name: value[:200_000] if isinstance(value, str) else value
                        for name, value in write.fields.items()
                    },
                )
                if isinstance(write, Write) and write.fields
                else write
                for write in writes
            ]
        )


class LeavesLargeRowsBehind(MemoryStateStore):
    async def transact(self, writes: Sequence[Action]) -> None:
        kept: list[Action] = []
        for write in writes:
            row = await self.get(write.key) if isinstance(write, Write) and write.fields is None else None
            kept.append(
                Check(write.key, write.condition) if row and len(str(row.fields)) > 300_000 else write
            )  # type: ignore[union-attr]
        await super().transact(kept)


class WritesNinetyNine(MemoryStateStore):
    async def transact(self, writes: Sequence[Action]) -> None:
        await super().transact(writes[:99])


class WritesInParts(MemoryStateStore):
    """What is more than a transaction takes it writes in two."""

    async def transact(self, writes: Sequence[Action]) -> None:
        for some in slices(writes) if len(writes) > 100 else (writes,):
            await super().transact(some)


class ReadsALittleLate(MemoryStateStore):
    """Another connection sees what is written only with its next question."""

    def __init__(self, shared: MemoryStateStore) -> None:
        super().__init__()
        self._shared, self._seen = shared, dict(shared._rows)

    async def get(self, key: str) -> StateRow | None:
        self._rows, self._seen = self._seen, dict(self._shared._rows)
        return await super().get(key)

    async def transact(self, writes: Sequence[Action]) -> None:
        await self._shared.transact(writes)


class Judged(MemoryStateStore):
    """Two connections to one store: `judged` are the conditions that it looks at when it writes; at all
    others it has looked before.
    """

    judged: Callable[[Action], bool] = staticmethod(lambda action: False)

    async def transact(self, writes: Sequence[Action]) -> None:
        await super().transact(
            [Check(one.key, one.condition) for one in writes if not isinstance(one, ItemWrite)]
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await super().transact(
            [
                one if self.judged(one) else Write(one.key, one.fields)
                for one in writes
                if isinstance(one, Write)
            ]
        )


class LooksAtRowsThatItWrites(Judged):
    """Snapshots without serialisation: what is only read may change meanwhile."""

    judged = staticmethod(lambda action: isinstance(action, Write))


class LooksAtAbsentRows(Judged):
    judged = staticmethod(lambda action: isinstance(action, Write) and isinstance(action.condition, Absent))


class LooksAtNumbers(Judged):
    judged = staticmethod(lambda action: isinstance(action, Write) and isinstance(action.condition, Equals))


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
    (CutsLongKeys, state.long_keys_are_kept_apart),
    (OrdersLongKeysByTheirDigest, state.long_keys_are_kept_apart),
    (CutsLargeTexts, state.large_rows_are_kept_whole),
    (LeavesLargeRowsBehind, state.large_rows_are_kept_whole),
    (WritesNinetyNine, state.a_hundred_rows_are_one_transaction),
    (WritesInParts, state.what_no_transaction_takes_is_refused),
    (WritesOneByOne, state.a_row_may_be_named_twice),
    (LooksThenWrites, state.one_of_many_takers_wins),
    (LooksThenWrites, state_writers.of_two_takers_one_wins),
    (LooksAtAbsentRows, state_writers.no_update_is_lost),
    (LooksAtNumbers, state_writers.marks_rise),
    (LooksAtRowsThatItWrites, state_writers.a_condition_on_another_row_holds_at_the_write),
    (LooksAtRowsThatItWrites, state_writers.a_raised_epoch_fences),
    (DropsWritesToTables, state.writes_to_tables_are_refused),
]


@pytest.mark.parametrize(("make", "rule"), CANARIES)
def test_a_broken_state_store_is_caught(make: Callable[[], StateStore], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_state_store(make))


def test_another_worker_that_reads_late_is_caught() -> None:
    breaks(
        state_writers.both_see_what_is_written,
        lambda: check_state_store(MemoryStateStore, again=ReadsALittleLate),
    )


def test_every_rule_has_a_canary() -> None:
    elsewhere = {state_writers.both_see_what_is_written}
    rules = {*state.RULES, *state_writers.RULES_OF_TWO, state.writes_to_tables_are_refused}
    assert {rule for _, rule in CANARIES} | elsewhere == rules
