"""Builds out of a journal, by several workers: every change counts once, whatever dies, stalls and is late,
and delivery goes on where the journal ends.

Rules of this file: as in test_several_builders.py; what is judged is the fold over the log, a change at a
time, which only a journal can answer. Copies that are broken on purpose have to be found wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest import mock

import orjson
import pytest

from tailrace.projections.core.builds import MOST_FAILED
from tailrace.projections.core.journaled import HistoryChange
from tailrace.projections.run.builds import Builds
from tailrace.projections.run.from_journal import JournalFilling
from tailrace.streams.version import Version
from tests.contracts.projecting import Journaled, Workshop, by_chance, filled_table, projected, rebuilt, told

SEEDS = range(30)
Folded = dict[str, tuple[int, int]]


def all_that_was(workshop: Workshop) -> Folded:
    """Country → (how many images entered it, their total)."""
    groups: Folded = {}
    for record in workshop.orders.log:
        if record.new is not None:
            image = orjson.loads(record.new)
            country = image["country"]["S"]
            count, total = groups.get(country, (0, 0))
            groups[country] = (count + 1, total + int(image["total"]["N"]))
    return groups


def lagging(workshop: Workshop) -> Callable[[Random], None]:
    """A journal that is late, catches up and merges its segments by chance."""
    workshop.orders.is_exact = True
    workshop.journal = journal = Journaled(workshop.orders)

    def meanwhile(chance: Random) -> None:
        journal.is_calm = chance.random() < 0.7
        journal.archive(chance.randint(journal.through, workshop.orders.last))
        if chance.random() < 0.2:
            journal.merge()

    return meanwhile


async def whole_story(workshop: Workshop, seed: int, *, history: bool) -> Folded:
    """Everything by chance. Returns: what is served at last."""
    meanwhile = lagging(workshop)
    await by_chance(workshop, seed, projected(history=history), meanwhile)
    assert workshop.journal is not None
    workshop.journal.is_calm = True
    await workshop.settle(next(one for one in workshop.builders if not one.is_dead))
    known = await workshop.known()
    assert [build.name for build in known.builds] == [known.served], "one build is left, and is served"
    (build,) = known.builds
    assert (build.is_filled, build.lacking, known.joining) == (True, (), "")
    assert await workshop.keys(build.name) == {workshop.orders.place(key) for key in workshop.orders.items}
    return await workshop.fold(build.name)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_change_counts_once_whatever_happens_to_workers_and_journal(seed: int) -> None:
    async def story(workshop: Workshop) -> None:
        assert await whole_story(workshop, seed, history=True) == all_that_was(workshop)

    told(story, seed)


@pytest.mark.parametrize("seed", SEEDS[:15])
def test_without_history_it_is_the_fold_over_the_items(seed: int) -> None:
    async def story(workshop: Workshop) -> None:
        assert await whole_story(workshop, seed, history=False) == workshop.orders.fold()

    told(story, seed)


# ---- canaries ----------------------------------------------------------------------------------------------


@contextmanager
def joining_early() -> Iterator[None]:
    """A build joins however late its journal is: that is wrong for nobody, but for who waits."""

    async def at_once(*_: Any) -> None:
        await asyncio.sleep(0)

    with mock.patch.object(JournalFilling, "_caught_up", at_once):
        yield


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_how_late_a_journal_is_when_a_build_joins_makes_no_difference(seed: int) -> None:
    async def story(workshop: Workshop) -> None:
        assert await whole_story(workshop, seed, history=True) == all_that_was(workshop)

    with joining_early():
        told(story, seed)


@contextmanager
def delivery_that_never_waits() -> Iterator[None]:
    """Delivery applies changes to a build that joins, at once; and it joins however late its journal is."""

    async def applicable(self: Builds, projection: Any) -> Any:
        known = await self.known(projection)
        builds = known.of_version(projection.version)
        return [
            (build, self.store(projection, build.name))
            for build in builds
            if build.takes_changes or known.joining == build.name
        ]

    with mock.patch.object(Builds, "applicable", applicable), joining_early():
        yield


@contextmanager
def a_build_that_ends_too_early() -> Iterator[None]:
    """The journal is not asked whether it has everything."""

    async def passed(*_: Any) -> bool:
        await asyncio.sleep(0)
        return True

    with mock.patch.object(JournalFilling, "_passed", passed):
        yield


@contextmanager
def a_build_that_takes_changes_while_it_is_filled() -> Iterator[None]:
    """As builds from tables do."""

    async def applicable(self: Builds, projection: Any) -> Any:
        return await self.current(projection)

    with mock.patch.object(Builds, "applicable", applicable):
        yield


@contextmanager
def a_journal_that_begins_late() -> Iterator[None]:
    """Its first changes are missing, and nobody says so: a single one the next change's old image tells."""
    made = Journaled.__init__

    def init(self: Journaled, *arguments: Any) -> None:
        made(self, *arguments)
        self.without = set(range(20))

    with mock.patch.object(Journaled, "__init__", init):
        yield


@pytest.mark.parametrize(
    "broken",
    [
        delivery_that_never_waits,
        a_build_that_ends_too_early,
        a_build_that_takes_changes_while_it_is_filled,
        a_journal_that_begins_late,
    ],
)
def test_what_is_broken_is_found_wrong(broken: Callable[[], Any]) -> None:
    wrong = 0
    for seed in SEEDS:

        async def story(workshop: Workshop, seed: int = seed) -> None:
            nonlocal wrong
            try:
                wrong += await whole_story(workshop, seed, history=True) != all_that_was(workshop)
            except AssertionError:
                wrong += 1

        with broken():
            told(story, seed)
        if wrong:
            return
    pytest.fail(f"{broken.__name__} was never found wrong")


# ---- stories -----------------------------------------------------------------------------------------------


def story_of(history: bool) -> Callable[[Callable[[Workshop, Journaled], Awaitable[None]]], None]:
    """Run a story with a table, its journal, and a build that is served."""

    def run(story: Callable[[Workshop, Journaled], Awaitable[None]]) -> None:
        async def tell(workshop: Workshop) -> None:
            workshop.journal = journal = Journaled(workshop.orders)
            filled_table(workshop)
            worker = workshop.worker(projected(history=history))
            worker.run()
            await workshop.settle(worker)
            await story(workshop, journal)

        told(tell)

    return run


def test_a_gap_keeps_a_build_with_history_from_being_served_until_it_is_accepted() -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        journal.lacking = ("changes 1 to 2 are in no journal",)
        await rebuilt(worker)
        await workshop.settle(worker)
        build = (await workshop.known()).builds[-1]
        assert (await workshop.served(), build.name, build.lacking) == ("1", "1.1", journal.lacking)
        assert await worker.projector.why_not_yet(worker.projection, build) == journal.lacking[0]
        workshop.orders.write("o1", "FR", 3)
        await workshop.settle(worker)
        await worker.projector.swap(worker.projection, "1.1")
        assert await workshop.served() == "1.1"
        assert await workshop.fold("1.1") == all_that_was(workshop)

    story_of(history=True)(story)


def test_a_gap_lets_a_build_without_history_be_filled_from_the_table() -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        journal.lacking, journal.without = ("changes 1 to 2 are in no journal",), {1, 2}
        await rebuilt(worker)
        await workshop.settle(worker)
        await workshop.check()
        (build,) = (await workshop.known()).builds
        assert (build.name, build.source) == ("1.1", "")

    story_of(history=False)(story)


def test_a_journal_that_stays_behind_lets_a_build_without_history_be_filled_from_the_table() -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        journal.is_calm = False
        workshop.orders.write("o1", "FR", 3)
        await rebuilt(worker)
        await workshop.settle(worker)
        (build,) = (await workshop.known()).builds
        assert (build.name, build.source) == ("1.2", "")
        await workshop.check()

    story_of(history=False)(story)


@pytest.mark.parametrize("history", [False, True])
def test_a_journal_that_does_not_answer_is_waited_for_by_history_alone(history: bool) -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        journal.is_away = True
        await rebuilt(worker)
        await workshop.settle(worker)
        assert await workshop.served() == ("1" if history else "1.1")
        journal.is_away = False
        await workshop.settle(worker)
        assert await workshop.served() == "1.1"
        assert await workshop.fold("1.1") == (all_that_was(workshop) if history else workshop.orders.fold())

    story_of(history=history)(story)


def test_more_items_that_fail_than_are_named_end_the_reading_and_none_of_their_changes_overtakes() -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        for number in range(MOST_FAILED + 5):
            workshop.orders.write(f"bad{number:02}", "NL", -1)
            workshop.orders.write(f"bad{number:02}", "NL", 5)
        for records in workshop.orders.unsettled.values():
            records.clear()  # given up: they are in the journal alone
        await rebuilt(worker)
        await workshop.settle(worker)
        build = (await workshop.known()).builds[-1]
        assert (build.is_filled, build.takes_changes) == (True, False)
        assert build.failures > len(build.failed) == MOST_FAILED
        assert not {key for key in await workshop.keys("1.1") if bytes.fromhex(key).startswith(b"bad")}

    story_of(history=True)(story)


def test_what_went_while_a_journal_was_behind_is_not_in_the_build_that_the_table_fills() -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        journal.is_calm = False
        workshop.orders.write("o3", "FR", 3)
        await rebuilt(worker)
        await workshop.rest(1)
        assert (await workshop.known()).builds[-1].filled > 0
        workshop.orders.write("o1", None)
        workshop.orders.write("o2", "FR", 3)
        await workshop.settle(worker)
        (build,) = (await workshop.known()).builds
        assert (build.name, build.source) == ("1.2", "")
        await workshop.check()

    story_of(history=False)(story)


def test_a_table_that_was_made_anew_while_its_journal_was_read_is_another_one() -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        journal.is_calm = False
        workshop.orders.write("o1", "FR", 3)
        await rebuilt(worker)
        await workshop.rest(3)
        worker.kill()
        journal.incarnation, journal.is_calm = "two", True
        other = workshop.worker(worker.projection)
        other.run()
        await workshop.settle(other)
        build = (await workshop.known()).builds[-1]
        assert (await workshop.served(), build.name) == ("1", "1.1")
        assert "made anew" in build.lacking[0]

    story_of(history=True)(story)


def test_while_a_journal_is_behind_delivery_is_not_held_up_and_the_build_ends_when_it_has_caught_up() -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        journal.is_calm = False
        workshop.orders.write("o1", "FR", 3)
        await rebuilt(worker)
        await workshop.settle(worker)
        assert workshop.orders.unsettled[1] == []
        assert (await workshop.served(), (await workshop.known()).joining) == ("1", "")
        journal.is_calm = True
        await workshop.settle(worker)
        assert await workshop.served() == "1.1"
        assert await workshop.fold("1.1") == all_that_was(workshop)

    story_of(history=True)(story)


def test_a_base_that_is_ahead_of_the_changes_that_a_journal_has_makes_none_of_them_too_old() -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        journal.is_calm = False
        workshop.orders.write("o1", "FR", 3)
        workshop.orders.write("o1", "BE", 4)
        last = workshop.orders.log[-1]
        journal.base = [HistoryChange(last.key, Version(1, last.sequence), None, last.new, is_state=True)]
        await rebuilt(worker)
        await workshop.rest(5)
        journal.is_calm = True
        await workshop.settle(worker)
        assert await workshop.served() == "1.1"
        assert await workshop.fold("1.1") == all_that_was(workshop)

    story_of(history=True)(story)


def test_what_the_function_fails_on_keeps_the_later_changes_of_its_item_out_and_is_tried_again() -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        workshop.orders.write("o1", "NL", -4)
        workshop.orders.unsettled[1].clear()  # given up: it is in the journal alone
        workshop.orders.write("o1", "NL", 5)
        await workshop.settle(worker)
        await rebuilt(worker)
        await workshop.settle(worker)
        build = (await workshop.known()).builds[-1]
        assert (await workshop.served(), build.failures, build.takes_changes) == ("1", 1, False)
        workshop.orders.write("o1", "NL", 6)
        await workshop.settle(worker)
        assert workshop.orders.unsettled[1] == []
        kind = type(worker.projection)
        function = worker.projection.function

        def mended(total: Any, order: Any, sign: int) -> Any:
            return function(total, order, sign) if order.total >= 0 else total

        object.__setattr__(worker.projection, "function", mended)
        assert isinstance(worker.projection, kind)
        for _ in range(60):
            await workshop.settle(worker)
        assert await workshop.served() == "1.1"
        count, total = all_that_was(workshop)["NL"]
        assert (await workshop.fold("1.1"))["NL"] == (count, total + 4)

    story_of(history=True)(story)


def test_a_build_that_is_not_what_the_table_has_is_not_served() -> None:
    async def story(workshop: Workshop, journal: Journaled) -> None:
        (worker,) = workshop.builders
        journal.without = {3}
        await rebuilt(worker)
        await workshop.settle(worker)
        build = (await workshop.known()).builds[-1]
        assert await workshop.served() == "1"
        assert build.lacking[0].startswith("1 items and groups are not as the table has them")

    story_of(history=True)(story)
