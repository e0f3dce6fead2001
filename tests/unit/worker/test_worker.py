"""The worker: shards, leases, generations, and the end."""

from collections.abc import Sequence
from typing import Any

import pytest

from tailrace import App, Change, Retry
from tailrace.deadletters.core.entry import DeadLetter
from tailrace.deadletters.core.head import parked
from tailrace.engine.state import EngineStateStore
from tailrace.errors import SettingsError, StoreError
from tailrace.leases.checkpoint import raised
from tailrace.leases.lease import lease_key
from tailrace.mapping.commands import GivenUp
from tailrace.ports import Failure
from tailrace.rows.writes import Write
from tailrace.runtime.delivering import MappingShard, letter_of
from tailrace.testing import World


class Shop:
    """An app with a handler that notes what it sees."""

    def __init__(self, **settings: Any) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.seen: list[tuple[str, Any]] = []
        self.app.on(self.orders, id="note", **settings)(self.note)

    def note(self, change: Change) -> None:
        assert change.new is not None
        self.seen.append((change.key, change.new.get("n")))


def leases(world: World) -> list[dict[str, Any]]:
    return [dict(row.fields) for row in world.engine.state.query("lease/shop/")]


def test_each_start_takes_every_shard_under_a_new_epoch() -> None:
    shop = Shop()
    with World(shop.app, seed=1, shards=4) as world:
        world.settle()
        assert [lease["epoch"] for lease in leases(world)] == [1, 1, 1, 1]
        world.restart()
        world.settle()
        assert [lease["epoch"] for lease in leases(world)] == [2, 2, 2, 2]


def test_when_a_handler_was_first_declared_is_kept_by_every_later_start() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        world.settle()
        (first,) = world.engine.state.query("mapping/shop/")
        world.advance("3h")
        world.restart()
        world.settle()
        (later,) = world.engine.state.query("mapping/shop/")
        assert later.fields == first.fields
        assert 0 < first.fields["began_ms"] <= world.clock.now().wall_ms - 3 * 3_600_000


def test_one_lease_serves_all_handlers_of_a_shard() -> None:
    shop = Shop()
    shop.app.on(shop.orders, id="second")(lambda change: None)
    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "a"})
        world.settle()
        assert len(leases(world)) == 1
        assert world.delivered("second") == world.delivered("note") == ["a"]


def test_a_worker_lives_by_one_row_and_its_leases_do_not_change_meanwhile() -> None:
    shop = Shop()
    with World(shop.app, seed=1, shards=4) as world:
        world.settle()
        world.advance("1h")
        (begun,) = world.engine.state.query("member/shop/")
        before = leases(world)
        world.advance("2h")
        (member,) = world.engine.state.query("member/shop/")
        assert member.key == begun.key == "member/shop/world-0"
        assert member.fields["counter"] > begun.fields["counter"] + 5
        assert leases(world) == before
        assert {lease["counter"] for lease in before} == {1}


def test_a_worker_whose_lease_was_taken_saves_nothing_more() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "a"})
        world.settle()
        stream = world.engine.stream_of("orders")
        (shard,) = world.engine.shards_of(stream.arn)
        key = lease_key("shop", stream.label, shard.shard_id)
        (lease,) = leases(world)
        stolen = {**lease, "owner": "thief", "epoch": lease["epoch"] + 1, "counter": lease["counter"] + 1}
        _, stamped = raised(world.engine.state.query("checkpoint/")[0], lease["epoch"] + 1, None)
        world.engine.workers.add("thief")
        world.engine.state.transact([Write(key, stolen), stamped])
        world.engine.committer.flush()
        (before,) = world.engine.state.query("checkpoint/")
        world.put(shop.orders, {"id": "b"})
        world.advance("1m")
        assert [row.fields for row in world.engine.state.query("checkpoint/")] == [before.fields]
        assert world._running[0].worker.status() == [], "the driver has ended"
        assert world.lag() > 0


def test_children_wait_for_their_parent_so_that_order_holds() -> None:
    is_open: list[str] = []

    class Gate(Shop):
        def note(self, change: Change) -> None:
            if not is_open:
                raise ValueError("closed")
            super().note(change)

    shop = Gate(retry=Retry(100, backoff="10m..10m"))
    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "a", "n": 1})
        world.advance("5h")
        world.put(shop.orders, {"id": "a", "n": 2})
        world.advance("5h")
        world.put(shop.orders, {"id": "a", "n": 3})
        world.advance("1h")
        is_open.append("yes")
        world.settle()
        assert [int(n) for _, n in shop.seen] == [1, 2, 3]


def test_a_stream_made_anew_is_read_from_its_own_beginning() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "a", "n": 1})
        world.settle()
        world.engine.update_stream("orders", False)
        world.engine.committer.flush()
        world.put(shop.orders, {"id": "unseen", "n": 2})
        world.advance("1m")
        world.engine.update_stream("orders", True, "NEW_AND_OLD_IMAGES")
        world.engine.committer.flush()
        world.put(shop.orders, {"id": "b", "n": 3})
        world.settle()
        assert [key for key, _ in shop.seen] == ["a", "b"]


def test_a_state_store_that_fails_at_the_start_is_tried_again() -> None:
    shop = Shop()
    failing = ["commit.done"]

    def reached(point: str) -> None:
        if failing and is_armed and point == "commit.done":
            failing.pop()
            raise StoreError("the disk is full")

    is_armed = False
    with World(shop.app, seed=1, reached=reached) as world:
        is_armed = True
        world.advance("30m")
        assert failing == []
        world.put(shop.orders, {"id": "a"})
        world.settle()
        assert world.delivered("note") == ["a"]


def test_stop_drains_and_leaves_the_leases_free() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "a"})
        world.settle()
        (running,) = world._running
        running.worker.stop()
        world.loop.run_until_complete(running.task)
        assert [lease["owner"] for lease in leases(world)] == [""]
        assert world.engine.state.query("member/shop/") == [], "it has left the fleet"
        assert running.worker.status() == []


def test_the_status_names_what_runs() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "a"})
        world.settle()
        (status,) = world._running[0].worker.status()
        assert (status.app, status.mapping_id, status.table, status.unsettled) == (
            "shop",
            "note",
            "orders",
            0,
        )
        assert (status.settled["handled"], status.blocked) == (1, None)
        assert status.watermark > 0


def test_mappings_are_known_by_their_ids() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        (row,) = world.engine.state.query("mapping/shop/")
        assert row.fields.items() >= {"v": 1, "id": "note", "table": "orders"}.items()


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda app: app.table("orders", pk="other"), "another key"),
        (lambda app: app.table("orders", pk="id", pk_type="N"), r"id \(S\) instead of id \(N\)"),
        (lambda app: app.table("orders", pk="id", sk="x"), "another key"),
        (lambda app: app.table("orders", pk="id", stream="KEYS_ONLY"), "the stream NEW_AND_OLD_IMAGES"),
    ],
)
def test_a_table_that_is_there_and_differs_stops_the_start(declare: Any, words: str) -> None:
    other = App("other")
    declare(other)
    with World(Shop().app, seed=1) as world, pytest.raises(SettingsError, match=words):
        world.use(other)


def test_a_table_that_is_there_without_a_stream_stops_the_start() -> None:
    first, second = App("first"), App("second")
    first.table("orders", pk="id", stream=None)
    second.on(second.table("orders", pk="id"))(lambda change: None)
    with World(first, seed=1) as world, pytest.raises(SettingsError, match="no stream"):
        world.use(second)


def test_what_the_last_owner_parks_while_the_lease_changes_hands_is_known_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Shop()
    transact, letters = EngineStateStore.transact, list[DeadLetter]()

    async def with_a_last_word(self: EngineStateStore, writes: Sequence[Any]) -> None:
        if letters and any(isinstance(write, Write) and write.key.startswith("lease/") for write in writes):
            rows = parked("shop", "note", None, [letters.pop()], 0)
            await transact(self, list(rows))
        await transact(self, writes)

    monkeypatch.setattr(EngineStateStore, "transact", with_a_last_word)
    with World(shop.app, seed=1, allow_failures=True) as world:
        world.put(shop.orders, {"id": "a", "n": 1})
        world.settle()
        world.kill()
        for n in (2, 3):
            world.put(shop.orders, {"id": "a", "n": n})
        stream = world.engine.stream_of("orders")
        (shard,) = world.engine.shards_of(stream.arn)
        _, second, _ = world.engine.log.read(shard, 0, 10).records
        place = MappingShard("shop", "note", "orders", stream.label, shard.shard_id)
        given_up = GivenUp(second, "RetryAttemptsExhausted", 6, Failure(error="ValueError: no"), 1, 1)
        letters.append(letter_of(place, given_up, ""))
        world.restart()
        world.settle()
        assert letters == []
        assert shop.seen == [("a", 1)], "the third change waits behind the second, which is parked"
        assert (len(world.dead_letters("note")), len(shop.app.dlq("note"))) == (1, 2)
