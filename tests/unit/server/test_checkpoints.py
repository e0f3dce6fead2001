"""Setting a handler's checkpoints: what is planned, what is set, and what a worker beside it does then."""

from collections.abc import Iterator
from typing import Any

import pytest

from tailrace import App, Change, Park, Retry
from tailrace.errors import TailraceError
from tailrace.rows.kinds import CHECKPOINT, LEASE, PLACED
from tailrace.rows.writes import Write
from tailrace.server.control import Subject, find_verb
from tailrace.streams.record import SequenceNumber
from tailrace.testing import World
from tailrace.views.at_once import at_once, listed


class Shop:
    """An app whose handler notes what it is told, and fails for some."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.failing: set[str] = set()
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")

        @self.app.on(self.orders, id="note", retry=Retry(0), on_failure=Park.key)
        def note(change: Change) -> None:
            if change.key in self.failing:
                raise ValueError("no")
            self.seen.append((change.key, int(change.new["n"])))

        @self.app.on(self.orders, id="other")
        def other(change: Change) -> None: ...


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def world(shop: Shop) -> Iterator[World]:
    with World(shop.app, seed=5, allow_failures=True) as world:
        yield world


def write(world: World, key: str, *numbers: int) -> None:
    for number in numbers:
        world.put("orders", {"id": key, "n": number})
        world.advance("10s")


def ask(world: World, verb: str, **arguments: Any) -> Any:
    (answer,) = world._ask(f"checkpoint.{verb}", {"handler": "note", **arguments})
    return answer


def set_offline(world: World, position: str) -> None:
    """What the command does where no process has the directory."""
    arguments = {"handler": "note", "position": position}
    asked = find_verb("checkpoint.set").run(Subject(world.engine, world.clock, is_offline=True), arguments)
    (answer,) = at_once(listed(asked))
    assert answer["repeated"]


def place(world: World, position: object, **arguments: Any) -> Any:
    answer = ask(world, "set", position=position, **arguments)
    world.advance("20s")
    return answer


def versions(world: World) -> list[str]:
    """The changes of the table by their versions, the oldest first."""
    engine = world.engine
    shards = engine.shards_of(engine.stream_of("orders").arn)
    records = [record for shard in shards for record in engine.log.read(shard, 0, 1_000).records]
    return [SequenceNumber(record.sequence).wire for record in sorted(records, key=lambda r: r.sequence)]


def test_show_tells_shards_epochs_and_versions(world: World) -> None:
    write(world, "a", 1, 2)
    (handler,) = ask(world, "show")
    (shard,) = handler["shards"]
    assert (handler["handler"], handler["app"], handler["table"]) == ("note", "shop", "orders")
    assert shard["watermark"] == f"1:{versions(world)[-1]}"
    assert (shard["generation"], shard["begun"], shard["finished"], shard["closed"]) == (
        1,
        True,
        False,
        False,
    )
    assert shard["epoch"] == 1
    assert (shard["ranges"], shard["parked_keys"]) == ([], 0)
    (both,) = world._ask("checkpoint.show", {})
    assert [entry["handler"] for entry in both] == ["note", "other"]


def test_show_tells_parked_keys_where_they_were_parked(world: World, shop: Shop) -> None:
    shop.failing.add("bad")
    write(world, "bad", 1)
    assert ask(world, "show")[0]["shards"][0]["parked_keys"] == 1


def test_the_beginning_repeats_everything_in_order_beside_a_worker(world: World, shop: Shop) -> None:
    write(world, "a", 1, 2, 3)
    answer = place(world, "beginning")
    assert (answer["repeated"], answer["skipped"], answer["dry_run"]) == (3, 0, False)
    assert shop.seen == [("a", 1), ("a", 2), ("a", 3)] * 2
    write(world, "a", 4)
    assert shop.seen[-1] == ("a", 4)
    assert world.lag() == 0


def test_the_other_handlers_of_the_shard_repeat_nothing(world: World) -> None:
    write(world, "a", 1, 2)
    place(world, "beginning")
    assert world.delivered("other") == ["a", "a"]


def test_a_dry_run_says_the_same_and_changes_nothing(world: World, shop: Shop) -> None:
    write(world, "a", 1, 2, 3)
    before = world.engine.state.query("")
    planned = ask(world, "set", position="beginning", dry_run=True)
    assert world.engine.state.query("") == before
    answer = place(world, "beginning")
    assert {**planned, "dry_run": False} == answer


@pytest.mark.parametrize(("name", "first"), [("at", 2), ("after", 3)])
def test_a_sequence_number_is_the_first_one_repeated_or_the_last_one_passed(
    world: World, shop: Shop, name: str, first: int
) -> None:
    write(world, "a", 1, 2, 3)
    (shard,) = ask(world, "show")[0]["shards"]
    number = versions(world)[1]
    for text in (number, f"1:{number}"):
        shop.seen.clear()
        answer = place(world, f"{name}:{text}", shard=shard["shard"])
        assert shop.seen == [("a", n) for n in range(first, 4)]
        assert answer["repeated"] == 4 - first


def test_a_time_begins_with_the_first_change_of_it(world: World, shop: Shop) -> None:
    write(world, "a", 1, 2, 3)
    second_ms = world.clock.now().wall_ms - 20_000
    place(world, second_ms)
    assert shop.seen[3:] == [("a", 2), ("a", 3)]
    shop.seen.clear()
    place(world, second_ms + 1)
    assert shop.seen == [("a", 3)]


def test_what_would_be_skipped_is_asked_for_named_and_told(world: World, shop: Shop) -> None:
    write(world, "a", 1)
    world._ask("pause", {"handler": "note"})
    write(world, "a", 2, 3)
    with pytest.raises(TailraceError, match="has not handled 2 changes") as refusal:
        place(world, "end")
    assert "--yes" in (refusal.value.hint or "")
    first, last = versions(world)[1:]
    planned = ask(world, "set", position="end", dry_run=True)
    (gap,) = planned["shards"][0]["gaps"]
    assert (gap["first"], gap["last"], gap["count"]) == (f"1:{first}", f"1:{last}", 2)
    answer = place(world, "end", yes=True)
    assert answer["skipped"] == 2
    (told,) = world._ask("gaps", {"handler": "note"})[0]
    assert (told["first"], told["last"], told["skipped"]) == (first, last, 2)
    assert told["acknowledged_ms"], "who said --yes knows it"
    world._ask("resume", {"handler": "note"})
    write(world, "a", 4)
    assert shop.seen == [("a", 1), ("a", 4)]
    assert world.lag() == 0
    (story,) = world._ask("why", {"what": "orders/a", "last": 3})
    told_of = [
        next(entry for entry in change["handlers"] if entry["handler"] == "note")
        for change in story["changes"]
    ]
    assert [(entry["state"], entry.get("is_skipped", False)) for entry in told_of] == [
        ("trimmed", True), ("trimmed", True), ("handled", False),
    ]  # fmt: skip


def test_changes_that_are_settled_between_skipped_ones_are_in_no_gap(world: World, shop: Shop) -> None:
    world._ask("pause", {"handler": "note"})
    write(world, "a", 1, 2, 3)
    numbers = [int(SequenceNumber.from_wire(text)) for text in versions(world)]
    (row,) = world.engine.state.query(CHECKPOINT.prefix("shop", "note"))
    fields = {**row.fields, "ranges": [[str(numbers[1]), str(numbers[1])]], "revision": "1/99"}
    world.engine.state.transact([Write(row.key, fields)])
    world.engine.committer.flush()
    answer = place(world, "end", yes=True)
    assert [gap["count"] for gap in answer["shards"][0]["gaps"]] == [1, 1]
    assert [gap["skipped"] for gap in world._ask("gaps", {"handler": "note"})[0]] == [1, 1]


def test_where_a_handler_stands_already_nothing_is_written(world: World) -> None:
    write(world, "a", 1)
    before = world.engine.state.query("")
    answer = ask(world, "set", position="end")
    assert [shard["to"] for shard in answer["shards"]] == [None]
    after = [row for row in world.engine.state.query("") if not row.key.startswith("audit/")]
    assert after == [row for row in before if not row.key.startswith("audit/")]


def test_a_lineage_goes_back_whole_parents_before_children(world: World, shop: Shop) -> None:
    write(world, "a", 1, 2)
    world.split("orders")
    write(world, "a", 3, 4)
    write(world, "b", 5)
    assert any(shard["finished"] for shard in ask(world, "show")[0]["shards"])
    shop.seen.clear()
    answer = place(world, "beginning")
    world.advance("1m")
    assert answer["repeated"] == 5
    assert [number for key, number in shop.seen if key == "a"] == [1, 2, 3, 4]
    assert ("b", 5) in shop.seen
    assert world.lag() == 0


def test_a_finished_shard_does_not_go_back_alone(world: World) -> None:
    write(world, "a", 1, 2)
    world.split("orders")
    write(world, "a", 3)
    write(world, "b", 3)
    parent = next(shard for shard in ask(world, "show")[0]["shards"] if shard["finished"])
    with pytest.raises(TailraceError, match="continues it, has gone on"):
        place(world, "beginning", shard=parent["shard"])


def test_what_is_parked_stays_parked_and_is_told(world: World, shop: Shop) -> None:
    shop.failing.add("bad")
    write(world, "bad", 1, 2)
    write(world, "a", 3)
    answer = place(world, "beginning")
    assert answer["shards"][0]["parked_keys"] == 1
    assert shop.seen == [("a", 3)] * 2
    shop.failing.clear()
    world.dlq("note").redrive()
    world.advance("20s")
    assert [number for key, number in shop.seen if key == "bad"] == [1, 2]


def test_without_a_worker_the_next_start_goes_on_there(world: World, shop: Shop) -> None:
    write(world, "a", 1, 2)
    world.kill()
    set_offline(world, "beginning")
    world.restart()
    world.advance("20s")
    assert shop.seen == [("a", 1), ("a", 2)] * 2


def test_the_lease_is_given_back(world: World) -> None:
    write(world, "a", 1)
    world.kill()
    set_offline(world, "beginning")
    (lease,) = world.engine.state.query(LEASE.prefix("shop"))
    assert (lease.fields["owner"], lease.fields["epoch"]) == ("", 2)
    assert len(world.engine.state.query(PLACED.prefix("shop"))) == 1


@pytest.mark.parametrize(
    ("position", "words"),
    [
        ("somewhere", "There is no position 'somewhere'"),
        ("at:", "There is no position 'at:'"),
        ("at:x", "'x' is no sequence number"),
        ("at:7:5", "is of generation 1, not 7"),
        (f"at:{SequenceNumber(1).wire}", "any more: the oldest is"),
        (f"after:{SequenceNumber(1 << 62).wire}", "has no change .* yet"),
        (1 << 60, "still to come"),
    ],
)
def test_what_is_no_position_of_the_shard_is_refused(world: World, position: object, words: str) -> None:
    write(world, "a", 1)
    (shard,) = ask(world, "show")[0]["shards"]
    with pytest.raises(TailraceError, match=words):
        place(world, position, shard=shard["shard"], yes=True)


def test_one_behind_the_last_change_is_none_and_the_last_one_is(world: World, shop: Shop) -> None:
    write(world, "a", 1, 2)
    (shard,) = ask(world, "show")[0]["shards"]
    last = int(SequenceNumber.from_wire(versions(world)[-1]))
    assert place(world, f"after:{SequenceNumber(last).wire}", shard=shard["shard"])["shards"][0]["to"] is None
    with pytest.raises(TailraceError, match="yet: the last is"):
        place(world, f"after:{SequenceNumber(last + 1).wire}", shard=shard["shard"])


def test_a_number_needs_a_shard_and_a_shard_a_name_that_there_is(world: World) -> None:
    write(world, "a", 1)
    world.split("orders")
    write(world, "a", 2)
    with pytest.raises(TailraceError, match="is of one shard, and there are 3"):
        place(world, f"at:{versions(world)[0]}")
    with pytest.raises(TailraceError, match="There is no shard 'nowhere'"):
        place(world, "end", shard="nowhere")
