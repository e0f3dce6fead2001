"""Snapshots of the embedded engine's tables in a world: the mirror equals the table, whatever was
there before and whatever happens meanwhile.
"""

from typing import Any

import orjson
import pytest
from msgspec import structs
from msgspec.structs import replace

from tailrace import App, Change, Discard, Item, Retry, Snapshots, changed, new, old
from tailrace.errors import SettingsError, TailraceError
from tailrace.ports import Outcome, RecordBatch, Written
from tailrace.snapshots.core.pages import ScannedPage
from tailrace.sources.embedded_scan import EmbeddedScan
from tailrace.testing import World
from tailrace.testing.mirrors import MirrorMemory, SimulatedMirror


def shop(target: SimulatedMirror, **settings: Any) -> App:
    app = App("shop")
    orders = app.table("orders", pk="id")

    class Order(Item, table=orders):
        id: str
        status: str = "new"
        total: int = 1

    settings = {name: value(Order) if name == "where" else value for name, value in settings.items()}
    app.sink(Order, MirrorMemory(target), id="mirror", **{"snapshot": True, **settings})
    return app


def items(target: SimulatedMirror) -> dict[str, Any]:
    shown = [orjson.loads(image) for image in target.shown.values()]
    return {item["id"]["S"]: item.get("status", {}).get("S") for item in shown}


def table_of(world: World) -> dict[str, Any]:
    answer = world.client("dynamodb").scan(TableName="orders")
    return {item["id"]["S"]: item.get("status", {}).get("S") for item in answer["Items"]}


def put(world: World, id: str, status: str = "new") -> None:
    world.client("dynamodb").put_item(
        TableName="orders", Item={"id": {"S": id}, "status": {"S": status}, "total": {"N": "1"}}
    )


def delete(world: World, id: str) -> None:
    world.client("dynamodb").delete_item(TableName="orders", Key={"id": {"S": id}})


def test_items_that_no_stream_holds_any_more_are_in_the_mirror() -> None:
    target = SimulatedMirror()
    app = shop(target)
    with World(App("other"), seed=1) as world:
        world.use(shop_without_sink())
        for number in range(7):
            put(world, f"o{number}")
        world.settle()
        world.advance("26h")
        world.use(app)
        world.settle()
        assert items(target) == table_of(world)
        assert len(items(target)) == 7


def shop_without_sink() -> App:
    app = App("shop")
    app.table("orders", pk="id")
    return app


def test_changes_that_come_meanwhile_and_later_are_in_the_mirror() -> None:
    target = SimulatedMirror()
    with World(shop(target), seed=2) as world:
        for number in range(5):
            put(world, f"o{number}")
        world.settle()
        put(world, "o1", "paid")
        delete(world, "o2")
        put(world, "o9")
        world.settle()
        assert (
            items(target)
            == table_of(world)
            == {"o0": "new", "o1": "paid", "o3": "new", "o4": "new", "o9": "new"}
        )


def test_rows_of_items_that_are_gone_are_swept() -> None:
    target = SimulatedMirror()
    with World(shop(target), seed=3) as world:
        put(world, "o1")
        world.settle()
        (key,) = target.rows
        target.rows[key[:-2] + b"x\x00\x01"] = target.rows[key]
        put(world, "o9")
        wanted(world)
        world.advance("1m")
        assert items(target) == {"o1": "new", "o9": "new"}
        assert len(target.shown) == 2


class NoPositions(EmbeddedScan):
    """As AWS answers a Scan."""

    async def page(self, *arguments: Any, **named: Any) -> ScannedPage:
        return replace(await super().page(*arguments, **named), position=None)


def test_an_item_that_went_while_no_stream_was_on_does_not_come_back_with_an_earlier_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tailrace.compose_worker.EmbeddedScan", NoPositions)
    target = SimulatedMirror()
    with World(App("other"), seed=4) as world:
        world.use(shop_without_sink())
        dynamodb = world.client("dynamodb")
        put(world, "gone")
        put(world, "stays")
        dynamodb.update_table(TableName="orders", StreamSpecification={"StreamEnabled": False})
        delete(world, "gone")
        on = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        dynamodb.update_table(TableName="orders", StreamSpecification=on)
        world.use(shop(target))
        world.settle()
        world.advance("2m")
        assert items(target) == table_of(world) == {"stays": "new"}


def wanted(world: World) -> None:
    """As a person wants another snapshot."""
    world._ask("snapshot.start", {"handler": "mirror"})


def test_a_part_is_read_again_and_the_rest_stays_as_it_is() -> None:
    target = SimulatedMirror()
    with World(shop(target), seed=3) as world:
        for name in ("o1", "o2"):
            put(world, name)
        world.settle()
        broken = {key: structs.replace(row, image=b'{"id":{"S":"?"}}') for key, row in target.rows.items()}
        target.rows |= broken
        put(world, "o9")  # what has the table's present version already is for `sink repair`
        world._ask("snapshot.start", {"handler": "mirror", "partitions": ['{"S":"o1"}']})
        world.advance("1m")
        assert sorted(items(target)) == ["?", "o1", "o9"]


@pytest.mark.parametrize("partition", [[], ['{"S":"o1"}', '{"S":"o2"}']])
def test_items_that_a_filter_takes_are_read_again_and_nothing_is_swept(partition: list[str]) -> None:
    target = SimulatedMirror()
    with World(shop(target), seed=3) as world:
        for name in ("o1", "o2"):
            put(world, name, "paid" if name == "o1" else "new")
        world.settle()
        rows = target.rows
        gone = next(iter(rows))
        rows |= {key: structs.replace(row, image=b'{"id":{"S":"?"}}') for key, row in rows.items()}
        rows[gone[:-2] + b"x\x00\x01"] = rows[gone]
        put(world, "o9")
        chosen = {"where": "#s = :s", "names": '{"#s":"status"}', "values": '{":s":{"S":"paid"}}'}
        world._ask("snapshot.start", {"handler": "mirror", "partitions": partition, **chosen})
        world.advance("1m")
        ((value,),) = world._ask("snapshot.status", {})
        assert (value["state"], value["items"], value["swept"]) == ("done", 1, 0)
        assert sorted(items(target)) == ["?", "o1", "o9"]
        assert len(target.shown) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"where": "n ="}, "Invalid FilterExpression: Syntax error"),
        ({"where": "n = :n"}, "An expression attribute value used in expression is not defined"),
        ({"where": "n > n2", "values": '{":n":{"N":"1"}}'}, "unused in expressions"),
    ],
)
def test_a_filter_that_is_none_is_refused_before_it_is_wanted(arguments: dict[str, str], words: str) -> None:
    with World(shop(SimulatedMirror()), seed=3) as world:
        world.settle()
        with pytest.raises(TailraceError, match=words):
            world._ask("snapshot.start", {"handler": "mirror", **arguments})


def test_a_snapshot_stands_still_and_goes_on() -> None:
    target = SimulatedMirror()
    with World(shop(target), seed=8) as world:
        put(world, "o1")
        world.settle()
        (key,) = target.rows
        target.rows[key[:-2] + b"x\x00\x01"] = target.rows[key]
        put(world, "o9")
        wanted(world)
        (value,) = world._ask("snapshot.pause", {"handler": "mirror"})
        assert (value["state"], value["paused_by"]) == ("paused", "you")
        world.advance("1m")
        assert len(target.shown) == 3
        world._ask("snapshot.resume", {"handler": "mirror"})
        world.advance("1m")
        assert len(target.shown) == 2
        ((value,),) = world._ask("snapshot.status", {})
        assert (value["state"], value["number"], value["items"], value["swept"]) == ("done", 2, 2, 1)


def test_one_that_nobody_asked_for_is_warned_of_beyond_the_bound_and_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    target = SimulatedMirror()
    with World(shop(target, snapshot=Snapshots(ask_after="0s")), seed=2) as world:
        put(world, "o1")
        world.settle()
        world.advance("1m")
        assert items(target) == {"o1": "new"}
        (warning,) = caplog.messages
        assert warning == (
            "snapshot 1 of mirror (first) reads about 1 item, 0.0 MB of table orders: nothing is charged, "
            "about 1 second. It goes on; snapshot=Snapshots(read_units=…) of the app sets a pace: tailrace "
            "snapshot pause mirror"
        )
        with pytest.raises(TailraceError, match="so much is not begun unasked") as error:
            wanted(world)
        assert error.value.hint == "tailrace snapshot start mirror --yes, or with --read-units for a pace"
        world._ask("snapshot.start", {"handler": "mirror", "yes": True})
        world.advance("1m")
        ((value,),) = world._ask("snapshot.status", {})
        assert (value["number"], value["state"], caplog.messages) == (2, "done", [warning]), (
            "it was asked for"
        )


def test_a_handler_without_a_mirror_has_no_snapshot() -> None:
    app = App("shop")

    @app.on(app.table("orders", pk="id"), id="mail")
    def mail(change: Change) -> None: ...

    with World(app, seed=8) as world, pytest.raises(TailraceError, match="'mail' is given no whole table"):
        world._ask("snapshot.start", {"handler": "mail"})


def test_two_mappings_cannot_share_a_mirror_that_is_swept() -> None:
    app, mirror = App("shop"), MirrorMemory()
    app.sink(app.table("orders", pk="id"), mirror, id="one", snapshot=True)
    with pytest.raises(SettingsError, match="'two' and 'one' write to one mirror"):
        app.sink(app.table("users", pk="id"), mirror, id="two")


def test_an_item_that_leaves_what_is_wanted_leaves_the_mirror_and_comes_back() -> None:
    target = SimulatedMirror()
    with World(shop(target, where=lambda order: new(order.status) == "paid"), seed=4) as world:
        put(world, "o1", "paid")
        put(world, "o2", "new")
        world.settle()
        assert items(target) == {"o1": "paid"}
        put(world, "o1", "sent")
        world.settle()
        assert items(target) == {}
        put(world, "o1", "paid")
        put(world, "o2", "paid")
        world.settle()
        assert items(target) == {"o1": "paid", "o2": "paid"}


def test_what_transform_makes_nothing_of_is_deleted() -> None:
    target = SimulatedMirror()

    def only_paid(change: Change[Any]) -> Any:
        return {"id": change.new.id} if change.new.status == "paid" else None

    with World(shop(target, transform=only_paid), seed=5) as world:
        put(world, "o1", "paid")
        put(world, "o2", "new")
        world.settle()
        assert set(items(target)) == {"o1"}
        put(world, "o1", "sent")
        world.settle()
        assert items(target) == {}


def off_for_two_days(world: World, **change: str) -> None:
    """An item changes while no stream is on, and the stream of before is forgotten."""
    dynamodb = world.client("dynamodb")
    dynamodb.update_table(TableName="orders", StreamSpecification={"StreamEnabled": False})
    for name, status in change.items():
        put(world, name, status)
    world.advance("26h")
    on = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    dynamodb.update_table(TableName="orders", StreamSpecification=on)
    world.advance("26h")


def refusing_what_is_new(change: Change[Any]) -> Any:
    if change.new is not None and change.new.status == "new":
        raise ValueError("new orders are refused")
    return change.new


def put_back(world: World) -> None:
    """As a person puts back every dead letter, whatever came after it."""
    world._ask("dlq.redrive", {"handler": "mirror", "even_if_overtaken": True})
    world.settle()
    world.advance("2m")


@pytest.mark.parametrize("is_emptied", [False, True])
def test_a_dead_letter_of_before_the_first_snapshot_is_older_than_the_scan(
    is_emptied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mapping had no snapshot yet, or wrote to a mirror that was emptied since: so the scan is all that
    the mirror has of the changes that it settled then.
    """
    monkeypatch.setattr("tailrace.compose_worker.EmbeddedScan", NoPositions)
    target = SimulatedMirror()
    failing = {"transform": refusing_what_is_new, "on_failure": Discard(), "retry": Retry(0)}
    with World(shop(target, snapshot=False, **failing), seed=5) as world:
        put(world, "o1")
        put(world, "o2", "paid")
        if is_emptied:
            put(world, "o1", "paid")
        world.settle()
        world.allow_failures("mirror")
        assert len(world.dead_letters("mirror")) == 1
        if not is_emptied:
            off_for_two_days(world, o1="paid")
        world.kill()
        target.rows.clear()
        world.use(shop(target))
        world.settle()
        world.advance("2m")
        assert items(target) == table_of(world) == {"o1": "paid", "o2": "paid"}
        put_back(world)
        assert items(target) == table_of(world) == {"o1": "paid", "o2": "paid"}


class Log:
    """A log that takes rows as they are."""

    takes_snapshots = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    async def write(self, batch: RecordBatch) -> Outcome:
        self.seen += [(record.keys.decode(), batch.is_snapshot) for record in batch.records]
        return Written()


def test_a_log_is_given_rows_as_they_are() -> None:
    app = App("shop")
    orders, log = app.table("orders", pk="id"), Log()
    app.sink(orders, log, id="log", snapshot=True)
    with World(app, seed=6) as world:
        put(world, "o1")
        world.settle()
    assert sorted(log.seen) == [('{"id":{"S":"o1"}}', False), ('{"id":{"S":"o1"}}', True)]


class Plain:
    async def write(self, batch: RecordBatch) -> Outcome:
        return Written()


refused = App("refused")
table = refused.table("orders", pk="id")


class Refused(Item, table=table):
    id: str
    status: str = "new"


REFUSED = [
    ("no mirror", table, Plain(), {}, "Plain keeps no versions and deletions"),
    ("some changes", table.inserted, MirrorMemory(), {}, "only some kinds of changes"),
    (
        "changed",
        Refused,
        MirrorMemory(),
        {"where": changed(Refused.status)},
        r"asks for changed\(Order|asks for changed",
    ),
    ("old", Refused, MirrorMemory(), {"where": ~(old(Refused.status) == "new")}, r"asks for old\("),
]


@pytest.mark.parametrize(
    ("source", "sink", "settings", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_no_snapshot_can_be_made_for_is_refused(
    source: Any, sink: Any, settings: Any, words: str
) -> None:
    app = App("refused")
    app.tables.update({"orders": table})
    with pytest.raises(SettingsError, match=words):
        app.sink(source, sink, snapshot=True, **settings)


def test_a_handler_has_no_items_to_be_snapshot() -> None:
    app = App("shop")

    @app.on(app.table("orders", pk="id"), id="mail")
    def mail(change: Change) -> None: ...

    with pytest.raises(SettingsError, match="is a handler, and what it returns"):
        app.sink(mail, MirrorMemory(), snapshot=True)


def test_a_segment_deletes_what_is_there_and_the_filter_does_not_want_any_more() -> None:
    target = SimulatedMirror()
    with World(shop(target, where=lambda order: new(order.status) == "new"), seed=3) as world:
        put(world, "o1")
        world.settle()
        backup = dict(target.rows)
        put(world, "o1", "paid")
        world.settle()
        assert items(target) == {}
        target.rows.update(backup)
        put(world, "o9")
        world._ask("snapshot.start", {"handler": "mirror", "segment": [0, 2]})
        world.advance("1m")
        assert items(target) == {"o9": "new"}
