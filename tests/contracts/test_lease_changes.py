"""Why leases came to a worker and went, as its metrics count them.

Rules of this file: three shards, and a handler that handles nothing.
"""

from tests.contracts.delivering import Without
from tests.contracts.fleet import MINUTE_MS, Fleet, told


def test_each_way_in_which_a_lease_comes_and_goes_is_counted_under_its_reason() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.begin(before_ms=0, shards=4, changes=0)
        one = fleet.join("one")
        await fleet.pass_ms(MINUTE_MS)
        changes = one.worker.leases.changes
        assert +changes == {"taken": 4}
        two = fleet.join("two")
        await fleet.pass_ms(MINUTE_MS)
        assert +changes == {"taken": 4, "handed over": 2}
        assert +two.worker.leases.changes == {"taken": 2}
        await two.kill()
        await fleet.pass_ms(MINUTE_MS)
        assert +changes == {"taken": 4, "handed over": 2, "taken over": 2}
        assert isinstance(one.state, Without)
        one.state.is_cut = True
        await fleet.pass_ms(MINUTE_MS)
        assert changes["expired"] == 4
        one.state.is_cut = False
        await fleet.pass_ms(MINUTE_MS)
        assert (changes["taken"], changes["lost"]) == (8, 0), "its own rows name it still"
        one.worker.stop()
        await fleet.pass_ms(MINUTE_MS)
        assert one.task.done()
        assert changes["given back"] == 4
        assert sum(changes[reason] for reason in ("taken", "taken over")) == 10
        assert sum(changes.values()) - 10 == 10, "what has come has gone"

    told(story)


def test_a_lease_that_another_worker_has_and_a_shard_that_is_over_are_counted() -> None:
    async def story(fleet: Fleet) -> None:
        fleet.source.begin(shards=1)
        one = fleet.join("one")
        await fleet.pass_ms(MINUTE_MS)
        fleet.source.split("shard-1")
        await fleet.pass_ms(MINUTE_MS)
        changes = one.worker.leases.changes
        assert +changes == {"taken": 3, "finished": 1}
        one.worker.leases.lose(("stream-1", "shard-2"))
        assert changes["lost"] == 1

    told(story)
