"""Imports and exports over real HTTP, with the server's time driven, beside a model of a KCL consumer."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.app.app import App
from tailrace.aws.places import Access
from tailrace.clocks.manual import ManualClock
from tailrace.compose_fleet import FarStart
from tailrace.deadletters.core.entry import DeadLetter, deadletter_fields, parked_key
from tailrace.deadletters.core.gap import read_gap
from tailrace.errors import SettingsError
from tailrace.kcl.core.lease_table import stream_name
from tailrace.kcl.run.exporting import ExportChoice, PreparedExport, carry_out_export, prepare_export
from tailrace.kcl.run.importing import ImportChoice, PreparedImport, carry_out_import, prepare_import
from tailrace.kcl.run.lease_table import KclTable
from tailrace.kcl.run.sides import HandlerSide
from tailrace.leases.checkpoint import CheckpointRow, checkpoint_key
from tailrace.leases.lease import finish, take
from tailrace.ports import Now
from tailrace.rows.kinds import GAP, MAPPING, MEMBER
from tailrace.rows.writes import Write
from tailrace.runtime.reading import NumberedSource
from tailrace.sources.dynamodb_streams import DynamoDbStreamsSource
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.version import Version
from tests.far_streams import HOUR_MS, FarTable, far
from tests.kcl_model import KclModel
from tests.serving import START_MS, Served
from tests.unit.kcl import golden
from tests.unit.kcl.golden import raw

IMPORT, EXPORT = ImportChoice(), ExportChoice()
Ground = tuple[Served, Access]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with far() as place:
        yield place


class Meanwhile(ManualClock):
    """A clock on which something happens while a command waits between its two looks."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__(START_MS)
        self._happens = happens

    async def sleep_until(self, monotonic_ms: int) -> None:
        """Let it happen."""
        await asyncio.to_thread(self._happens)
        self.advance(max(0, monotonic_ms - self.now().monotonic_ms))

    def now(self) -> Now:
        """The present."""
        return super().now()


class Move:
    """A table, a KCL consumer of it, and a handler that is to take over."""

    def __init__(self, ground: Ground, **model: Any) -> None:
        self.served, self.access = ground
        self.table = FarTable(self.served)
        self.leases = f"{self.table.name}-app"
        self.kcl = KclModel(self.served.port, self.leases, self.table.name, **model)
        self.kcl.create()
        self.state = MemoryStateStore()
        self.app = App("shop")
        orders = self.app.table(self.table.name, pk="pk")
        self.app.on(orders, id="note")(lambda change: None)
        self.written = 0

    def write(self, count: int) -> None:
        """Write so many new items, `n` counted from 0."""
        for place in range(self.written, self.written + count):
            self.table.put(f"item {place}", n={"N": str(place)})
        self.written += count

    def side(self, meanwhile: Callable[[], object] = lambda: None) -> HandlerSide:
        clock = Meanwhile(meanwhile)
        source = DynamoDbStreamsSource(self.access, self.table.name, clock)
        numbered = NumberedSource(source, self.state, self.app, self.table.name)
        started = FarStart(self.access, clock, None, self.table.name)
        (handler,) = self.app.mappings
        return HandlerSide(self.app, handler, self.state, clock, source, numbered, started)

    def prepare(
        self, choice: ImportChoice = IMPORT, meanwhile: Callable[[], object] = lambda: None
    ) -> PreparedImport:
        table = KclTable(self.access, self.leases)
        return asyncio.run(prepare_import(table, [self.side(meanwhile)], choice))

    def take_over(self, choice: ImportChoice = IMPORT) -> int:
        """Import, and return how many checkpoints changed."""
        prepared = self.prepare(choice)
        assert prepared.refusals == ()
        return asyncio.run(carry_out_import(prepared, self.side()))

    def prepare_back(
        self, choice: ExportChoice = EXPORT, meanwhile: Callable[[], object] = lambda: None
    ) -> PreparedExport:
        table = KclTable(self.access, self.leases)
        return asyncio.run(prepare_export(table, self.side(meanwhile), choice))

    def hand_back(self, choice: ExportChoice = EXPORT) -> None:
        prepared = self.prepare_back(choice)
        assert prepared.refusals == ()
        changed = asyncio.run(carry_out_export(prepared, KclTable(self.access, self.leases), self.side()))
        assert changed == []

    def unsettled(self) -> list[int]:
        """The numbers `n` of every change that the handler would be handed, shard after shard."""

        async def reading() -> list[int]:
            side, numbers = self.side(), []
            for stream, shards in await side.streams():
                for shard in shards:
                    row = await self.row(stream.label, shard.shard_id) or CheckpointRow()
                    page = await side.source.read(shard, row.watermark, 1_000) if not row.finished else None
                    numbers += (
                        [json.loads(record.new or b"")["n"]["N"] for record in page.records] if page else []
                    )
            return [int(number) for number in numbers]

        return asyncio.run(reading())

    async def row(self, label: str, shard_id: str) -> CheckpointRow | None:
        return (await self.side().checkpoints()).get((label, shard_id))

    def rows(self) -> dict[str, CheckpointRow]:
        """The handler's checkpoints, by shard."""
        return {shard: row for (_, shard), row in asyncio.run(self.side().checkpoints()).items()}

    def settle(self, shard_id: str, row: CheckpointRow) -> None:
        """Let a worker have saved this."""
        label = self.kcl.arn.rpartition("/")[2]
        key = checkpoint_key("shop", "note", label, shard_id)
        asyncio.run(self.state.transact([Write(key, row.fields())]))


@pytest.fixture
def move(ground: Ground) -> Move:
    return Move(ground)


# ---- imports -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["1", "2", "3", "3.5"])
@pytest.mark.parametrize("several", [False, True])
def test_a_handler_goes_on_behind_what_kcl_has_processed(ground: Ground, form: Any, several: bool) -> None:
    move = Move(ground, form=form, several_streams=several)
    move.write(5)
    move.kcl.run(3)
    move.kcl.stop()
    assert move.take_over() == 1
    assert move.unsettled() == [3, 4]


@pytest.mark.parametrize("name", ["1.x", "2.x", "2.x-several-streams", "3.3", "3.5"])
def test_the_tables_of_every_version_are_read_over_the_wire(move: Move, name: str) -> None:
    move.write(2)
    move.table.roll()
    move.write(3)
    ended, present = move.kcl.shards()
    _, _, _, region, account, path = move.kcl.arn.split(":", 5)
    _, table, _, label = path.split("/")
    text = json.dumps([item for item in raw(name)["items"] if golden.C not in item["leaseKey"]["S"]])
    for before, now in (
        (golden.A, ended),
        (golden.B, present),
        (str(golden.number(250)), str(sequences(move)[3])),
        (f"123456789012:{golden.NAME}", f"{account}:{stream_name(region, account, table, label)}"),
    ):
        text = text.replace(before, now)
    for item in json.loads(text):
        move.kcl.call("DynamoDB_20120810", "PutItem", TableName=move.leases, Item=item)
    assert move.take_over() == 2
    assert move.unsettled() == [4]


def test_parents_children_and_a_cut_between_them_are_taken_over(move: Move) -> None:
    move.write(4)
    move.kcl.run()
    move.table.roll()
    move.write(4)
    move.kcl.run(2)  # the first shard has ended, and its child has begun
    move.table.roll()
    move.write(3)
    move.kcl.stop()
    move.take_over()
    assert move.unsettled() == [6, 7, 8, 9, 10]
    assert sorted(row.finished for row in move.rows().values()) == [False, False, True]


def test_a_finished_lease_that_kcl_has_removed_is_not_read_again(move: Move) -> None:
    move.write(4)
    move.kcl.run()
    move.table.roll()
    move.write(2)
    move.kcl.run()
    move.kcl.stop()
    (ended,) = [shard for shard, text in move.kcl.checkpoints().items() if text == "SHARD_END"]
    move.kcl.call("DynamoDB_20120810", "DeleteItem", TableName=move.leases, Key={"leaseKey": {"S": ended}})
    move.write(1)
    move.take_over()
    assert move.unsettled() == [6]


def test_an_import_that_was_cut_off_is_repeated_and_changes_nothing_the_second_time(move: Move) -> None:
    move.write(3)
    move.kcl.run(2)
    move.kcl.stop()
    assert move.take_over() == 1
    before = asyncio.run(move.state.query(""))
    assert move.take_over() == 0
    assert asyncio.run(move.state.query("")) == before


def test_a_preparation_writes_nothing(move: Move) -> None:
    move.write(3)
    move.kcl.run(2)
    move.prepare()
    assert asyncio.run(move.state.query("")) == []


def test_an_imported_handler_was_here_so_that_no_start_position_holds_for_it(move: Move) -> None:
    move.write(1)
    move.kcl.run()
    move.kcl.stop()
    move.take_over()
    assert asyncio.run(move.state.get(MAPPING.key("shop", "note"))) is not None


# ---- who is alive ------------------------------------------------------------------------------------------


def test_a_kcl_worker_that_renews_its_lease_between_two_looks_is_told(move: Move) -> None:
    move.write(2)
    move.kcl.run(1)
    assert move.prepare().refusals == ()  # nobody has moved: it was killed
    prepared = move.prepare(meanwhile=move.kcl.renew)
    assert prepared.alive == ("10.0.0.9:model",)
    assert "at work" in prepared.refusals[0][0]
    assert move.prepare(ImportChoice(even_if_alive=True), move.kcl.renew).refusals == ()


def test_what_is_seen_second_counts(move: Move) -> None:
    move.write(3)
    move.kcl.run(1)

    def go_on_and_stop() -> None:
        move.kcl.run(1)

    prepared = move.prepare(ImportChoice(even_if_alive=True), go_on_and_stop)
    asyncio.run(carry_out_import(prepared, move.side()))
    assert move.unsettled() == [2]


def test_a_worker_of_the_app_that_lives_keeps_leases_from_being_written(move: Move) -> None:
    move.write(2)
    move.kcl.run(1)
    move.kcl.stop()
    move.take_over()
    lease, write = take("lease/shop/l/s", None, "worker-1")
    asyncio.run(move.state.transact([write]))
    assert move.prepare_back().refusals == ()

    def go_on() -> None:
        asyncio.run(move.state.transact([finish(lease, ["note"])[1]]))

    prepared = move.prepare_back(meanwhile=go_on)
    assert prepared.alive == ("worker-1",)
    assert "a worker of the app" in prepared.refusals[0][0]


def test_a_worker_that_lives_by_a_row_of_its_own_is_told_though_no_lease_moves(move: Move) -> None:
    move.write(2)
    move.kcl.run(1)
    move.kcl.stop()
    move.take_over()

    def beat(counter: int) -> None:
        write = Write(MEMBER.key("shop", "worker-1"), {"v": 1, "counter": counter})
        asyncio.run(move.state.transact([write]))

    beat(1)
    assert move.prepare_back().alive == ()  # it was killed
    assert move.prepare_back(meanwhile=lambda: beat(2)).alive == ("worker-1",)


# ---- what is no place --------------------------------------------------------------------------------------


@pytest.fixture
def late(ground: Ground) -> Move:
    """A consumer that began with what came then, and has had nothing since it was last heard of."""
    move = Move(ground, initial="LATEST")
    move.write(3)
    move.kcl.run()
    move.kcl.stop()
    move.table.pass_time(60_000)
    move.write(2)
    return move


def test_a_lease_that_says_latest_is_not_guessed_at(late: Move) -> None:
    ((reason, hint),) = late.prepare().refusals
    assert "LATEST" in reason
    assert "--begin" in hint


def test_beginning_now_is_the_servers_own_time_and_is_told(late: Move) -> None:
    began_ms = late.prepare(ImportChoice("now")).began_ms
    now_ms = late.served.call(lambda: late.served.clock.now().wall_ms)
    assert began_ms is not None
    assert START_MS <= began_ms <= now_ms  # its answers say the time of its last sweep
    late.take_over(ImportChoice("now"))
    late.write(1)
    assert late.unsettled()[-1] == 5


def test_beginning_at_the_beginning_skips_nothing(late: Move) -> None:
    late.take_over(ImportChoice("beginning"))
    assert late.unsettled() == [0, 1, 2, 3, 4]


def test_beginning_at_a_time_delivers_what_came_then(late: Move) -> None:
    now_ms = late.served.call(lambda: late.served.clock.now().wall_ms)
    late.take_over(ImportChoice(now_ms))
    assert late.unsettled() == [3, 4]


# ---- what is lost ------------------------------------------------------------------------------------------


def gaps(move: Move) -> list[tuple[str, int]]:
    rows = asyncio.run(move.state.query(GAP.prefix("shop", "note")))
    return [(gap.shard_id, gap.generation) for gap in (read_gap(row.fields) for row in rows)]


def test_a_shard_that_is_trimmed_before_its_end_is_a_named_gap_once() -> None:
    with far() as place:
        move = Move(place)
        move.write(4)
        move.kcl.run(2)
        move.kcl.stop()
        (shard,) = move.kcl.checkpoints()
        move.table.roll()
        move.write(2)
        move.kcl.sync()
        move.table.pass_time(22 * HOUR_MS)
        move.table.pass_time(4 * HOUR_MS)
        assert shard not in move.kcl.shards()
        move.kcl.sync()
        prepared = move.prepare()
        assert [line.shard_id for line in prepared.plan.of("gap")] == [shard]
        move.take_over()
        move.take_over()
        assert gaps(move) == [(shard, 1)]


# ---- what the handler has itself ---------------------------------------------------------------------------


def test_a_handler_that_has_run_is_left_alone_unless_both_are_to_be_joined(move: Move) -> None:
    move.write(6)
    move.kcl.run(2)
    move.kcl.stop()
    move.take_over()
    (shard,) = move.rows()
    move.settle(shard, replace(move.rows()[shard], epoch=3))
    move.kcl.run(2)
    move.kcl.stop()
    ((reason, hint),) = move.prepare().refusals
    assert "'note' was here before" in reason
    assert "--merge" in hint
    move.take_over(ImportChoice(merges=True))
    assert move.unsettled() == [4, 5]
    assert move.rows()[shard].epoch == 4  # a worker that held the shard loses it, and reads again


def test_joining_never_sets_a_handler_back(move: Move) -> None:
    move.write(6)
    move.kcl.run(4)
    move.kcl.stop()
    move.take_over()
    (shard,) = move.rows()
    row = move.rows()[shard]
    move.kcl.checkpoint(shard, "TRIM_HORIZON")
    assert move.take_over(ImportChoice(merges=True)) == 0
    assert move.rows()[shard] == row


# ---- exports -----------------------------------------------------------------------------------------------


def test_kcl_goes_on_behind_what_the_handler_has_settled(move: Move) -> None:
    move.write(8)
    move.kcl.run(2)
    move.kcl.stop()
    move.take_over()
    (shard,) = move.rows()
    third = sequences(move)[4]
    move.settle(shard, CheckpointRow(2, 1, third))
    move.hand_back()
    move.kcl.run()
    assert [number for _, number in move.kcl.seen] == [0, 1, 5, 6, 7]


def sequences(move: Move) -> list[int]:
    async def reading() -> list[int]:
        source = move.side().source
        pages = [await source.read(shard, 0, 1_000) for shard in await source.shards()]
        return [record.sequence for page in pages for record in page.records]

    return asyncio.run(reading())


def park(move: Move, place: int) -> None:
    """Let the change at that place be parked."""

    async def parking() -> None:
        source = move.side().source
        (shard, *_) = await source.shards()
        record = (await source.read(shard, 0, 1_000)).records[place]
        letter = DeadLetter(
            record=record, event_id="e", shard_id=shard.shard_id, handler="note", condition="KeyParked",
            attempts=1,
        )  # fmt: skip
        key = parked_key("shop", "note", record.key, Version(1, record.sequence))
        await move.state.transact([Write(key, deadletter_fields(letter))])

    asyncio.run(parking())


def test_parked_changes_are_handed_to_kcl_with_what_follows(move: Move) -> None:
    move.write(6)
    move.kcl.run(1)
    move.kcl.stop()
    move.take_over()
    (shard,) = move.rows()
    move.settle(shard, CheckpointRow(2, 1, sequences(move)[5]))
    park(move, 3)
    prepared = move.prepare_back()
    assert [change.item for change in prepared.plan.repeated] == ["item 3"]
    move.hand_back()
    move.kcl.run()
    assert [number for _, number in move.kcl.seen] == [0, 3, 4, 5]


def test_parked_changes_that_left_the_stream_keep_the_export_back() -> None:
    with far() as place:
        move = Move(place)
        move.write(6)
        move.kcl.run(6)
        move.kcl.stop()
        move.take_over()
        park(move, 3)
        move.table.pass_time(26 * HOUR_MS)
        move.write(1)
        move.kcl.sync()
        prepared = move.prepare_back()
        assert [change.item for change in prepared.plan.only_here] == ["item 3"]
        (refusal,) = prepared.refusals
        assert "item 3" in refusal[0]
        assert move.prepare_back(ExportChoice(leaves_parked=True)).refusals == ()


def test_a_lease_that_kcl_changes_between_look_and_write_is_left_and_told(move: Move) -> None:
    move.write(6)
    move.kcl.run(2)
    move.kcl.stop()
    move.take_over()
    (shard,) = move.rows()
    move.settle(shard, CheckpointRow(2, 1, sequences(move)[3]))
    prepared = move.prepare_back()
    move.kcl.renew()
    table = KclTable(move.access, move.leases)
    changed = asyncio.run(carry_out_export(prepared, table, move.side()))
    assert [line.shard_id for line in changed] == [shard]
    assert int(move.kcl.checkpoints()[shard]) == sequences(move)[1]


def test_a_table_that_is_not_there_is_made_only_when_it_is_asked_for(move: Move) -> None:
    move.write(3)
    move.kcl.run(2)
    move.kcl.stop()
    move.take_over()
    move.leases = f"{move.leases}-2"
    with pytest.raises(SettingsError, match="there is no table"):
        move.prepare()
    with pytest.raises(SettingsError, match="there is no table"):
        move.prepare_back()
    move.hand_back(ExportChoice(creates=True))
    again = KclModel(move.served.port, move.leases, move.table.name)
    again.run()
    assert [number for _, number in again.seen] == [2]


def test_a_handler_that_was_never_here_is_not_exported(move: Move) -> None:
    move.write(1)
    with pytest.raises(SettingsError, match="it was never here"):
        move.prepare_back()
