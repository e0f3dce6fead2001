"""A journal whose place takes nothing: the archiver stops in words, the stream waits for it, and people are
told; what was there stays as it was.

Rules of this file: a place fails where it touches the world: the system calls of a directory. What S3
answers is in tests/contracts/test_journals_in_s3.py.
"""

import errno
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

import duckdb
import orjson
import pytest

from tailrace import App, sinks
from tailrace.archives import DirectoryArchive, MemoryArchive, directory
from tailrace.errors import ArchiveError, Unavailable
from tailrace.journal.run.opening import told_by_duckdb
from tailrace.testing import World
from tailrace.testing.world import Unsettled
from tests.unit.journal.control import ControlJournal, read_control

WAITS: Final = "orders.archive in .*: orders.archive cannot reach its other side"


def archived(place: Path, **settings: Any) -> tuple[App, Any]:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, DirectoryArchive(place), **settings)
    return app, orders


def journal_at(place: Path) -> ControlJournal:
    blobs = {
        str(file.relative_to(place)): file.read_bytes()
        for file in place.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(place).parts)
    }
    (journal,) = read_control(blobs).values()
    return journal


def numbers(journal: ControlJournal) -> list[int]:
    return sorted(int(orjson.loads(row["new"])["n"]["N"]) for row in journal.changes)


def written(world: World, orders: Any, first: int, end: int) -> None:
    for number in range(first, end):
        world.put(orders, {"id": f"o{number % 5}", "n": Decimal(number), "text": "x" * 50})


def failing(number: int) -> Callable[..., NoReturn]:
    def call(*_: Any, **__: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return call


def half_written(file: int, data: bytes) -> NoReturn:
    """The disk is full in the middle of a segment."""
    os.write(file, data[: len(data) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


READ_ONLY: Final = failing(errno.EROFS)


@pytest.mark.parametrize(
    ("owner", "call", "fails", "words", "hours"),
    [
        (directory, "_write_all", half_written, "No space left on device", 1),
        (DirectoryArchive, "_alone", READ_ONLY, "Read-only file system", 30),  # past the stream's day
    ],
)
def test_a_directory_that_takes_nothing_stops_the_archiver_in_words_and_nothing_is_lost(
    owner: Any,
    call: str,
    fails: Any,
    words: str,
    hours: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, orders = archived(tmp_path)
    with World(app, seed=1) as world:
        written(world, orders, 0, 5)
        world.settle()
        with monkeypatch.context() as patched:
            patched.setattr(owner, call, fails)
            written(world, orders, 5, 15)
            with pytest.raises(Unsettled, match=rf"{WAITS} \(archive {tmp_path}: {words}"):
                world.settle(f"{hours}h")
            assert world.lag() > hours * 3_500_000, "what waits past its day is behind, too"
            assert numbers(journal_at(tmp_path)) == list(range(5))
        world.settle()
        assert (world.gaps(), world.dead_letters("orders.archive"), world.lag()) == ([], [], 0)
    journal = journal_at(tmp_path)
    assert (numbers(journal), journal.gaps) == (list(range(15)), [])
    left = [file.name for file in (tmp_path / directory.PARTS).iterdir()]
    assert left == [], "no half of a segment stays"


def test_beyond_its_bound_the_stream_goes_on_without_and_the_gap_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, orders = archived(tmp_path, hold_bytes=2_000)
    with World(app, seed=1) as world:
        written(world, orders, 0, 5)
        world.settle()
        monkeypatch.setattr(DirectoryArchive, "_alone", READ_ONLY)
        world.kill()  # what a worker has read it has in memory, however late
        world.restart()
        written(world, orders, 5, 105)
        world.advance("30h")
        held = world.engine.log.holds.held_bytes("orders")
        assert 0 < held <= 2_000
        monkeypatch.undo()
        world.settle()
        (gap,) = world.gaps()
        journal = journal_at(tmp_path)
        assert journal.gaps == [(gap.shard_id, gap.first, gap.last)]
        there = numbers(journal)
        lost = set(range(105)) - set(there)
        assert lost, "more than the bound waited"
        assert there == sorted({*range(5), *range(max(lost) + 1, 105)}), "the oldest goes, and only that"
        then = world.clock.now().wall_ms / 1_000
        assert app.as_of(then).get(orders, {"id": "o1"})["n"] == 101
        assert "are in no journal" in app.as_of(then - 20 * 3_600).unknown(orders)


def test_people_are_told_that_a_journal_waits_and_when_it_goes_on() -> None:
    class Full(MemoryArchive):
        is_full = False

        async def put_if_absent(self, name: str, data: bytes) -> str | None:
            if self.is_full:
                raise ArchiveError(f"archive here: No space left on device: {name}")
            return await super().put_if_absent(name, data)

    archive = Full()
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, archive)
    app.alerts(sinks.Webhook("https://chat.example/hook"), late="10m", stuck="24h")
    with World(app, seed=1) as world:
        written(world, orders, 0, 1)
        world.settle()
        archive.is_full = True
        written(world, orders, 1, 2)
        world.advance("15m")
        (began,) = [sent.body for sent in world.alerts()]
        assert (began["alert"], began["state"], began["handler"]) == ("late", "began", "orders.archive")
        archive.is_full = False
        world.settle()
        world.advance("15m")
        assert [sent.body["state"] for sent in world.alerts()] == ["began", "ended"]


def test_a_place_that_cannot_be_asked_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, orders = archived(tmp_path)
    with World(app, seed=1) as world:
        written(world, orders, 0, 5)
        world.settle()
        then = world.clock.now().wall_ms / 1_000
        with monkeypatch.context() as patched:
            patched.setattr(directory.os, "fstat", failing(errno.EIO))
            with pytest.raises(Unavailable, match="Input/output error"):
                app.as_of(then).get(orders, {"id": "o1"})
        assert app.as_of(then).get(orders, {"id": "o1"})["n"] == 1


def test_what_duckdb_says_of_a_segment_is_told_without_its_query(tmp_path: Path) -> None:
    segment = tmp_path / "segment.parquet"
    segment.write_bytes(b"PAR1 and no more than half of it")
    with (
        duckdb.connect() as asked,
        pytest.raises(Unavailable) as told,
        told_by_duckdb("it cannot be read", ""),
    ):
        asked.execute("SELECT * FROM read_parquet(?)", [str(segment)])
    assert told.value.args[0].startswith("it cannot be read: ")
    assert (segment.name in told.value.args[0], "LINE 1" in told.value.args[0]) == (True, False)
