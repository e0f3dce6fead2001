"""Parked keys and dead letters as an app sees them: they wait, they are put back, they are dropped."""

from typing import Any

import pytest

from tailrace import App, Change, Discard, Drop, Park, Retry
from tailrace.deadletters.run import putting_back
from tailrace.errors import SettingsError, TailraceError, Throttled
from tailrace.testing import World


class Ground:
    """An app whose handler refuses items by their `bad` attribute, until it is mended."""

    def __init__(self, **options: Any) -> None:
        self.app = App("shop")
        self.orders = orders = self.app.table("orders", pk="id")
        self.mended = False
        self.seen: list[tuple[str, int]] = []
        self.raises: Exception = ValueError("no such country: 17")

        @self.app.on(orders, retry=Retry(1), id="note", **options)
        def note(change: Change) -> None:
            assert change.new is not None
            if change.new.get("bad") and not self.mended:
                raise self.raises
            self.seen.append((change.new["id"], int(change.new["n"])))

        self.note = note
        self.world = World(self.app, seed=3)

    def put(self, id: str, n: int, **more: Any) -> None:
        self.world.put(self.orders, {"id": id, "n": n, **more})

    def of(self, key: str) -> list[int]:
        """What the handler has accepted of one item."""
        return [n for name, n in self.seen if name == key]

    def poison(self) -> None:
        """Item a fails at its second change and has a third one; item b is sound."""
        self.put("a", 1)
        self.put("a", 2, bad=True)
        self.put("b", 1)
        self.put("a", 3)
        self.world.settle()


@pytest.fixture
def ground() -> Any:
    ground = Ground()
    with ground.world:
        yield ground


def test_only_the_failing_item_waits_with_its_later_changes(ground: Ground) -> None:
    ground.poison()
    assert sorted(ground.seen) == [("a", 1), ("b", 1)]
    letters = list(ground.app.dlq(ground.note))
    assert [(letter["key"], letter["state"], letter["attempts"]) for letter in letters] == [
        ("a", "parked", 2),
        ("a", "waiting", 0),
    ]
    assert letters[0]["error"] == "ValueError: no such country: 17"
    assert "raise self.raises" in letters[0]["traceback"]


def test_a_redrive_puts_the_changes_of_an_item_back_in_order_and_it_flows_again(ground: Ground) -> None:
    ground.poison()
    ground.mended = True
    done = ground.app.dlq(ground.note).redrive()
    assert (done["done"], done["unparked_keys"], done["failed"]) == (2, 1, 0)
    ground.put("a", 4)
    ground.world.settle()
    assert ground.of("a") == [1, 2, 3, 4]
    assert len(ground.app.dlq(ground.note)) == 0


def test_a_redrive_that_fails_again_keeps_everything_and_says_why(ground: Ground) -> None:
    ground.poison()
    done = ground.app.dlq(ground.note).redrive()
    assert (done["done"], done["failed"], done["errors"]) == (0, 1, ["ValueError: no such country: 17"])
    assert [letter["attempts"] for letter in ground.app.dlq(ground.note)] == [3, 0]
    assert sorted(ground.seen) == [("a", 1), ("b", 1)]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(ground: Ground) -> None:
    ground.poison()
    plan = ground.app.dlq(ground.note).redrive(dry_run=True)
    assert (plan["state"], plan["parked_keys"], plan["parked_changes"]) == ("planned", 1, 2)
    assert len(ground.app.dlq(ground.note)) == 2
    assert ground.world.engine.state.count("audit/") == 0


def test_what_a_person_does_is_written_down(ground: Ground) -> None:
    ground.poison()
    ground.app.dlq(ground.note).where(error="Value*").redrive(rate="10/s")
    (row,) = ground.world.engine.state.query("audit/")
    assert row.fields["verb"] == "dlq.redrive"
    assert row.fields["arguments"]["where"] == {"error": "Value*"}


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({"error": "ValueError*"}, 1), ({"error": "SMTP*"}, 0), ({"key": "a"}, 2), ({"key": "b"}, 0),
        ({"since": "2100-01-01"}, 0), ({"until": "2100-01-01"}, 1), ({"fingerprint": "nothing like it"}, 0),
    ],
)  # fmt: skip
def test_letters_are_chosen_by_error_key_and_time(ground: Ground, where: dict[str, str], count: int) -> None:
    ground.poison()
    assert len(ground.app.dlq(ground.note).where(**where)) == count  # type: ignore[arg-type]


def test_failures_that_look_alike_are_one_group(ground: Ground) -> None:
    ground.put("a", 1, bad=True)
    ground.world.settle()
    ground.raises = ValueError("no such country: 18")
    ground.put("b", 1, bad=True)
    ground.world.settle()
    (group,) = ground.app.dlq(ground.note).groups()
    assert group["count"] == 2
    assert group["fingerprint"].startswith("ValueError: no such country: #")


def test_a_rate_is_kept(ground: Ground) -> None:
    for number in range(5):
        ground.put(f"i{number}", 1, bad=True)
    ground.world.settle()
    ground.mended = True
    before = ground.world.clock.now().monotonic_ms
    ground.app.dlq(ground.note).redrive(rate="1/s")
    assert ground.world.clock.now().monotonic_ms - before >= 4_000


def test_a_restart_knows_the_parked_items(ground: Ground) -> None:
    ground.poison()
    ground.world.restart()
    ground.put("a", 4)
    ground.world.settle()
    assert [letter["state"] for letter in ground.app.dlq(ground.note)] == ["parked", "waiting", "waiting"]
    ground.mended = True
    ground.app.dlq(ground.note).redrive()
    assert ground.of("a") == [1, 2, 3, 4]


def test_a_rollover_keeps_an_item_parked(ground: Ground) -> None:
    ground.poison()
    ground.world.advance("5h")
    ground.put("a", 4)
    ground.world.settle()
    assert len(ground.app.dlq(ground.note)) == 3
    ground.world.advance("30h")  # the stream has trimmed all of it: the letters are whole
    ground.mended = True
    ground.app.dlq(ground.note).redrive()
    assert ground.of("a") == [1, 2, 3, 4]


def test_dropping_the_change_at_fault_leaves_the_later_ones_to_a_redrive(ground: Ground) -> None:
    ground.poison()
    ground.app.dlq(ground.note).where(error="Value*").drop()
    assert [letter["state"] for letter in ground.app.dlq(ground.note)] == ["waiting"]
    ground.app.dlq(ground.note).redrive()
    assert ground.of("a") == [1, 3]


def test_dropping_with_what_waits_frees_the_item(ground: Ground) -> None:
    ground.poison()
    ground.app.dlq(ground.note).drop(with_waiting=True)
    ground.put("a", 4)
    ground.world.settle()
    assert ground.of("a") == [1, 4]


def test_an_outage_during_a_redrive_stops_it_and_uses_up_no_attempt(ground: Ground) -> None:
    ground.poison()
    ground.raises = Throttled("slow down")
    done = ground.app.dlq(ground.note).redrive()
    assert "slow down" in done["stopped"]
    assert next(iter(ground.app.dlq(ground.note)))["attempts"] == 2


def test_the_letter_is_shown_whole_and_beside_the_item_as_it_is_now(ground: Ground) -> None:
    ground.poison()
    first = next(iter(ground.app.dlq(ground.note)))["event_id"]
    shown = ground.app.dlq(ground.note).show(first)
    assert shown["old"] == {"id": {"S": "a"}, "n": {"N": "1"}}
    assert shown["new"]["n"] == {"N": "2"}
    assert [change["new"]["n"] for change in shown["behind"]] == [{"N": "3"}]
    assert shown["trace"] == f"note/{first}"
    beside = ground.app.dlq(ground.note).diff(first)
    assert beside["changed"] == {"bad": [{"BOOL": True}, None], "n": [{"N": "2"}, {"N": "3"}]}


def test_a_discarded_change_that_was_overtaken_is_skipped_unless_told_otherwise() -> None:
    ground = Ground(on_failure=Discard())
    with ground.world:
        ground.poison()
        assert ground.of("a") == [1, 3]
        ground.mended = True
        (letter,) = ground.app.dlq(ground.note)
        assert (letter["state"], letter["overtaken_by"] is not None) == ("discarded", True)
        assert ground.app.dlq(ground.note).redrive()["overtaken"] == 1
        assert len(ground.app.dlq(ground.note)) == 1
        assert ground.app.dlq(ground.note).redrive(even_if_overtaken=True)["done"] == 1
        assert ground.of("a") == [1, 3, 2]


def test_a_discarded_change_that_was_not_overtaken_is_put_back() -> None:
    ground = Ground(on_failure=Discard())
    with ground.world:
        ground.put("a", 1, bad=True)
        ground.world.settle()
        ground.mended = True
        assert ground.app.dlq(ground.note).redrive()["done"] == 1
        assert ground.seen == [("a", 1)]


@pytest.mark.parametrize("policy", [Park.key, Discard()])
def test_a_redrive_of_more_than_a_page_is_whole_and_in_order(
    policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(putting_back, "PAGE", 2)
    ground = Ground(on_failure=policy)
    with ground.world:
        for n in range(1, 4):
            for number in range(7):
                ground.put(f"a{number}", n, bad=True)
        ground.world.advance("10m")  # nothing but failures is an outage at first
        plan = ground.app.dlq(ground.note).redrive(dry_run=True)
        assert plan["parked_changes"] + plan["discarded"] == len(ground.app.dlq(ground.note)) == 21
        ground.mended = True
        done = ground.app.dlq(ground.note).redrive()
        assert (done["done"], done["failed"], done["busy"]) == (21, 0, 0)
        assert all(ground.of(f"a{number}") == [1, 2, 3] for number in range(7))


def test_drop_keeps_nothing_and_must_be_spelled_out() -> None:
    ground = Ground(on_failure=Drop)
    with ground.world:
        ground.poison()
        assert ground.of("a") == [1, 3]
        assert len(ground.app.dlq(ground.note)) == 0


def test_a_handler_that_waits_for_its_shard_goes_on_when_it_is_mended() -> None:
    ground = Ground(on_failure=Park.shard)
    with ground.world:
        ground.put("a", 1, bad=True)
        ground.put("b", 1)
        ground.world.advance("10m")
        assert ground.seen == [("b", 1)]  # it was in the same batch
        ground.put("c", 1)
        ground.world.advance("10m")
        assert ground.seen == [("b", 1)]
        ground.mended = True
        ground.world.settle()
        assert ground.seen == [("b", 1), ("a", 1), ("c", 1)]


def test_at_the_bound_the_shard_waits_and_a_redrive_lets_it_go_on() -> None:
    ground = Ground(on_failure=Park(max_keys=1, max_per_key=10))
    with ground.world:
        ground.put("a", 1, bad=True)
        ground.world.settle()
        ground.put("b", 1, bad=True)
        ground.put("c", 1)
        ground.world.advance("1h")
        ground.put("d", 1)
        ground.world.advance("1h")
        assert ("d", 1) not in ground.seen
        (status,) = ground.world._running[0].worker.status()
        assert status.blocked is not None
        assert "max_keys is 1" in status.blocked
        ground.mended = True
        ground.app.dlq(ground.note).redrive()
        ground.world.advance("1h")
        ground.app.dlq(ground.note).redrive()
        ground.world.settle()
        assert sorted(ground.seen) == [("a", 1), ("b", 1), ("c", 1), ("d", 1)]


def test_an_app_that_is_only_declared_says_how_to_connect_it() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def note(change: Change) -> None: ...

    with pytest.raises(SettingsError, match="not connected"):
        app.dlq(note)


def test_an_unknown_event_id_is_refused_with_the_next_command(ground: Ground) -> None:
    with pytest.raises(TailraceError) as raised:
        ground.app.dlq(ground.note).show("nothing")
    assert raised.value.hint == "tailrace dlq ls"


@pytest.mark.parametrize("seed", range(10))
def test_a_redrive_that_is_asked_for_while_the_worker_starts_is_carried_out_once(seed: int) -> None:
    ground = Ground()
    ground.world.close()
    ground.world = World(ground.app, seed=seed)
    with ground.world:
        ground.poison()
        ground.mended = True
        ground.seen.clear()
        ground.world.kill()
        ground.world.restart()
        done = ground.app.dlq(ground.note).redrive()
        assert (done["done"], done["busy"], done["unparked_keys"]) == (2, 0, 1)
        assert ground.of("a") == [2, 3]


def test_a_function_is_given_the_event_again_that_it_was_given_first() -> None:
    """Also on a stream of new images, whose SizeBytes counts the keys and the new image alone."""
    app, events = App("shop"), []
    orders = app.table("orders", pk="id", stream="NEW_IMAGE")

    def lambda_handler(event: Any, context: Any) -> None:
        events.append(event)
        if len(events) == 1:
            raise ValueError("no")

    app.function(lambda_handler, orders, id="note", MaximumRetryAttempts=0)
    with World(app, seed=3) as world:
        world.put(orders, {"id": "o1", "total": 10})
        world.settle()
        app.dlq("note").redrive()
        assert len(world.dead_letters("note")) == 0
    first, again = events
    assert again == first
    assert first["Records"][0]["dynamodb"]["SizeBytes"] == len("ido1") + len("ido1total") + 2


@pytest.fixture
def discarding() -> Any:
    ground = Ground(on_failure=Discard())
    with ground.world:
        yield ground


def test_all_discarded_changes_of_an_item_are_put_back_in_order_in_one_call(discarding: Ground) -> None:
    ground = discarding
    for n in range(1, 6):
        ground.put("a", n, bad=True)
    for n in range(1, 6):
        ground.put("b", n, bad=True)
    ground.world.settle()
    assert len(ground.app.dlq(ground.note)) == 10
    ground.mended = True
    done = ground.app.dlq(ground.note).redrive()
    assert (done["done"], done["busy"], done["overtaken"]) == (10, 0, 0)
    assert ground.of("a") == ground.of("b") == [1, 2, 3, 4, 5]
    ground.put("a", 6)
    ground.world.settle()
    assert ground.of("a")[-1] == 6


def test_a_discarded_change_behind_one_that_fails_again_is_not_put_back_before_it(discarding: Ground) -> None:
    ground = discarding
    for n in range(1, 4):
        ground.put("a", n, bad=True)
    ground.world.settle()
    done = ground.app.dlq(ground.note).redrive()
    assert (done["done"], done["failed"], done["busy"]) == (0, 1, 2)
    assert [letter["attempts"] for letter in ground.app.dlq(ground.note)] == [3, 2, 2]
    ground.mended = True
    ground.app.dlq(ground.note).redrive()
    assert ground.of("a") == [1, 2, 3]


def test_what_is_put_back_names_the_stream_that_it_is_of_and_not_the_one_after_it() -> None:
    app, arns, mended = App("shop"), list[str](), list[bool]()
    orders = app.table("orders", pk="id")

    def lambda_handler(event: Any, context: Any) -> None:
        if not mended:
            raise ValueError("no")
        arns.extend(record["eventSourceARN"] for record in event["Records"])

    app.function(lambda_handler, orders, id="note", MaximumRetryAttempts=0)
    with World(app, seed=3) as world:
        own = world.engine.stream_of("orders").arn
        world.put(orders, {"id": "a"})
        world.settle()
        for is_on in (False, True):
            world.engine.update_stream("orders", is_on, "NEW_AND_OLD_IMAGES" if is_on else None)
            world.engine.committer.flush()
        world.advance("10s")  # a shard that begins meanwhile keeps what is put back waiting: busy
        mended.append(True)
        app.dlq("note").redrive()
        assert arns == [own]
        assert own != world.engine.stream_of("orders").arn
