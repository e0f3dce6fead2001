"""A clock that jumps trims nothing by itself: what has become old by it is kept for an hour more.

Rules of this file: a clock whose wall time can be set without time passing, as people and laptops do.
"""

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.engine.horizon import KEPT_MS, Horizon
from tailrace.ports import Now
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Put

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEARS_MS = 3_650 * DAY_MS


class Jumping(ManualClock):
    """A manual clock whose wall time jumps."""

    jumped_ms = 0

    def now(self) -> Now:
        now = super().now()
        return Now(now.wall_ms + self.jumped_ms, now.monotonic_ms)


class Ground:
    """A table with a stream, one change of an hour ago, and an item that is due to expire in two."""

    def __init__(self) -> None:
        self.clock = Jumping()
        self.engine = Engine(MemoryStore(), self.clock, EngineSettings())
        self.engine.create_table(TableDefinition("shop", "pk", "S", stream="NEW_AND_OLD_IMAGES"))
        self.engine.time_to_live.update("shop", "ttl", enabled=True)
        due_s = self.clock.now().wall_ms // 1_000 + 7_200
        self.engine.put(Put("shop", {"pk": {"S": "o1"}, "ttl": {"N": str(due_s)}}))
        self.engine.committer.flush()
        self.keep_house()
        self.pass_time(HOUR_MS)

    def pass_time(self, milliseconds: int) -> None:
        """With a round of housekeeping every now and then."""
        for _ in range(milliseconds // 600_000):
            self.clock.advance(600_000)
            self.keep_house()

    def keep_house(self) -> None:
        for _ in self.engine.housekeeping():
            self.engine.committer.flush()
        self.engine.committer.flush()

    def unread(self) -> list[str]:
        """The events that a reader from the beginning would get."""
        shards = self.engine.shards_of(self.engine.stream_of("shop").arn)
        return [
            record.event_name for shard in shards for record in self.engine.log.read(shard, 0, 100).records
        ]

    def has_item(self) -> bool:
        return self.engine.get("shop", {"pk": {"S": "o1"}}) is not None


def test_a_clock_that_jumps_ten_years_ahead_and_back_trims_and_expires_nothing() -> None:
    ground = Ground()
    ground.clock.jumped_ms = YEARS_MS
    ground.keep_house()
    assert (ground.unread(), ground.has_item()) == (["INSERT"], True)
    ground.pass_time(HOUR_MS // 2)
    assert (ground.unread(), ground.has_item()) == (["INSERT"], True)
    ground.clock.jumped_ms = 0
    ground.keep_house()
    assert (ground.unread(), ground.has_item()) == (["INSERT"], True)


def test_after_a_night_of_sleep_what_is_old_is_kept_for_one_more_hour_and_then_gone() -> None:
    ground = Ground()
    ground.clock.jumped_ms = 30 * HOUR_MS
    ground.pass_time(KEPT_MS - 600_000)
    assert ground.unread() == ["INSERT"]
    ground.pass_time(1_200_000)
    assert ground.unread() == ["REMOVE"]
    assert not ground.has_item()


def test_small_jumps_that_nobody_reads_after_do_not_add_up_to_a_large_one() -> None:
    ground = Ground()
    ground.engine.time_to_live.update("shop", "ttl", enabled=False)
    for jumps in (1, 2, 3):
        ground.clock.jumped_ms = jumps * 50 * 60_000
        ground.keep_house()
    ground.pass_time(DAY_MS - 3 * HOUR_MS)
    assert ground.unread() == []


def test_time_that_passes_trims_as_ever() -> None:
    ground = Ground()
    ground.pass_time(DAY_MS - HOUR_MS)
    assert ground.unread() == ["INSERT", "REMOVE"]
    ground.clock.advance(600_000)
    assert ground.unread() == ["REMOVE"]


def test_what_is_left_of_a_jump_goes_when_the_clock_is_set_back() -> None:
    clock = Jumping()
    horizon = Horizon(clock)
    clock.jumped_ms = 2 * HOUR_MS
    assert horizon.look() == 2 * HOUR_MS
    clock.jumped_ms = HOUR_MS // 2
    assert horizon.look() == HOUR_MS // 2
    clock.jumped_ms = -HOUR_MS
    assert horizon.look() == 0
