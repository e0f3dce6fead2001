"""The manifest in an archive: numbers are won, whole manifests are begun with, old deltas go.

Rules of this file: two logs over one archive are two processes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import ArchiveError, SettingsError
from tailrace.manifests.core.manifest import KEEP_MS, DeltaPart, TableManifest
from tailrace.manifests.run.cleaning import clean_manifest
from tailrace.manifests.run.log import FULL_EVERY, LONG_MS, ManifestLog

FOLDER = "orders/_manifest"


def noting(name: str) -> Callable[[TableManifest], DeltaPart | None]:
    """A plan that notes a name once."""
    return lambda manifest: None if name in manifest.notes else DeltaPart(notes={name: "here"})


class Place:
    def __init__(self) -> None:
        self.archive = MemoryArchive()
        self.clock = ManualClock()

    def log(self) -> ManifestLog:
        return ManifestLog(self.archive, FOLDER, self.clock)

    async def names(self, below: str) -> list[str]:
        return [name.rpartition("/")[2] for name in await self.archive.list(f"{FOLDER}/{below}/")]


def over_a_place(test: Callable[[Place], Awaitable[None]]) -> None:
    async def run() -> None:
        await test(Place())

    asyncio.run(run())


def test_of_two_writers_each_gets_its_commit_into_a_delta_of_its_own() -> None:
    async def test(place: Place) -> None:
        one, other = place.log(), place.log()
        await one.commit(noting("a"))
        await other.commit(noting("b"))
        after = await one.commit(noting("c"))
        assert (after.number, sorted(after.notes)) == (3, ["a", "b", "c"])

    over_a_place(test)


def test_what_was_done_before_needs_no_delta() -> None:
    async def test(place: Place) -> None:
        await place.log().commit(noting("a"))
        stale = place.log()
        await stale.current()
        await place.log().commit(noting("b"))
        assert (await stale.commit(noting("b"))).number == 2
        assert len(await place.names("delta")) == 2

    over_a_place(test)


def test_commits_that_wait_share_a_delta_and_one_that_is_refused_harms_no_other() -> None:
    async def test(place: Place) -> None:
        log = place.log()

        def refuse(manifest: TableManifest) -> DeltaPart:
            raise SettingsError("not this one")

        answers = await asyncio.gather(
            *(log.commit(plan) for plan in (noting("a"), refuse, noting("b"), noting("c"))),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [
            TableManifest,
            SettingsError,
            TableManifest,
            TableManifest,
        ]
        assert sorted((await log.current()).notes) == ["a", "b", "c"]
        assert len(await place.names("delta")) <= 2

    over_a_place(test)


def test_a_cancelled_commit_takes_no_other_with_it() -> None:
    async def test(place: Place) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()
        original = place.archive.put_if_absent

        async def slow(name: str, data: bytes) -> str | None:
            begun.set()
            await go_on.wait()
            return await original(name, data)

        place.archive.put_if_absent = slow  # type: ignore[method-assign]
        log = place.log()
        first = asyncio.ensure_future(log.commit(noting("a")))
        await begun.wait()
        others = [asyncio.ensure_future(log.commit(noting(name))) for name in "bc"]
        await asyncio.sleep(0)
        first.cancel()
        go_on.set()
        done = await asyncio.gather(first, *others, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert {"b", "c"} <= set((await log.current()).notes)

    over_a_place(test)


async def filled(place: Place, count: int) -> ManifestLog:
    log = place.log()
    for number in range(count):
        await log.commit(noting(str(number)))
    return log


def test_readers_begin_with_the_whole_manifest_that_the_head_names() -> None:
    async def test(place: Place) -> None:
        await filled(place, FULL_EVERY + 3)
        assert [name[:20] for name in await place.names("full")] == [f"{FULL_EVERY:020d}"]
        for number in range(1, FULL_EVERY + 1):
            await place.archive.delete(f"{FOLDER}/delta/{number:020d}.json")
        manifest = await place.log().current()
        assert (manifest.number, len(manifest.notes)) == (FULL_EVERY + 3, FULL_EVERY + 3)

    over_a_place(test)


@pytest.mark.parametrize("missing", ["full", "head.json"])
def test_a_head_that_could_not_be_written_costs_reading_alone(missing: str) -> None:
    async def test(place: Place) -> None:
        original = place.archive.put_if_absent

        async def failing(name: str, data: bytes) -> str | None:
            if f"/{missing}" in name:
                raise ArchiveError("full")
            return await original(name, data)

        place.archive.put_if_absent = failing  # type: ignore[method-assign]
        await filled(place, FULL_EVERY + 1)
        assert (await place.log().current()).number == FULL_EVERY + 1

    over_a_place(test)


def test_a_head_whose_manifest_is_gone_is_told() -> None:
    async def test(place: Place) -> None:
        await filled(place, FULL_EVERY)
        await place.archive.delete(f"{FOLDER}/full/{FULL_EVERY:020d}.json")
        with pytest.raises(ArchiveError, match=f"names the manifest {FULL_EVERY}, which is not there"):
            await place.log().current()

    over_a_place(test)


@pytest.mark.parametrize(("waited_ms", "expected"), [(KEEP_MS - 1, 0), (KEEP_MS, FULL_EVERY)])
def test_deltas_are_superseded_an_hour_after_readers_begin_behind_them(waited_ms: int, expected: int) -> None:
    async def test(place: Place) -> None:
        log = await filled(place, FULL_EVERY + 2)
        place.clock.advance(waited_ms)
        assert len(await log.superseded(place.clock.now().wall_ms)) == expected

    over_a_place(test)


def test_a_whole_manifest_that_no_head_names_supersedes_nothing() -> None:
    async def test(place: Place) -> None:
        log = await filled(place, FULL_EVERY)
        original = place.archive.compare_and_put

        async def away(name: str, data: bytes, tag: str) -> str | None:
            raise ArchiveError("the archive is away")

        place.archive.compare_and_put = away  # type: ignore[method-assign]
        await filled(place, 2 * FULL_EVERY)
        place.archive.compare_and_put = original  # type: ignore[method-assign]
        assert len(await place.names("full")) == 2
        place.clock.advance(2 * KEEP_MS)
        now_ms = place.clock.now().wall_ms
        assert await clean_manifest(log, place.archive, now_ms) == FULL_EVERY
        assert (await place.log().current()).number == 2 * FULL_EVERY
        await filled(place, 3 * FULL_EVERY)
        assert not await log.superseded(now_ms), "readers begin there only now"
        place.clock.advance(KEEP_MS)
        assert await clean_manifest(log, place.archive, now_ms + KEEP_MS) == 2 * FULL_EVERY + 2, (
            "two whole ones with them"
        )
        assert (await place.log().current()).number == 3 * FULL_EVERY

    over_a_place(test)


@pytest.mark.parametrize("slept_ms", [0, LONG_MS + 1])
def test_a_writer_that_slept_does_not_win_a_number_that_no_reader_looks_at(slept_ms: int) -> None:
    async def test(place: Place) -> None:
        sleeper = place.log()
        await sleeper.commit(noting("first"))
        asleep = True
        original = place.archive.put_if_absent

        async def sleeping(name: str, data: bytes) -> str | None:
            nonlocal asleep
            if asleep:
                asleep = False
                log = await filled(place, FULL_EVERY)
                for gone in await log.superseded(place.clock.now().wall_ms + KEEP_MS):
                    await place.archive.delete(gone)
                place.clock.advance(slept_ms)
            return await original(name, data)

        place.archive.put_if_absent = sleeping  # type: ignore[method-assign]
        after = await sleeper.commit(noting("late"))
        is_there = "late" in (await place.log().current()).notes
        assert is_there == (slept_ms > LONG_MS), "without the look at the head it is lost: the canary"
        assert (after.number > FULL_EVERY) == is_there

    over_a_place(test)


def test_a_lost_delta_is_named_where_later_ones_are() -> None:
    async def test(place: Place) -> None:
        log = place.log()
        for name in ("a", "b", "c"):
            await log.commit(noting(name))
        await place.log().check_whole()
        await place.archive.delete(f"{FOLDER}/delta/{2:020d}.json")
        with pytest.raises(ArchiveError, match=f"{2:020d}.json is not there, and later ones are"):
            await place.log().check_whole()

    over_a_place(test)


def test_files_of_others_in_a_manifest_are_neither_deltas_nor_deleted() -> None:
    async def test(place: Place) -> None:
        log = await filled(place, FULL_EVERY + 1)
        for name in ("delta/notes.txt", "delta/0.json", f"delta/{99:020d}.json.bak", "full/0.json"):
            await place.archive.put_if_absent(f"{FOLDER}/{name}", b"?")
        await place.log().check_whole()
        superseded = await log.superseded(place.clock.now().wall_ms + KEEP_MS)
        assert superseded == [f"{FOLDER}/delta/{number:020d}.json" for number in range(1, FULL_EVERY + 1)]

    over_a_place(test)


@pytest.mark.parametrize(
    ("there", "is_lost"),
    [
        ("segments/shard-0-7-0123456789abcdef.parquet", True),
        (f"_manifest/full/{FULL_EVERY:020d}.json", True),
        ("segments/notes.txt", False),
        (None, False),
    ],
)
def test_a_manifest_that_is_gone_is_no_empty_one_where_its_files_are(
    there: str | None, is_lost: bool
) -> None:
    async def test(place: Place) -> None:
        if there is not None:
            await place.archive.put_if_absent(f"orders/{there}", b"?")
        if not is_lost:
            await place.log().check_whole()
            return
        with pytest.raises(ArchiveError, match="no manifest can be read there, and files are of one"):
            await place.log().check_whole()

    over_a_place(test)


def test_a_lost_delta_that_was_the_last_or_is_in_a_whole_manifest_is_none_between() -> None:
    async def test(place: Place) -> None:
        log = place.log()
        for number in range(FULL_EVERY + 2):
            await log.commit(noting(str(number)))
        await place.archive.delete(f"{FOLDER}/delta/{FULL_EVERY:020d}.json")
        await place.archive.delete(f"{FOLDER}/delta/{FULL_EVERY + 2:020d}.json")
        await place.log().check_whole()

    over_a_place(test)


def test_a_delta_that_is_written_while_it_is_looked_for_is_not_lost() -> None:
    async def test(place: Place) -> None:
        writer, reader = place.log(), place.log()
        await writer.commit(noting("a"))
        asked = place.archive.list

        async def late(prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
            for name in ("b", "c"):
                await writer.commit(noting(name))
            return await asked(prefix, after=after, limit=limit)

        place.archive.list = late  # type: ignore[method-assign]
        await reader.check_whole()
        assert (await reader.current()).number == 3

    over_a_place(test)
