"""Of several workers one saves each shard from the trim: the one that reads it, or else the one with the
duty.

Rules of this file: the stream forgets after a day; what is asked of it for saving is counted.
"""

import asyncio
from collections import Counter

import pytest

from tailrace.alerts.core.signs import AlertBounds, holding
from tailrace.runtime import evacuation
from tailrace.runtime.watermark import MappingName
from tailrace.server.signs import handler_signs
from tailrace.views.reading import ViewSources
from tailrace.worker import unread
from tests.contracts.delivering import ALL
from tests.contracts.fleet import CHANGES, MINUTE_MS, STEP_MS, Fleet, Log, told


def most_reads(fleet: Fleet) -> int:
    """Of what copies all changes once: the pages of each shard, and a read that sees nothing more."""
    changes = Counter(fleet.source.shard_of(f"o{number}") for number in range(CHANGES))
    return sum(-(-count // evacuation.PAGE) + 1 for count in changes.values())


async def three_with_a_backlog(fleet: Fleet) -> Counter[str]:
    """What three workers ask for, from before a backlog is due until all of it is saved."""
    await fleet.begin(before_ms=5 * MINUTE_MS)
    for name in ("one", "two", "three"):
        fleet.join(name)
    await fleet.pass_ms(14 * MINUTE_MS)
    assert set((await fleet.owners()).values()) == {"one", "two", "three"}
    assert await fleet.saved() == set()
    before = fleet.pages()
    await fleet.pass_ms(3 * MINUTE_MS)
    assert await fleet.saved() == fleet.numbers
    return fleet.pages() - before


def test_each_page_of_a_backlog_is_read_once_to_be_saved_by_the_worker_that_has_the_shard() -> None:
    async def story(fleet: Fleet) -> None:
        read = await three_with_a_backlog(fleet)
        for member in fleet.members:
            theirs = {
                shard for shard, owner in (await fleet.owners()).items() if owner == member.worker.owner
            }
            assert {shard for shard, pages in member.asked.pages.items() if pages > 1} == theirs
        assert sum(read.values()) <= most_reads(fleet)

    told(story)


def test_the_canary_workers_that_all_save_everything_are_seen_to_read_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unread, "lead_share", lambda where, *, has_duty: 1)

    async def story(fleet: Fleet) -> None:
        assert sum((await three_with_a_backlog(fleet)).values()) > most_reads(fleet)

    told(story)


def test_what_a_worker_that_dies_has_not_saved_is_saved_by_the_others_and_nothing_is_missing() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.begin(before_ms=5 * MINUTE_MS)
        fleet.join("one")
        await fleet.pass_ms(MINUTE_MS)
        fleet.join("two")
        fleet.join("three")
        await fleet.pass_ms(14 * MINUTE_MS - STEP_MS)
        dying = fleet.members[0]
        while not await fleet.saved():  # it is in the middle of it
            await asyncio.sleep(0)
            fleet.clock.advance(10)
        await dying.kill()
        saved = await fleet.saved()
        assert saved
        assert saved < fleet.numbers
        await fleet.pass_ms(17 * MINUTE_MS)
        assert await fleet.saved() == fleet.numbers
        assert dying.worker.owner not in (await fleet.owners()).values()

    told(story)


def test_shards_that_no_worker_may_take_are_saved_by_one_and_by_another_when_that_has_died() -> None:
    async def story(fleet: Fleet) -> None:
        await fleet.begin(before_ms=5 * MINUTE_MS, shards=2)
        for name in ("one", "two", "three"):
            fleet.join(name, "shard-1", "shard-2")
        await fleet.pass_ms(13 * MINUTE_MS)
        (having,) = [member for member in fleet.members if member.duty.is_held]
        await having.kill()
        await fleet.pass_ms(3 * MINUTE_MS)
        assert await fleet.owners() == {}
        assert await fleet.saved() == fleet.numbers
        (saving,) = [member for member in fleet.members if member.asked.pages]
        assert saving is not having
        assert saving.duty.is_held
        assert sum(saving.asked.pages.values()) <= most_reads(fleet)
        reading = ViewSources(fleet.state, Log(saving.asked), fleet.clock, app="shop")  # type: ignore[arg-type]
        signs = await handler_signs(reading, MappingName("shop", "note", "orders"), ())
        assert "evacuating" in holding(signs, AlertBounds(), 0)

    told(story)


def test_the_canary_without_a_duty_such_shards_are_saved_by_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "lead_share", lambda where, *, has_duty: 1 if where == "here" else None)

    async def story(fleet: Fleet) -> None:
        await fleet.begin(before_ms=0, shards=2)
        fleet.join("one", "shard-1")
        await fleet.pass_ms(32 * MINUTE_MS)
        missing = fleet.numbers - await fleet.saved()
        assert missing
        assert missing < fleet.numbers

    told(story)


def test_what_the_owner_of_a_shard_cannot_save_the_worker_with_the_duty_does_an_hour_before_the_trim() -> (
    None
):
    async def story(fleet: Fleet) -> None:
        await fleet.begin(before_ms=-50 * MINUTE_MS, shards=1)
        owner = fleet.join("one", weight=ALL)
        owner.asked.fails = True
        await fleet.pass_ms(MINUTE_MS)
        assert list((await fleet.owners()).values()) == ["one"]
        fleet.join("two", "shard-1")
        await fleet.pass_ms(8 * MINUTE_MS)
        assert await fleet.saved() == set()
        await fleet.pass_ms(16 * MINUTE_MS)
        assert await fleet.saved() == fleet.numbers
        assert list((await fleet.owners()).values()) == ["one"]

    told(story)
