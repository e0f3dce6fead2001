"""A shard that no worker reads is told by one: how late, how long until the trim, and since when nothing
moves.

Rules of this file: three workers of which none may take the lease of a shard, until a test lets one.
"""

from collections.abc import Sequence

import pytest

from tailrace.alerts.core.signs import AlertBounds, holding
from tailrace.errors import StoreError
from tailrace.mapping.batch import RETENTION_MS
from tailrace.runtime.pacing import Pacer
from tailrace.runtime.sight import Sight
from tailrace.runtime.watermark import MappingName
from tailrace.server.observe import HandlerTotals, Observed, ShardProgress, samples
from tailrace.server.readers import readers_progress, shard_states, unread_of
from tailrace.server.signs import handler_signs
from tailrace.telemetry import METRICS
from tailrace.views.reading import ViewSources
from tailrace.worker.watching import LOOK_MS
from tests.contracts.delivering import Without
from tests.contracts.fleet import MINUTE_MS, STEP_MS, Fleet, Member, told

NOTE = MappingName("shop", "note", "orders")
AGE_MS = 25 * MINUTE_MS
"""How old the backlog is when the workers begin."""


def seeing(fleet: Fleet) -> Sight:
    """What a process knows whose tables were listed just now, and that has read nothing."""
    sight = Sight(fleet.clock, Pacer())
    sight.listed("orders", "")
    return sight


def looking(fleet: Fleet, member: Member) -> tuple[ViewSources, Sequence[ShardProgress]]:
    """What a worker reads for its metrics, and how it says that the handler stands in each shard."""
    sight = seeing(fleet)
    reading = ViewSources(
        fleet.state,
        member.watch._log,
        fleet.clock,
        member.worker,
        RETENTION_MS,
        "shop",  # type: ignore[arg-type]
    )
    return reading, readers_progress(reading, sight, NOTE, unread_of(member.worker, "note"))


def figures(fleet: Fleet, member: Member) -> dict[str, float]:
    """What a scrape of a worker says of the handler. Units: seconds."""
    _, progress = looking(fleet, member)
    now = fleet.clock.now()
    observed = Observed(
        "1", progress, [HandlerTotals("note", "orders")], retention_ms=RETENTION_MS, wall_ms=now.wall_ms
    )
    by_name = {metric.name: metric for metric in METRICS}
    return {
        name: dict(samples(by_name[f"tailrace_{name}"], observed))["orders", "note"]
        for name in ("lag_seconds", "retention_left_seconds", "last_progress_timestamp_seconds")
    }


async def three_without(fleet: Fleet, *shards: str) -> None:
    """A backlog of that age, and three workers that never get these shards, for two minutes."""
    await fleet.begin(before_ms=22 * 60 * MINUTE_MS - AGE_MS, shards=2)
    for name in ("one", "two", "three"):
        fleet.join(name, *shards)
    await fleet.pass_ms(2 * MINUTE_MS)


def telling(fleet: Fleet) -> list[Member]:
    return [member for member in fleet.members if not member.task.done() and member.watch.of("note")]


def test_a_shard_that_no_worker_may_take_is_told_by_one_of_three() -> None:
    async def story(fleet: Fleet) -> None:
        await three_without(fleet, "shard-1")
        (teller,) = telling(fleet)
        assert [shard.shard_id for shard in teller.watch.of("note")] == ["shard-1"]
        assert teller.watch.unowned == {"orders": 1}
        age_s = (AGE_MS + 2 * MINUTE_MS) / 1_000
        said = figures(fleet, teller)
        assert said["lag_seconds"] == age_s
        assert said["retention_left_seconds"] == 86_400 - age_s
        still_s = fleet.clock.now().wall_ms / 1_000 - said["last_progress_timestamp_seconds"]
        assert 100 <= still_s <= 120
        assert all("lag_seconds" in figures(fleet, member) for member in fleet.members)
        assert fleet.aside()["shard-1"] == 1, "until the checkpoint moves the answer is the same"

    told(story)


def test_the_canary_without_the_duty_such_a_shard_is_in_no_workers_lag() -> None:
    async def story(fleet: Fleet) -> None:
        await three_without(fleet, "shard-1", "shard-2")
        for member in fleet.members:
            member.worker._crew = type(member.worker._crew)(has_duty=never)
        await fleet.pass_ms(MINUTE_MS)
        assert telling(fleet) == []
        assert max(figures(fleet, member)["lag_seconds"] for member in fleet.members) < 240

    async def never(_: str) -> bool:
        return False

    told(story)


def test_alerts_hold_for_a_shard_that_no_worker_reads() -> None:
    async def story(fleet: Fleet) -> None:
        await three_without(fleet, "shard-1", "shard-2")
        await fleet.pass_ms(9 * MINUTE_MS)
        (teller,) = telling(fleet)
        reading, progress = looking(fleet, teller)
        signs = await handler_signs(reading, NOTE, progress)
        assert set(holding(signs, AlertBounds(), 0)) == {"late", "stuck"}

    told(story)


def test_when_the_worker_that_tells_dies_another_one_does_and_when_a_shard_is_read_none_does() -> None:
    async def story(fleet: Fleet) -> None:
        await three_without(fleet, "shard-1")
        (teller,) = telling(fleet)
        await teller.kill()
        await fleet.pass_ms(2 * MINUTE_MS)
        (other,) = telling(fleet)
        assert other is not teller
        assert figures(fleet, other)["lag_seconds"] == (AGE_MS + 4 * MINUTE_MS) / 1_000
        for member in fleet.members:
            assert isinstance(member.state, Without)
            member.state.shards.clear()
        await fleet.pass_ms(2 * MINUTE_MS)
        assert set((await fleet.owners()).values()) == {
            member.owner for member in fleet.members if member is not teller
        }
        assert telling(fleet) == []
        lags = [figures(fleet, member)["lag_seconds"] for member in fleet.members if member is not teller]
        assert max(lags) == (AGE_MS + 6 * MINUTE_MS) / 1_000

    told(story)


def test_a_shard_without_changes_is_as_late_as_the_last_look_at_it_and_one_with_a_change_as_old() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.begin(before_ms=0, shards=1, changes=0)
        fleet.join("one", "shard-1")
        for _ in range(20):
            await fleet.pass_ms(STEP_MS)
            assert figures(fleet, fleet.members[0])["lag_seconds"] <= 2 * LOOK_MS / 1_000
        assert fleet.aside()["shard-1"] == 4, "once a look, and not at the first"
        fleet.source.write("o1")
        await fleet.pass_ms(MINUTE_MS)
        assert figures(fleet, fleet.members[0])["lag_seconds"] == 60
        assert fleet.aside()["shard-1"] == 5

    told(story)


def test_a_shard_whose_reader_cannot_begin_is_told_by_the_worker_that_has_its_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.begin(before_ms=22 * 60 * MINUTE_MS - AGE_MS, shards=1)
        for name in ("one", "two"):
            fleet.join(name)
            monkeypatch.setattr(fleet.members[-1].worker.pauses, "look_at", failing)
        await fleet.pass_ms(2 * MINUTE_MS)
        (owner,) = set((await fleet.owners()).values())
        (teller,) = telling(fleet)
        assert teller.owner == owner
        assert list(teller.watch.held) == [("stream-1", "shard-1")]
        assert teller.watch.unowned == {}
        states = [dict(shard_states(member.worker, seeing(fleet))) for member in fleet.members]
        assert sorted(state["orders", "unread"] for state in states) == [0, 1]
        assert all(state["orders", "read"] == state["orders", "unowned"] == 0 for state in states)
        assert figures(fleet, teller)["lag_seconds"] == (AGE_MS + 2 * MINUTE_MS) / 1_000

    async def failing(_: str) -> None:
        raise StoreError("throttled")

    told(story)


def test_shards_are_counted_by_what_is_read_and_not_by_what_is_listed() -> None:
    async def story(fleet: Fleet) -> None:
        await three_without(fleet, "shard-1")
        sight = seeing(fleet)
        states = [dict(shard_states(member.worker, sight)) for member in fleet.members]
        assert sorted(state["orders", "unowned"] for state in states) == [0, 0, 1]
        assert sum(state["orders", "read"] + state["orders", "unread"] for state in states) == 1
        # Its reader is paused: what it holds is read no more.
        assert sum(state["orders", "unread"] for state in states) == 1

    told(story)
