"""Where a mapping begins: the names, and what they mean for each shard."""

import asyncio
from collections.abc import Sequence

import pytest

from tailrace.ports import Action, StateStore
from tailrace.rows.writes import Write
from tailrace.runtime.beginning import (
    AtName,
    AtTime,
    StartPosition,
    first_read,
    is_wanted,
    resolved_ms,
    saved_start,
)
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import Shard
from tests.unit.runtime.performed import performed

SINCE_MS = 1_780_000_000_500
HOUR_MS = 3_600_000


def test_the_end_is_a_time_and_the_servers() -> None:
    assert resolved_ms(AtName("end"), SINCE_MS) == SINCE_MS
    assert resolved_ms(AtTime(7), SINCE_MS) == 7
    assert resolved_ms(AtName("beginning"), SINCE_MS) is None
    assert resolved_ms(AtName("where it was"), SINCE_MS) is None


def aged(age_ms: int, *, last: int | None = None) -> Shard:
    return Shard("s", 1, last=last, created_ms=SINCE_MS - age_ms)


@pytest.mark.parametrize(
    ("shard", "children", "expected"),
    [
        (aged(0), [], "since"),
        (aged(-1), [], "oldest"),
        (aged(HOUR_MS), [], "since"),
        (aged(HOUR_MS, last=9), [], "since"),
        (aged(HOUR_MS, last=9), [aged(60_000)], "since"),
        (aged(HOUR_MS, last=9), [aged(60_001)], "not"),
        (aged(HOUR_MS, last=9), [aged(60_001), aged(-5)], "since"),
        (aged(HOUR_MS), [aged(60_001)], "since"),
        (Shard("of unknown age", 1), [], "since"),
        (aged(HOUR_MS, last=9), [Shard("of unknown age", 1)], "since"),
    ],
)
def test_what_began_later_is_read_whole_and_what_ended_before_is_not_read(
    shard: Shard, children: list[Shard], expected: str
) -> None:
    assert first_read(shard, children, SINCE_MS) == expected


def test_from_the_beginning_everything_is_read_from_its_oldest_record() -> None:
    assert first_read(aged(HOUR_MS, last=9), [aged(60_001)], None) == "oldest"


@pytest.mark.parametrize(("second", "expected"), [(1_779_999_999, False), (1_780_000_000, True)])
def test_a_change_of_that_very_second_is_delivered(second: int, expected: bool) -> None:
    record = ChangeRecord(1, 1, "INSERT", second * 1_000_000, 0, 0, b"", b"{}", precision_us=1_000_000)
    assert is_wanted(record, SINCE_MS) is expected


def saved(state: StateStore, start: StartPosition, server_ms: int) -> int | None:
    return asyncio.run(performed(state, saved_start("shop", "mail", start, server_ms)))


@pytest.mark.parametrize(
    ("start", "expected"), [(AtName("end"), SINCE_MS), (AtTime(7), 7), (AtName("beginning"), None)]
)
def test_where_a_mapping_begins_is_saved_once_and_holds_at_every_start(
    start: StartPosition, expected: int | None
) -> None:
    state = MemoryStateStore()
    assert saved(state, start, SINCE_MS) == expected
    for later in (AtName("where it was"), AtName("end"), AtTime(9), start):
        assert saved(state, later, SINCE_MS + HOUR_MS) == expected


class SavedMeanwhile(MemoryStateStore):
    """Another worker saves where it begins, after this one has looked."""

    async def transact(self, writes: Sequence[Action]) -> None:
        (write,) = writes
        assert isinstance(write, Write)
        if await self.get(write.key) is None:
            await super().transact([Write(write.key, {"v": 1, "id": "mail", "since_ms": 3})])
        await super().transact(writes)


def test_of_two_workers_that_begin_at_once_both_begin_where_the_first_did() -> None:
    assert saved(SavedMeanwhile(), AtName("end"), SINCE_MS) == 3
