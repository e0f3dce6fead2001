"""Journals of an app in a world: what was written is what is read, through restarts, splits and trims.

Rules of this file: the world's own clock; what is there is read by control.py and by `JournalReader`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb
import orjson
import pandas
import pyarrow.parquet as pq
import pytest

from tailrace import App
from tailrace.archives import DirectoryArchive, MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import ArchiveError, SettingsError, Unavailable
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.places import journaled_table
from tailrace.journal.core.records import PART_BASE, SCAN, Selection
from tailrace.journal.run import beginning
from tailrace.journal.run.local_files import LocalSegments
from tailrace.journal.run.reading import CaughtUp, JournalGap, JournalReader, JournalView
from tailrace.journal.run.segments import segment_of_changes
from tailrace.manifests.core.manifest import TableManifest
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.streams.version import Version
from tailrace.testing import World
from tests.unit.journal.control import ControlJournal, read_control

PLACE: Final = "history/"
CHANGES: Final = Selection(with_base=False)
T = TypeVar("T")


def archived(place: Any = PLACE) -> tuple[App, Any]:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, place)
    return app, orders


def archive_of(world: World) -> MemoryArchive:
    return world.archive(PLACE)


def control(world: World) -> ControlJournal:
    (journal,) = read_control(archive_of(world)._blobs).values()
    return journal


async def collected(changes: AsyncIterator[T]) -> list[T]:
    return [change async for change in changes]


def read(archive: Any, ask: Callable[[JournalReader], Any], log: Any = None) -> Any:
    async def run() -> Any:
        async with JournalReader(
            archive, journaled_table("orders", "us-east-1"), ManualClock(), log
        ) as reader:
            return await ask(reader)

    return asyncio.run(run())


def numbers(changes: list[Any]) -> list[int]:
    return [
        int(orjson.loads(change.new)["n"]["N"]) for change in changes if isinstance(change, JournalChange)
    ]


def written(world: World, orders: Any, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        world.put(orders, {"id": f"o{number % 7}", "n": Decimal(number)})


def test_every_change_is_there_once_through_restarts_and_splits() -> None:
    app, orders = archived()
    with World(app, seed=5, shards=2) as world:
        written(world, orders, 20)
        world.settle()
        written(world, orders, 10, 20)
        world.kill()
        world.restart()
        world.split(orders)
        written(world, orders, 10, 30)
        world.settle()
        world.advance("5h")  # every shard rolls over
        written(world, orders, 10, 40)
        world.settle()
        assert world.gaps() == []
        journal = control(world)
        assert sorted(int(orjson.loads(row["new"])["n"]["N"]) for row in journal.changes) == list(range(50))
        for (_, shard), (size, _) in journal.trees.items():
            assert size == len(journal.of_shard(shard))


def test_a_reader_answers_by_key_by_time_and_by_version() -> None:
    app, orders = archived()
    with World(app, seed=5, shards=2) as world:
        written(world, orders, 14)
        world.settle()
        middle_us = world.clock.now().wall_ms * 1_000 + 500
        world.advance(1_000)
        written(world, orders, 14, 14)
        world.settle()
        archive = archive_of(world)

    async def everything(reader: JournalReader) -> list[JournalChange]:
        return await collected((await reader.view()).changes(CHANGES, "version"))

    changes = read(archive, everything)
    assert [change.version for change in changes] == sorted(change.version for change in changes)
    assert sorted(numbers(changes)) == list(range(28))
    key = next(change.key for change in changes if numbers([change]) == [3])

    async def history(reader: JournalReader) -> list[JournalChange]:
        return await (await reader.view()).history(key)

    of_key = [change for change in read(archive, history) if change.origin != "scan"]
    assert numbers(of_key) == [3, 10, 17, 24]
    assert [change.old for change in of_key[1:]] == [change.new for change in of_key[:-1]]

    async def later(reader: JournalReader) -> list[JournalChange]:
        return await collected((await reader.view()).changes(Selection(since_us=middle_us, with_base=False)))

    assert sorted(numbers(read(archive, later))) == list(range(14, 28))


def test_a_follower_goes_on_in_the_live_stream_and_says_when_it_has_caught_up() -> None:
    app, orders = archived()
    with World(app, seed=5, shards=2) as world:
        written(world, orders, 10)
        world.settle()
        archive = archive_of(world)
        world.kill()  # from here on nobody archives
        written(world, orders, 5, 10)
        world.engine.committer.flush()

        async def followed(reader: JournalReader) -> list[Any]:
            return await collected(reader.follow(CHANGES, ends=True))

        changes = read(archive, followed, EmbeddedLog(world.engine))
        assert isinstance(changes[-1], CaughtUp)
        assert sorted(numbers(changes)) == list(range(15))
        assert sorted(numbers(read(archive, followed))) == list(range(10))


def test_a_stream_that_began_since_the_archiver_last_looked_is_newer() -> None:
    app, orders = archived()
    with World(app, seed=5) as world:
        written(world, orders, 3)
        world.settle()
        archive = archive_of(world)
        world.kill()
        client = world.client("dynamodb")
        for is_on in (False, True):
            view = {"StreamViewType": "NEW_AND_OLD_IMAGES"} if is_on else {}
            client.update_table(TableName="orders", StreamSpecification={"StreamEnabled": is_on, **view})
            world.clock.advance(1_000)
        client.put_item(TableName="orders", Item={"id": {"S": "o1"}, "n": {"N": "9"}})
        world.engine.committer.flush()

        async def followed(reader: JournalReader) -> list[Any]:
            return await collected(reader.follow(CHANGES, ends=True))

        changes = [
            change
            for change in read(archive, followed, EmbeddedLog(world.engine))
            if isinstance(change, JournalChange)
        ]
        assert [change.version.generation for change in changes] == [1, 1, 1, 2]
        world.restart()
        world.settle()
        later = [change for change in read(archive, followed) if isinstance(change, JournalChange)]
        assert [change.version for change in later] == [change.version for change in changes]
        with pytest.raises(SettingsError, match="places that have something: history/"):
            world.archive("elsewhere/")


def test_a_follower_is_told_what_the_stream_has_forgotten_before_the_journal_had_it() -> None:
    app, orders = archived()
    with World(app, seed=5) as world:
        written(world, orders, 10)
        world.settle()
        archive = archive_of(world)
        world.kill()  # from here on nobody archives, and nothing waits for an archive
        written(world, orders, 5, 10)
        world.advance("30h")
        written(world, orders, 3, 15)
        world.engine.committer.flush()

        async def followed(reader: JournalReader) -> list[Any]:
            return await collected(reader.follow(CHANGES, ends=True))

        told = read(archive, followed, EmbeddedLog(world.engine))
        assert numbers(told) == [*range(10), *range(15, 18)]
        (gap,) = [one for one in told if isinstance(one, JournalGap)]
        before, after = (told[place].version.sequence for place in (9, 11))
        assert told[10] is gap
        assert before < gap.first <= gap.last < after


def test_a_row_of_the_base_comes_after_the_change_that_it_is_as_of(tmp_path: Path) -> None:
    version = Version(1, 7)
    change = JournalChange("shard", b"k", version, 5, "INSERT", None, b"{}")
    of_base = JournalChange("base", b"k", version, 9, "INSERT", None, b"{}", SCAN)

    async def ordered(order: Any) -> list[str]:
        archive, files = DirectoryArchive(tmp_path), {}
        for one in (of_base, change):  # the base is named first
            encoded = segment_of_changes([one], 1_000)
            await archive.put_if_absent(f"{one.shard}.parquet", encoded.data)
            files[one.shard] = encoded.file(f"{one.shard}.parquet", PART_BASE)
        local = LocalSegments(archive)
        view = JournalView("here", TableManifest(files=files), local)
        shards = [told.shard async for told in view.changes(order=order)]
        local.close()
        return shards

    assert asyncio.run(ordered("key")) == ["shard", "base"]
    assert asyncio.run(ordered("version")) == ["shard", "base"]


def test_every_engine_reads_it(tmp_path: Path) -> None:
    app, orders = archived(DirectoryArchive(tmp_path))
    with World(app, seed=5) as world:
        written(world, orders, 9)
        world.settle()
    files = sorted(str(path) for path in tmp_path.rglob("*.parquet") if "/base-" not in str(path))
    assert files
    question = "SELECT (decode(new)::JSON->'n'->>'N')::INT FROM read_parquet(?) ORDER BY generation, sequence"
    with duckdb.connect() as connection:
        answer = connection.execute(question, [files]).fetchall()
    assert [n for (n,) in answer] == list(range(9))
    frame = pandas.concat(map(pandas.read_parquet, files)).sort_values(["generation", "sequence"])
    assert [int(orjson.loads(new)["n"]["N"]) for new in frame["new"]] == list(range(9))
    assert set(frame["event"]) == {"INSERT", "MODIFY"}
    table = pq.read_table(files[0])
    assert "at" not in table.column_names
    assert table.schema.field("sequence").type.byte_width == 24
    footer = pq.ParquetFile(files[0]).metadata.row_group(0)
    assert [column.column_index for column in footer.sorting_columns] == [0, 1, 2]
    assert footer.column(0).has_offset_index
    assert footer.column(0).compression == "ZSTD"


def test_a_place_without_a_journal_says_so() -> None:
    async def view(reader: JournalReader) -> Any:
        return await reader.view()

    with pytest.raises(Unavailable, match="there is no journal of table orders here"):
        read(MemoryArchive(), view)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("s3://", "names no bucket"),
        ("gs://bucket", "no place"),
        (7, "no place"),
        ("", "no place"),
    ],
)
def test_a_wrong_place_is_refused_where_it_is_written(place: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        archived(place)


def test_a_table_has_one_archive_and_shows_both_images() -> None:
    app, orders = archived()
    with pytest.raises(SettingsError, match="a journal has one writer"):
        app.archive(orders, "elsewhere/", id="another")
    poor = app.table("poor", pk="id", stream="NEW_IMAGE")
    with pytest.raises(SettingsError, match="a journal needs both images"):
        app.archive(poor, PLACE)
    with pytest.raises(SettingsError, match="hold_bytes=-1 is not allowed"):
        app.archive(app.table("more", pk="id"), PLACE, hold_bytes=-1)
    (mapping,) = app.mappings
    assert (mapping.id, mapping.kind, mapping.settings.order) == ("orders.archive", "archive", "shard")
    assert (mapping.settings.on_failure, mapping.settings.accepts) == ("block", None)


# ---- two horizons ------------------------------------------------------------------------------------------


class Away(MemoryArchive):
    """An archive that does not answer while it is away."""

    is_away = False

    async def get(self, name: str, start: int = 0, length: int | None = None) -> Any:
        self._check()
        return await super().get(name, start, length)

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        self._check()
        return await super().put_if_absent(name, data)

    def _check(self) -> None:
        if self.is_away:
            raise ArchiveError("no space left on device")


def read_by_clients(world: World) -> int:
    """How many records clients of the API can read."""
    client = world.client("dynamodbstreams")
    (stream,) = client.list_streams()["Streams"]
    count = 0
    for shard in client.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]:
        place = {"StreamArn": stream["StreamArn"], "ShardId": shard["ShardId"]}
        iterator = client.get_shard_iterator(**place, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while iterator is not None:
            page = client.get_records(ShardIterator=iterator)
            count += len(page["Records"])
            if not page["Records"]:
                break
            iterator = page.get("NextShardIterator")
    return count


def test_what_an_archive_has_not_stays_past_its_day_and_clients_do_not_see_it() -> None:
    archive = Away()
    app, orders = archived(archive)
    with World(app, seed=5, shards=2) as world:
        written(world, orders, 10)
        world.settle()
        archive.is_away = True
        written(world, orders, 10, 10)
        world.advance("30h")
        assert read_by_clients(world) == 0
        assert len(archive._blobs) > 0
        archive.is_away = False
        written(world, orders, 10, 20)
        world.advance("1h")
        world.settle()
        (journal,) = read_control(archive._blobs).values()
        assert sorted(int(orjson.loads(row["new"])["n"]["N"]) for row in journal.changes) == list(range(30))
        assert journal.gaps == []
        assert world.gaps() == []
        world.advance("48h")  # what was held is gone, now that the archive has it
        assert world.engine.log.holds.held_bytes("orders") == 0


def test_the_past_has_what_the_stream_keeps_for_the_archive_alone() -> None:
    archive = Away()
    app, orders = archived(archive)
    with World(app, seed=5) as world:
        written(world, orders, 1)
        world.settle()
        archive.is_away = True
        world.put(orders, {"id": "o0", "n": Decimal(1)})
        written_at = world.moment
        world.advance("30h")
        archive.is_away = False
        then = app.as_of(written_at).look(orders, {"id": "o0"})
        assert (then.item["n"], then.is_known) == (1, True)


def test_a_stream_waits_for_its_archive_after_a_worker_has_died() -> None:
    archive = Away()
    app, orders = archived(archive)
    with World(app, seed=5) as world:
        written(world, orders, 1)
        with world.faults(crash="after-checkpoint") as struck:
            world.settle()
        assert struck["crash"]
        archive.is_away = True
        written(world, orders, 9, 1)
        world.advance("30h")
        archive.is_away = False
        world.advance("1h")
        world.settle()
        (journal,) = read_control(archive._blobs).values()
        assert (len(journal.changes), journal.gaps) == (10, [])


def test_beyond_the_bound_the_oldest_goes_and_the_gap_is_named_in_the_journal() -> None:
    archive = Away()
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, archive, hold_bytes=600)
    with World(app, seed=5) as world:
        written(world, orders, 5)
        world.settle()
        archive.is_away = True
        world.kill()  # what a worker has read it has in memory, however late
        world.restart()
        written(world, orders, 400, 5)
        world.advance("30h")
        archive.is_away = False
        written(world, orders, 5, 405)
        world.advance("2h")
        world.settle()
        (journal,) = read_control(archive._blobs).values()
        there = {int(orjson.loads(row["new"])["n"]["N"]) for row in journal.changes}
        assert there >= {*range(5), *range(405, 410)}
        assert len(there) < 410
        (gap,) = world.gaps()
        assert journal.gaps == [(gap.shard_id, gap.first, gap.last)]


def test_a_shard_that_goes_unread_behind_one_that_waits_is_a_gap_in_what_continues_it() -> None:
    archive = Away()
    app, orders = archived(archive)
    with World(app, seed=5) as world:
        written(world, orders, 1)
        world.settle()
        archive.is_away = True
        written(world, orders, 1, 1)
        world.advance("5h")
        written(world, orders, 1, 2)  # in the next shard, which nobody comes to
        (lost,) = [
            page.records[0].sequence
            for shard in world.engine.shards_of(world.engine.stream_of("orders").arn)
            if shard.parents and (page := world.engine.log.read(shard, 0, 1)).records
        ]
        world.advance("40h")  # the shards behind that have nothing, and their day has passed
        world.engine.log.holds.hold("orders", 0)
        world.advance("1h")
        archive.is_away = False
        world.advance("1h")
        world.settle()
        (journal,) = read_control(archive._blobs).values()
        assert lost not in {int.from_bytes(row["sequence"], "big") for row in journal.changes}
        assert any(first <= lost <= last for _, first, last in journal.gaps)


def test_an_archive_that_is_away_stops_the_shard_in_words_and_parks_nothing() -> None:
    archive = Away()
    archive.is_away = True
    app, orders = archived(archive)
    with World(app, seed=5) as world:
        written(world, orders, 3)
        world.advance("10m")
        assert world.dead_letters("orders.archive") == []
        archive.is_away = False
        world.settle()
        (journal,) = read_control(archive._blobs).values()
        assert len(journal.changes) == 3


# ---- the base ----------------------------------------------------------------------------------------------


def test_a_journal_begins_with_the_table_as_it_was() -> None:
    app = App("earlier")
    orders = app.table("orders", pk="id")
    later, its = archived()
    with World(app, seed=5) as world:
        written(world, orders, 7)
        world.advance("30h")  # the stream has forgotten all of it
        world.use(later)
        written(world, its, 3, 7)
        world.settle()
        archive = archive_of(world)

    async def view(reader: JournalReader) -> Any:
        view = await reader.view()
        return view.base, await collected(view.changes())

    base, changes = read(archive, view)
    assert base.rows == 7
    of_base = [change for change in changes if change.origin == "scan"]
    assert sorted({json_id(change) for change in of_base}) == [f"o{number}" for number in range(7)]
    assert {change.shard for change in of_base} == {"base"}
    assert base.as_of_us == max(change.created_us for change in of_base)
    # The newest by version is the item as it is.
    newest = {change.key: change for change in changes}
    assert sorted(numbers(list(newest.values()))) == [3, 4, 5, 6, 7, 8, 9]


def json_id(change: JournalChange) -> str:
    return str(orjson.loads(change.new or b"")["id"]["S"])


def test_a_base_goes_on_where_it_was_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "ROWS", 5)
    monkeypatch.setattr("tailrace.sources.embedded_scan.PAGE", 5)
    app = App("earlier")
    orders = app.table("orders", pk="id")
    archive = Away()
    later, _ = archived(archive)
    with World(app, seed=5) as world:
        for number in range(23):
            world.put(orders, {"id": f"i{number}", "n": Decimal(number)})
        world.advance("30h")
        puts = archive.put_if_absent
        left = [9]

        async def until_it_breaks(name: str, data: bytes) -> str | None:
            left[0] -= 1
            if left[0] == 0:
                raise ArchiveError("the connection is lost")
            return await puts(name, data)

        monkeypatch.setattr(archive, "put_if_absent", until_it_breaks)
        world.use(later)
        world.advance("10m")
        world.kill()
        world.restart()
        world.put(orders, {"id": "i0", "n": Decimal(99)})
        world.settle()
        world.advance("10m")
    (journal,) = read_control(archive._blobs).values()
    rows = [row for row in journal.rows if row["shard"] == "base"]
    keys = [row["key"] for row in rows]
    assert len(keys) == len(set(keys)) == 23
