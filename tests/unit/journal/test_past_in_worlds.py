"""The past of an app's tables in a world: what `app.as_of` and its like say is what was, moment by moment.

Rules of this file: the world's own state, remembered at moments, judges.
"""

import asyncio
import random
import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace import App, Change, Item
from tailrace.archives import DirectoryArchive, MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import ArchiveError, NotKnown, SettingsError
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.past import Coverage, in_order, state_at
from tailrace.journal.core.places import journaled_table
from tailrace.journal.core.records import SCAN
from tailrace.journal.run.folding import Rows, all_rows, as_of_sql, relation_of
from tailrace.journal.run.opened_past import accounts_of, past_at
from tailrace.journal.run.proving import change_proof, view_with
from tailrace.journal.run.reading import JournalReader, JournalView
from tailrace.streams.version import Version
from tailrace.tables.schema import TableSchema
from tailrace.testing import World

PLACE: Final = "history/"


def shop(place: Any = PLACE, **declared: Any) -> tuple[App, Any, Any]:
    app = App("shop")
    table = app.table("shop", pk="pk", sk="sk", ttl="expires_at")

    class Order(Item, table=table, pk="CUSTOMER#{customer}", sk="ORDER#{id}"):
        customer: str
        id: str
        status: str = "new"
        by: str = ""

    app.archive(table, place, **declared)
    return app, table, Order


def now_s(world: World) -> Decimal:
    return Decimal(world.clock.now().wall_ms) / 1_000


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals without a base, as those of remote tables are."""
    monkeypatch.setattr(JournalView, "base", None)


def contents(world: World, table: Any) -> dict[str, Any]:
    items = world.client("dynamodb").scan(TableName=str(table))["Items"]
    return {f"{item['pk']['S']}/{item['sk']['S']}": item for item in items}


def write_at_random(world: World, table: Any, choose: random.Random) -> None:
    client = world.client("dynamodb")
    key = {"pk": {"S": choose.choice("ab")}, "sk": {"S": choose.choice("xyz")}}
    item = {**key, "n": {"N": str(choose.randrange(9))}}
    match choose.randrange(6):
        case 0:
            client.delete_item(TableName=str(table), Key=key)
        case 1:
            other = {**item, "sk": {"S": "t"}}
            puts = [{"Put": {"TableName": str(table), "Item": one}} for one in (item, other)]
            client.transact_write_items(TransactItems=puts)
        case 2:
            expires = {"N": str(world.clock.now().wall_ms // 1_000 + 60)}
            client.put_item(TableName=str(table), Item={**item, "expires_at": expires})
        case _:
            client.put_item(TableName=str(table), Item=item)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_journal_up_to_a_time_is_the_table_at_that_time(seed: int) -> None:
    app, table, _ = shop()
    choose, remembered = random.Random(seed), {}
    with World(app, seed=seed, shards=2) as world:
        for step in range(28):
            write_at_random(world, table, choose)
            if step % 4 == 0:
                world.advance(choose.choice(["1s", "3m", "2h"]))
                remembered[now_s(world)] = contents(world, table)
                world.advance("10ms")
            if step == 14:
                world.kill()
                world.restart()
        before: tuple[Any, dict[str, Any]] | None = None
        for moment, items in remembered.items():
            plain = {f"{one['pk']}/{one['sk']}": one for one in app.as_of(moment).scan(table)}
            assert plain.keys() == items.keys()
            assert {key: one["n"] for key, one in plain.items()} == {
                key: Decimal(one["n"]["N"]) for key, one in items.items()
            }
            for key in ("a/x", "b/t"):
                pk, sk = key.split("/")
                assert app.as_of(moment).get(table, {"pk": pk, "sk": sk}) == plain.get(key)
            partition = app.as_of(moment).query(table, "pk = :p", values={":p": "a"})
            assert partition == [one for key, one in sorted(plain.items()) if key.startswith("a/")]
            assert app.as_of(moment).relation(table).aggregate("count(*)").fetchall() == [(len(items),)]
            if before is not None:
                told = {
                    f"{one.key['pk']}/{one.key['sk']}": one.happened for one in app.diff(before[0], moment)
                }
                assert told == differing(before[1], items)
            before = (moment, items)


def differing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    told = {}
    for key in before.keys() | after.keys():
        if before.get(key) != after.get(key):
            told[key] = "added" if key not in before else "removed" if key not in after else "changed"
    return told


def test_an_item_of_an_entity_has_a_past_a_history_and_who_is_to_blame() -> None:
    app, _, order = shop(actor="by")
    with World(app, seed=1) as world:
        world.put(order(customer="c", id="1", by="ann"))
        made = now_s(world)
        world.advance("1h")
        world.update(order, customer="c", id="1", status="paid", by="bob")
        paid = now_s(world)
        world.advance("1h")
        world.delete(order, customer="c", id="1")
        world.settle()
        key = {"customer": "c", "id": "1"}
        assert app.as_of(made).get(order, **key).status == "new"
        assert app.as_of(paid).get(order, **key).status == "paid"
        assert app.as_of(now_s(world)).get(order, **key) is None
        told = app.history(order, **key)
        assert [(one.happened, one.who, one.how) for one in told] == [
            ("INSERT", "ann", "actor"),
            ("MODIFY", "bob", "actor"),
            ("REMOVE", "unknown", "unknown"),
        ]
        assert told[1].diff == {"status": ("new", "paid"), "by": ("ann", "bob")}
        assert app.blame(order, **key) == {}
        world.put(order(customer="c", id="1", by="eve"))
        blamed = app.blame(order, **key)
        assert {name: one.who for name, one in blamed.items()} == dict.fromkeys(blamed, "eve")
        (changed,) = app.diff(made, paid, order)
        assert (changed.happened, changed.before.status, changed.after.status) == ("changed", "new", "paid")
        assert changed.key == {"pk": "CUSTOMER#c", "sk": "ORDER#1"}


def test_an_attribute_with_a_dot_in_its_name_is_another_one_than_a_member_of_a_map() -> None:
    app = App("shop")
    table = app.table("shop", pk="id")
    app.archive(table, "history/", base=False)
    with World(app, seed=1) as world:
        world.put(table, {"id": "a", "x": {"y": 1}, "x.y": 2})
        world.settle()
        (change,) = app.history(table, {"id": "a"})
        assert {name: after for name, (_, after) in change.diff.items() if name != "id"} == {
            "x": {"y": 1}, "x\\.y": 2
        }  # fmt: skip
        blamed = {name: one.value for name, one in app.blame(table, {"id": "a"}).items() if name != "id"}
        assert blamed == {"x.y": 1, "x\\.y": 2}


def test_time_to_live_and_handlers_are_named() -> None:
    app, table, _ = shop()

    @app.on(table.inserted, id="copier")
    def copy(change: Change) -> None:
        if change.keys["sk"] == "x":
            change.transaction.put(table, {"pk": "copy", "sk": "y"})

    with World(app, seed=1) as world:
        soon = int(now_s(world)) + 60
        world.put(table, {"pk": "a", "sk": "x", "expires_at": Decimal(soon)})
        world.settle()
        world.advance("3h")
        assert [one.who for one in app.history(table, {"pk": "a", "sk": "x"})] == ["unknown", "Time to Live"]
        assert app.blame(table, {"pk": "copy", "sk": "y"})["sk"].who == "shop.copier"


def test_the_stream_tells_what_the_journal_does_not_have_yet() -> None:
    app, table, _ = shop()
    with World(app, seed=1) as world:
        world.put(table, {"pk": "a", "sk": "x", "n": 1})
        world.settle()
        world.put(table, {"pk": "a", "sk": "x", "n": 2})
        known = app.as_of(now_s(world)).look(table, {"pk": "a", "sk": "x"})
        assert (known.item["n"], known.later) == (2, "")


def test_what_is_not_known_is_said_and_never_guessed(bare: None) -> None:
    app, table, _ = shop()
    with World(app, seed=1) as world:
        begun = now_s(world)
        world.advance("1h")
        world.put(table, {"pk": "a", "sk": "x"})
        world.settle()
        with pytest.raises(NotKnown, match="not known before 2026-01-01T01:00"):
            app.as_of(begun).get(table, {"pk": "a", "sk": "x"})
        with pytest.raises(NotKnown, match="has no base yet"):
            app.as_of(now_s(world)).get(table, {"pk": "a", "sk": "never"})
        with pytest.raises(NotKnown, match="incomplete=True"):
            list(app.as_of(now_s(world)).scan(table))
        with pytest.raises(NotKnown, match="a relation is the whole table"):
            app.as_of(now_s(world), incomplete=True).relation(table)
        assert len(list(app.as_of(now_s(world), incomplete=True).scan(table))) == 1
        with pytest.raises(NotKnown, match="not known before"):
            list(app.diff(begun, now_s(world)))
        with pytest.raises(SettingsError, match="still to come"):
            app.as_of(now_s(world) + 2).get(table, {"pk": "a", "sk": "x"})
        with pytest.raises(SettingsError, match="is after"):
            list(app.diff(now_s(world), begun))


def test_times_without_a_zone_and_tables_without_a_journal_are_refused_with_the_next_step() -> None:
    app, table, _ = shop()
    other = app.table("other", pk="id")
    with World(app, seed=1):
        with pytest.raises(SettingsError, match="has no zone"):
            app.as_of("2026-01-01T00:00")
        with pytest.raises(SettingsError, match=r"app.archive\(other"):
            app.history(other, {"id": "a"})
        with pytest.raises(SettingsError, match="a table is asked"):
            app.as_of("2026-01-01T00:00Z").query(table)


def test_coroutines_await_the_same_answers() -> None:
    app, table, _ = shop()
    told: list[Any] = []

    @app.on(table, id="looking")
    async def look(change: Change) -> None:
        told.append(
            (
                await app.async_as_of(change.at).get(table, change.keys),
                len(await app.async_history(table, change.keys)),
                await app.async_blame(table, change.keys),
                [one async for one in app.async_diff(change.at, change.at)],
            )
        )

    with World(app, seed=1) as world:
        world.put(table, {"pk": "a", "sk": "x", "n": 1})
        world.settle()
        ((item, count, blamed, differing_items),) = told
        assert (item["n"], count, set(blamed), differing_items) == (1, 1, {"pk", "sk", "n"}, [])
        world.put(table, {"pk": "a", "sk": "x", "n": 2})
        world.settle()
        assert told[-1][:2] == ({"pk": "a", "sk": "x", "n": 2}, 2)


def test_a_table_that_was_made_anew_has_the_past_of_both() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, PLACE)
    with World(app, seed=1) as world:
        world.put(orders, {"id": "a", "n": 1})
        world.settle()
        first = now_s(world)
        world.advance("1h")
        client = world.client("dynamodb")
        client.delete_table(TableName="orders")
        world.advance("1h")
        between = now_s(world)
        gone = app.as_of(between).look(orders, {"id": "a"})
        assert (gone.item, gone.unknown) == ({"id": "a", "n": 1}, "")
        assert re.fullmatch(
            r"the table was deleted at a time after \S+ that no stream tells: it may have been gone by then",
            gone.later,
        )
        world.advance("1h")
        world.kill()
        world.restart()
        made = now_s(world)
        world.advance("1h")
        for at in (made - 1, between):
            gone = app.as_of(at).look(orders, {"id": "a"})
            assert (gone.item, gone.unknown) == ({"id": "a", "n": 1}, "")
            assert ", and made anew by 2026-01-01T03:" in gone.later
        world.put(orders, {"id": "b", "n": 2})
        world.settle()
        known = app.as_of(now_s(world)).look(orders, {"id": "a"})
        assert (known.item, known.unknown, known.later) == (None, "", "")
        begun = app.as_of(made + 1)  # before its own base was read
        assert "made anew by 2026-01-01T03:" in begun.look(orders, {"id": "a"}).unknown
        with pytest.raises(NotKnown, match="made anew"):
            list(begun.scan(orders))
        assert app.as_of(first).get(orders, {"id": "a"})["n"] == 1
        second = now_s(world)
        assert [one["id"] for one in app.as_of(second).scan(orders)] == ["b"]
        assert len(app.history(orders, {"id": "a"})) == 1
        with pytest.raises(NotKnown, match="made anew"):
            list(app.diff(first, second))

        async def proved() -> None:
            archive, table = world.archive(PLACE), journaled_table("orders", "us-east-1")
            async with JournalReader(archive, table, ManualClock()) as reader:
                older, newest = await reader.views()
                for name, view in (("a", older), ("b", newest), ("c", newest)):
                    key = TableSchema("", 0, "", "id", "S").key_bytes({"id": {"S": name}})
                    assert (await view_with(reader, key, None)).folder == view.folder
                    for change in await view.history(key):
                        assert (await change_proof(view, key, change.version)).holds

        asyncio.run(proved())


# ---- without a world ---------------------------------------------------------------------------------------


def test_the_place_alone_tells_the_past_and_says_how_far_it_goes(tmp_path: Path) -> None:
    app, _, order = shop(DirectoryArchive(tmp_path))
    with World(app, seed=1) as world:
        world.put(order(customer="c", id="1"))
        world.settle()
        made = now_s(world)
        account = world.engine.settings.account
    again, _, order = shop(tmp_path)
    known = again.as_of(made).look(order, customer="c", id="1")
    assert known.item.status == "new"
    assert (
        again.as_of(made + 60).look(order, customer="c", id="1").later.startswith("changes that the journal")
    )
    assert asyncio.run(accounts_of(DirectoryArchive(tmp_path), "shop", "us-east-1")) == [account]
    assert asyncio.run(accounts_of(DirectoryArchive(tmp_path), "other", "us-east-1")) == []


def test_a_journal_that_was_deleted_has_no_history_to_tell(tmp_path: Path) -> None:
    app, _, order = shop(DirectoryArchive(tmp_path))
    with World(app, seed=1) as world:
        world.put(order(customer="c", id="1"))
        world.settle()
        assert app.history(order, customer="c", id="2") == []
    again, _, order = shop(tmp_path)
    assert again.history(order, customer="c", id="2") == []
    (manifest,) = tmp_path.glob("*/*/*-*/_manifest")
    shutil.rmtree(manifest.parent)
    with pytest.raises(NotKnown, match="the journal has nothing yet, or was deleted, or not copied"):
        shop(tmp_path)[0].history(order, customer="c", id="1")


def test_a_name_with_journals_in_two_accounts_is_refused_with_what_to_name() -> None:
    async def run() -> None:
        archive = MemoryArchive()
        for account in ("111111111111", "222222222222"):
            await archive.put_if_absent(f"us-east-1/{account}/_tables/orders/_manifest/x", b"1")
            await archive.put_if_absent(f"us-east-1/{account}/other/segments/y", b"1")
        assert await accounts_of(archive, "orders", "us-east-1") == ["111111111111", "222222222222"]
        with pytest.raises(NotKnown, match="several accounts") as refused:
            await past_at(archive, "orders", "us-east-1", None, "history/").history(b"k")
        assert "arn:aws:dynamodb:us-east-1:111111111111:table/orders" in (refused.value.hint or "")

    asyncio.run(run())


# ---- the law in SQL ----------------------------------------------------------------------------------------

CHANGES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 4), st.sampled_from([None, 1, 2])),
    max_size=12,
)


LATER: Final = 1_000
"""Until then rows of a base may come, where nothing else is said."""


def journal_of(steps: list[tuple[str, int, int, int | None]]) -> list[JournalChange]:
    """Changes by key and version: clocks may be behind, generations rise."""
    states: dict[str, bytes | None] = {}
    changes = []
    for sequence, (key, generation, at, value) in enumerate(sorted(steps, key=lambda step: step[1]), 1):
        new = None if value is None else orjson.dumps({"id": {"S": key}, "n": {"N": str(value + sequence)}})
        old = states.get(key)
        if old == new:
            continue
        event = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        version = Version(generation, sequence)
        changes.append(JournalChange("s", key.encode(), version, 100 + at, event, old, new))
        states[key] = new
    return sorted(changes, key=lambda change: (change.key, change.version))


def by_law(changes: list[JournalChange], at_us: int) -> dict[bytes, bytes]:
    known = Coverage(0, 0)
    keys = {change.key for change in changes}
    states = {key: state_at([one for one in changes if one.key == key], at_us, known).item for key in keys}
    return {key: item for key, item in states.items() if item is not None}


def by_sql(
    changes: list[JournalChange], at_us: int, folded: Any = as_of_sql, generation: int | None = None
) -> dict[bytes, bytes]:
    rows = Rows((), tuple(changes), "", generation)
    return {row[0]: row[4] for row in all_rows(rows, folded(rows, at_us, LATER))}


@settings(max_examples=25, deadline=None)
@given(CHANGES, st.integers(99, 105))
def test_duckdb_folds_by_the_same_law(steps: list[tuple[str, int, int, int | None]], at_us: int) -> None:
    changes = journal_of(steps)
    assert by_sql(changes, at_us) == by_law(changes, at_us)
    of_one = journal_of([(key, 1, at, value) for key, _, at, value in steps])
    assert by_sql(of_one, at_us, generation=1) == by_law(of_one, at_us)


@settings(max_examples=25, deadline=None)
@given(CHANGES, st.integers(0, 4), st.integers(100, 105))
def test_rows_without_exact_versions_are_folded_by_the_same_law_and_say_nothing_wrong(
    steps: list[tuple[str, int, int, int | None]], read: int, at_us: int
) -> None:
    changes = journal_of([(key, 1, at, value) for at, (key, _, _, value) in enumerate(steps)])
    truth = {"kept": b"{}"} | dict.fromkeys("abc")
    then = dict(truth)
    rows = []
    for change in changes:
        key = change.key.decode()
        truth[key] = change.new
        then[key] = change.new if change.created_us <= at_us else then[key]
    for key in truth:  # read at some moment within the time in which clocks may differ
        seen = [one for one in changes if one.key == key.encode() and one.created_us <= 100 + read]
        image = seen[-1].new if seen else {"kept": b"{}"}.get(key)
        if image is not None:
            rows.append(
                JournalChange("base", key.encode(), Version(0, 103), 103, "INSERT", None, image, SCAN)
            )
    known = Coverage(100, 103, inexact_us=105, end_us=200, is_live=True)
    everything = sorted([*changes, *rows], key=lambda one: (one.key, one.version))
    told = {
        key: state_at(in_order([one for one in everything if one.key == key.encode()], 105), at_us, known)
        for key in truth
    }
    assert {key: state.item for key, state in told.items()} == then
    asked = Rows((), tuple(everything), "", None, 105)
    folded = {
        row[0]: row[4] for row in all_rows(asked, as_of_sql(asked, at_us, 105 if at_us < 105 else None))
    }
    assert folded == {key.encode(): image for key, image in then.items() if image is not None}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("generation DESC, sequence DESC", "created_us DESC, sequence"),
        (" <= ", " < "),
        ("WHERE item IS NOT NULL", ""),
        ("ELSE old", "ELSE new"),
    ],
)
def test_a_broken_fold_is_caught(right: str, wrong: str) -> None:
    steps: list[tuple[str, int, int, int | None]] = [
        ("a", 1, 1, 1), ("a", 2, 1, 2), ("a", 2, 4, 1), ("b", 1, 1, 1), ("b", 1, 1, None), ("c", 1, 4, 1),
    ]  # fmt: skip

    def broken(rows: Rows, at_us: int, told_us: int | None) -> str:
        sql = as_of_sql(rows, at_us, told_us)
        assert right in sql
        return sql.replace(right, wrong)

    changes = journal_of(steps)
    assert all(by_sql(changes, at_us) == by_law(changes, at_us) for at_us in range(100, 106))
    assert any(by_sql(changes, at_us, broken) != by_law(changes, at_us) for at_us in range(100, 106))


def test_a_fold_of_one_generation_that_passes_over_deletions_is_caught() -> None:
    def broken(rows: Rows, at_us: int, told_us: int | None) -> str:
        return as_of_sql(rows, at_us, told_us).replace("arg_max_null", "arg_max")

    changes = journal_of([("b", 1, 1, 1), ("b", 1, 2, None)])
    assert by_sql(changes, 102, generation=1) == by_law(changes, 102) == {}
    assert by_sql(changes, 102, broken, 1) != {}


def test_a_relation_has_items_that_sql_looks_into() -> None:
    (change,) = journal_of([("a", 1, 1, 1)])
    made = relation_of(Rows((), (change,), ""), 200, None)
    assert made.relation.project("item->'id'->>'S'").fetchall() == [("a",)]
    assert msgspec.json.decode(made.relation.project("item").fetchall()[0][0]) == orjson.loads(
        change.new or b""
    )


# ---- what is lost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_settled", [True, False])
def test_while_a_stream_is_off_nothing_is_known_of_any_item(is_settled: bool) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, PLACE)
    with World(app, seed=1) as world:
        client = world.client("dynamodb")
        for key in "ab":
            world.put(orders, {"id": key, "n": 1})
        world.settle()
        before = now_s(world)
        world.advance("1h")
        client.update_table(TableName="orders", StreamSpecification={"StreamEnabled": False})
        world.put(orders, {"id": "a", "n": 2})
        off = now_s(world)
        world.advance("1h")
        images = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        client.update_table(TableName="orders", StreamSpecification=images)
        world.advance("1h")
        on = now_s(world)
        world.advance("1h")
        world.put(orders, {"id": "a", "n": 3})
        after = now_s(world)
        if is_settled:
            world.settle()
            world.advance("1m")
        told = {
            at: [app.as_of(at).look(orders, {"id": key}) for key in "ab"] for at in (before, off, on, after)
        }
        assert not told[off][0].is_known
        assert "nothing is recorded while a stream is off" in told[off][1].unknown
        assert told[on][0].item["n"] == 2  # its next change says what that time has left
        assert "no later change says what it left" in told[on][1].unknown
        assert (told[after][0].item["n"], told[after][1].is_known) == (3, False)
        with pytest.raises(NotKnown, match="while a stream is off"):
            list(app.as_of(after).scan(orders))
        assert [one["id"] for one in app.as_of(after, incomplete=True).scan(orders)] == ["a"]
        with pytest.raises(NotKnown, match="while a stream is off"):
            list(app.diff(before, after))
        with pytest.raises(NotKnown, match="while a stream is off"):
            app.blame(orders, {"id": "b"})


class Away(MemoryArchive):
    """An archive that may be away."""

    is_away = False

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        if self.is_away:
            raise ArchiveError("away")
        return await super().put_if_absent(name, data)


def test_what_a_named_gap_has_swallowed_is_not_known_and_what_it_left_is() -> None:
    archive = Away()
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, archive, hold_bytes=600)
    with World(app, seed=5) as world:
        for key in "ab":
            world.put(orders, {"id": key, "n": 1})
        world.settle()
        world.advance("1h")
        archive.is_away = True
        world.kill()
        world.restart()
        world.put(orders, {"id": "a", "n": 2})
        for number in range(400):
            world.put(orders, {"id": f"o{number}"})
        world.advance("30h")
        archive.is_away = False
        world.put(orders, {"id": "a", "n": 3})
        world.advance("2h")
        world.settle()
        after = now_s(world)
        inside = app.as_of("2026-01-01T00:30Z").look(orders, {"id": "a"})
        assert "are in no journal: what changed between 2026-01-01T00:00:00Z" in inside.unknown
        assert "no later change says what it left" in app.as_of(after).look(orders, {"id": "b"}).unknown
        assert app.as_of("2026-01-01T02:00Z").get(orders, {"id": "a"})["n"] == 2
        assert app.as_of(after).get(orders, {"id": "a"})["n"] == 3
        with pytest.raises(NotKnown, match="are in no journal"):
            list(app.as_of(after).scan(orders))
        (made, *_, last) = app.history(orders, {"id": "a"})
        assert (made.lost, last.old["n"]) == ("", 2)
        assert "changes between them are not in the journal" in last.lost


def test_a_gap_before_the_first_change_of_a_journal_is_not_known_from_its_base_on() -> None:
    archive, earlier = Away(), App("earlier")
    table = earlier.table("orders", pk="id")
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, archive, hold_bytes=600)
    with World(earlier, seed=5) as world:
        world.put(table, {"id": "a", "n": 1})
        world.advance("30h")
        world.use(app)
        world.settle()
        world.advance("1h")
        archive.is_away = True
        world.restart()
        world.put(orders, {"id": "b", "n": 1})
        inside = now_s(world)
        for number in range(400):
            world.put(orders, {"id": f"o{number}"})
        world.advance("30h")
        archive.is_away = False
        world.put(orders, {"id": "a", "n": 2})
        world.advance("2h")
        world.settle()
        assert "are in no journal" in app.as_of(inside).look(orders, {"id": "b"}).unknown
        with pytest.raises(NotKnown, match="are in no journal"):
            list(app.as_of(inside).scan(orders))
