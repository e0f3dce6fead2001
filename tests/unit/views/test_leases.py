"""Which owners of leases are seen to live, and what is told of leases."""

from collections.abc import Callable

from tailrace.clocks.manual import ManualClock
from tailrace.leases.lease import lease_key, release, take
from tailrace.rows.writes import Write
from tailrace.stores.memory import MemoryStateStore
from tailrace.views.at_once import at_once
from tailrace.views.leases import lease_values, leases, watched


class Watching(ManualClock):
    """A clock whose sleep is the time in which something happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens
        self.slept_ms = 0

    async def sleep_until(self, monotonic_ms: int) -> None:
        self.slept_ms = monotonic_ms - self.now().monotonic_ms
        self._happens()


def held(state: MemoryStateStore, app: str, shard: str, owner: str) -> str:
    key = lease_key(app, "stream", shard)
    at_once(state.transact([take(key, None, owner)[1]]))
    return key


def renewed(state: MemoryStateStore, key: str) -> None:
    row = at_once(state.get(key))
    assert row is not None
    at_once(state.transact([Write(key, {**row.fields, "counter": row.fields["counter"] + 1})]))


def test_an_owner_that_moves_any_of_its_rows_lives_and_one_that_moves_none_is_not_seen_to() -> None:
    state = MemoryStateStore()
    moving = held(state, "shop", "a", "one")
    held(state, "shop", "b", "one")
    held(state, "shop", "c", "two")
    clock = Watching(lambda: renewed(state, moving))
    assert at_once(watched(state, clock, 5_000, "shop")) == {"one"}
    assert clock.slept_ms == 5_000


def test_owners_of_another_app_are_not_looked_at() -> None:
    state = MemoryStateStore()
    other = held(state, "other", "a", "one")
    assert at_once(watched(state, Watching(lambda: renewed(state, other)), 1, "shop")) == frozenset()
    assert at_once(watched(state, Watching(lambda: renewed(state, other)), 1)) == {"one"}


def test_a_lease_is_held_still_or_free() -> None:
    state = MemoryStateStore()
    for shard, owner in (("a", "one"), ("b", "two")):
        held(state, "shop", shard, owner)
    free = held(state, "shop", "c", "three")
    at_once(state.transact([release(at_once(leases(state, "shop"))["stream", "c"])]))
    values = at_once(lease_values(state, {"one"}, "shop"))
    assert [(value["shard"], value["state"], value["owner"]) for value in values] == [
        ("a", "held", "one"), ("b", "still", "two"), ("c", "free", None),
    ]  # fmt: skip
    assert free
