"""What alerts are decided on, as the state and the drivers say it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.gap import Gap
from tailrace.leases.lease import lease_key, take
from tailrace.rows.writes import Write
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.watermark import MappingName
from tailrace.server.observe import ShardProgress
from tailrace.server.signs import CONTESTED_MS, ContestedLeases, handler_signs
from tailrace.stores.memory import MemoryStateStore
from tailrace.views.reading import ViewSources

MAIL = MappingName("shop", "mail", "orders")
LABEL, SHARD = "2026-11-01T00:00:00.000", "shard-1"


def signs(*progress: ShardProgress, state: MemoryStateStore | None = None) -> Any:
    reading = ViewSources(state or MemoryStateStore(), None, ManualClock(), retention_ms=10_000)  # type: ignore[arg-type]
    return asyncio.run(handler_signs(reading, MAIL, progress))


def test_the_worst_shard_counts_and_stillness_only_where_a_change_waits_as_long() -> None:
    seen = signs(
        ShardProgress("mail", "orders", "1", 4_000, 100),
        ShardProgress("mail", "orders", "2", None, 9_000, lag_ms=250),
        ShardProgress("mail", "orders", "3", 2_000, 3_000),
    )
    assert (seen.lag_ms, seen.left_ms, seen.stuck_ms) == (4_000, 6_000, 2_000)


def test_a_handler_of_which_nothing_is_known_has_no_signs() -> None:
    seen = signs()
    assert (seen.lag_ms, seen.left_ms, seen.stuck_ms, seen.dead_letters) == (0, 10_000, 0, 0)


def test_a_gap_counts_until_it_is_acknowledged() -> None:
    state = MemoryStateStore()
    first, second = Gap("s", 1, 2, 5, 9), Gap("s", 3, 4, 5, 9, 77)
    writes = [Write(gap.key("shop", "mail"), gap.fields()) for gap in (first, second)]
    asyncio.run(state.transact(writes))
    assert signs(state=state).open_gaps == 1


# ---- two owners --------------------------------------------------------------------------------------------


class Fleet:
    """A worker that reads one shard, and its lease row."""

    def __init__(self) -> None:
        self.clock, self.state = ManualClock(), MemoryStateStore()
        self.contested = ContestedLeases("shop", self.state, self.clock, "w1")
        self.phase = "running"
        self.own("w1")

    def own(self, owner: str) -> None:
        key = lease_key("shop", LABEL, SHARD)
        row = asyncio.run(self.state.get(key))
        write = take(key, None if row is None else row.fields, owner or "w1")[1]
        fields = {**(write.fields or {}), "owner": owner}
        asyncio.run(self.state.transact([Write(key, fields)]))

    def look(self) -> Any:
        place = MappingShard("shop", "mail", "orders", LABEL, SHARD)
        settling = SimpleNamespace(place=place)
        driver = SimpleNamespace(
            delivery=SimpleNamespace(settling=settling), machine=SimpleNamespace(phase=self.phase)
        )
        return asyncio.run(self.contested.look([driver]))  # type: ignore[list-item]


@pytest.mark.parametrize(("after_ms", "is_contested"), [(CONTESTED_MS, False), (CONTESTED_MS + 1, True)])
def test_a_shard_that_is_read_past_the_time_of_a_lease_that_is_anothers_has_two_owners(
    after_ms: int, is_contested: bool
) -> None:
    fleet = Fleet()
    fleet.own("w2")
    assert fleet.look() == {}
    fleet.clock.advance(after_ms)
    assert fleet.look() == ({"mail": (SHARD,)} if is_contested else {})


@pytest.mark.parametrize(("owner", "phase"), [("w1", "running"), ("", "running"), ("w2", "lost")])
def test_ones_own_lease_one_that_was_left_and_a_reader_that_drains_are_well(owner: str, phase: str) -> None:
    fleet = Fleet()
    fleet.phase = phase
    fleet.own(owner)
    fleet.look()
    fleet.clock.advance(10 * CONTESTED_MS)
    assert fleet.look() == {}


def test_the_time_begins_anew_when_the_lease_has_come_back_meanwhile() -> None:
    fleet = Fleet()
    for owner in ("w2", "w1", "w2"):
        fleet.own(owner)
        fleet.look()
        fleet.clock.advance(CONTESTED_MS)
    fleet.own("w2")
    assert fleet.look() == {}
