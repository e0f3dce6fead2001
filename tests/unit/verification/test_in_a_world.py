"""Comparisons in a world: what waits, what fails, what a filter and a transform leave, what is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from tailrace import App, Change, Item, Retry, changed, new, old
from tailrace.app.predicates import by_ttl, needs_history
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SourceError, StoreError, TailraceError
from tailrace.testing import World
from tailrace.testing.loop import SeededLoop
from tailrace.testing.mirrors import MirrorMemory, MirrorRow
from tailrace.verification.run.pacing import TRIES, Pacing
from tailrace.verification.run.working_set import WorkingSet

KINDS = ("missing", "different", "extra", "waits", "failed", "unjudged")


def counts(report: dict[str, Any]) -> dict[str, int]:
    """What differs, by kind."""
    return {kind: report[kind] for kind in KINDS if report[kind]}


class Shop:
    """Orders, and a mirror of them that refuses some."""

    def __init__(self, **settings: Any) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.mirror = MirrorMemory()
        self.app.sink(self.orders, self.mirror, id="copy", retry=Retry(0), **settings)


def test_a_key_with_a_parked_change_waits_and_is_not_mended() -> None:
    bad = {"b"}

    def judged(change: Change[Any]) -> bool:
        if change.keys["id"] in bad:
            raise ValueError("bad")
        return True

    shop = Shop(where=judged)
    with World(shop.app, seed=1, sinks="real", allow_failures=True) as world:
        for name in "abc":
            world.put(shop.orders, {"id": name})
        world.settle()
        assert counts(world.verified("copy")) == {"failed": 1}
        assert "ValueError: bad" in world.verified("copy")["differences"][0]["reason"]
        bad.clear()
        report = world.verified("copy", repair=True)
        assert (counts(report), report["mended"], report["left"]) == ({"waits": 1}, 0, 1)
        assert report["differences"][0]["reason"].endswith("tailrace dlq redrive copy")
        world._ask("dlq.redrive", {"handler": "copy"})
        world.settle()
        assert world.verified("copy")["equal"]


def test_what_a_snapshot_has_still_to_bring_is_not_told_as_missing() -> None:
    shop = Shop(snapshot=True)
    with World(shop.app, seed=3, sinks="real") as world:
        for name in "abc":
            world.put(shop.orders, {"id": name})
        world.settle()
        world.advance("1m")
        assert world.verified("copy")["equal"]
        key = next(iter(shop.mirror.target.rows))
        row = shop.mirror.target.rows.pop(key)
        world._ask("snapshot.start", {"handler": "copy"})
        world._ask("snapshot.pause", {"handler": "copy"})
        (plan,) = world._ask("sink.plan", {"sink": "copy"})
        assert plan["snapshot"] == "snapshot 2 has not begun (it is paused)"
        for repair in (False, True):
            report = world.verified("copy", repair=repair)
            assert (counts(report), report["equal"], report["mended"]) == ({"unjudged": 1}, False, 0)
            assert report["snapshot"] == plan["snapshot"]
            assert report["differences"] == []
        world._ask("snapshot.resume", {"handler": "copy"})
        world.advance("1m")
        assert row in shop.mirror.target.rows.values() or key in shop.mirror.target.rows
        report = world.verified("copy")
        assert (report["equal"], report["snapshot"]) == (True, "")
        del shop.mirror.target.rows[key]
        assert counts(world.verified("copy")) == {"missing": 1}, "nothing is to bring it any more"


def test_an_item_that_the_filter_does_not_want_has_no_row_and_one_that_is_shown_is_extra() -> None:
    shop = Shop(where=lambda change: change.new["n"] > 1)
    with World(shop.app, seed=1, sinks="real") as world:
        for number in range(4):
            world.put(shop.orders, {"id": f"o{number}", "n": number})
        world.settle()
        report = world.verified("copy")
        assert (report["items"], report["wanted"], report["equal"]) == (4, 2, True)
        rows = shop.mirror.target.rows
        key = world.engine.schema("orders").key_bytes({"id": {"S": "o0"}})
        rows[key] = MirrorRow(max(row.version for row in rows.values()), b"{}", 0)
        assert counts(world.verified("copy")) == {"extra": 1}
        assert world.verified("copy", repair=True)["mended"] == 1
        assert rows[key].image is None
        assert world.verified("copy")["equal"]


def test_a_row_of_a_key_that_is_none_of_the_tables_is_told_and_left() -> None:
    shop = Shop()
    with World(shop.app, seed=1, sinks="real") as world:
        world.put(shop.orders, {"id": "a"})
        world.settle()
        (row,) = shop.mirror.target.rows.values()
        shop.mirror.target.rows[b"other"] = row
        report = world.verified("copy", repair=True)
        assert (counts(report), report["mended"]) == ({"extra": 1}, 0)
        assert report["differences"][0]["key"] == b"other".hex()
        assert "remove it where it is" in report["differences"][0]["reason"]


def test_a_repair_is_in_the_audit_and_a_dry_run_is_not() -> None:
    shop = Shop()
    with World(shop.app, seed=1, sinks="real") as world:
        world.put(shop.orders, {"id": "a"})
        world.settle()
        shop.mirror.target.rows.clear()
        world._ask("sink.repair", {"sink": "copy", "dry_run": True})
        assert world._ask("audit", {}) == [[]]
        assert not shop.mirror.target.rows
        world.verified("copy", repair=True)
        (notes,) = world._ask("audit", {})
        assert [(note["verb"], note["outcome"]) for note in notes] == [
            ("sink.repair", "ok"),
            ("sink.mended", "ok"),
        ]
        assert notes[1]["arguments"] == {
            "sink": "copy",
            "rows": 1,
            "first": [["missing", {"id": {"S": "a"}}]],
        }


def of_an_order(app: App) -> type[Item]:
    class Order(Item, table=app.table("orders", pk="pk", sk="sk"), pk="ORDER#{id}", sk="META"):
        id: str
        status: str = "new"

    return Order


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda app, order: app.sink(order.modified, MirrorMemory(), id="copy"), "some kinds of changes"),
        (
            lambda app, order: app.sink(order, MirrorMemory(), id="copy", where=changed(order.status)),
            "asks how an item changed",
        ),
        (
            lambda app, order: [
                app.sink(order.inserted, mirror, id="copy") or app.sink(order.modified, mirror, id="other")
                for mirror in [MirrorMemory()]
            ],
            "those of other too",
        ),
    ],
)
def test_what_is_no_copy_of_a_table_is_refused(declare: Callable[[App, Any], Any], words: str) -> None:
    app = App("shop")
    declare(app, of_an_order(app))
    with World(app, seed=1, sinks="real") as world, pytest.raises(TailraceError, match=words):
        world.verified("copy")


def test_a_filter_asks_how_an_item_changed_if_any_part_of_it_does() -> None:
    order: Any = of_an_order(App("shop"))
    now, was = new(order.status) == "paid", old(order.status) == "paid"
    for predicate in (now, ~now, now & now, now | now, new(order.status).exists()):
        assert not needs_history(predicate), predicate
    for predicate in (
        was,
        ~was,
        now & was,
        was | now,
        old(order.status).in_("a"),
        changed(order.status),
        by_ttl(),
    ):
        assert needs_history(predicate), predicate
    assert needs_history(new(order.status) == old(order.status))


# ---- waiting, and what is kept meanwhile -------------------------------------------------------------------


def test_a_table_that_does_not_answer_is_asked_again_a_few_times() -> None:
    clock = ManualClock()
    loop = SeededLoop(1, clock)
    asked: list[int] = []

    async def ask() -> str:
        asked.append(clock.now().monotonic_ms)
        if len(asked) < 3:
            raise SourceError("throttled", retry_after_ms=1_000)
        return "here"

    async def never() -> str:
        asked.append(0)
        raise SourceError("away")

    assert loop.run_until_complete(Pacing(clock).patiently(ask)) == "here"
    assert [later - asked[0] for later in asked] == [0, 1_000, 2_000]
    asked.clear()
    with pytest.raises(SourceError, match="away"):
        loop.run_until_complete(Pacing(clock).patiently(never))
    assert len(asked) == TRIES
    loop.close()


def test_read_units_are_earned_before_more_are_used() -> None:
    clock = ManualClock()
    loop = SeededLoop(1, clock)
    began = clock.now().monotonic_ms

    async def spend(per_s: float) -> int:
        pacing = Pacing(clock, per_s)
        for _ in range(4):
            await pacing.spend(50)
        return clock.now().monotonic_ms - began

    assert loop.run_until_complete(spend(0)) == 0
    assert loop.run_until_complete(spend(100)) == 2_000
    loop.close()


def test_the_working_set_keeps_the_later_digest_and_each_suspect_once() -> None:
    loop = SeededLoop(1)

    async def story() -> None:
        working = WorkingSet()
        await working.keep([(b"b", b"1"), (b"a", None)])
        await working.keep([(b"b", b"2"), (b"c", b"3")])
        assert await working.items(b"", 2) == [(b"a", None), (b"b", b"2")]
        assert await working.items(b"b", 2) == [(b"c", b"3")]
        await working.suspect([b"b", b"a"])
        await working.suspect([b"b"])
        assert (await working.suspects(b"", 9), await working.suspect_count()) == ([b"a", b"b"], 2)
        working.close()

    loop.run_until_complete(story())
    loop.close()


def test_a_disk_that_is_full_is_said_with_the_place_and_what_to_do() -> None:
    loop = SeededLoop(1)

    async def story() -> None:
        working = WorkingSet()
        working.close()  # as near as a test comes to a disk that fails
        with pytest.raises(StoreError, match="cannot be kept") as raised:
            await working.keep([(b"a", b"1")])
        assert "TMPDIR" in str(raised.value)

    loop.run_until_complete(story())
    loop.close()
