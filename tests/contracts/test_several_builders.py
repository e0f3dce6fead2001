"""Several workers and the builds of one projection: none is begun twice, none is filled by two with harm,
none misses a change, none is stranded.

Rules of this file: one worker is stopped, stalled or killed before each of its calls in turn, and by chance;
what is judged are the rows (projecting.py).
"""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tailrace.engine.state import EngineStateStore
from tailrace.errors import StoreError
from tailrace.ports import StateStore
from tailrace.projections.core.known import CLAIM_MS
from tailrace.stores.memory import MemoryStateStore
from tailrace.stores.sqlite import SqliteStore
from tests.contracts.projecting import PAGE, Builder, Elsewhere, Workshop, filled_table, projected, told
from tests.unit.engine.building import opened

CALLS = range(1, 60)
"""More than a worker makes for what these stories ask of it; where it makes fewer, nothing befalls it."""
CLAIM_S = CLAIM_MS // 1_000


@pytest.fixture(params=["memory", "sqlite"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], StateStore]]:
    made: list[SqliteStore] = []

    def make() -> StateStore:
        if request.param == "memory":
            return MemoryStateStore()
        store = SqliteStore(tmp_path / f"{len(made)}")
        made.append(store)
        engine = opened(store)

        async def flushed() -> None:
            engine.committer.flush()

        return EngineStateStore(engine, flushed)

    yield make
    for store in made:
        store.close()


def at_every_call(
    one: Callable[[Builder], Awaitable[object]],
    other: Callable[[Builder], Awaitable[object]],
    check: Callable[[Workshop, Builder, Builder], Awaitable[None]],
    state: Callable[[], StateStore] = MemoryStateStore,
    *,
    first: Callable[[Builder], Awaitable[object]] | None = None,
    prepared: bool,
    place: Elsewhere | None = None,
) -> None:
    """One worker stalls before each of its calls in turn while the other does all that it does; then
    the one goes on.

    Shape: both do `first` before that; `prepared`: build 1 is served.
    """
    stalled = set[int]()
    for at in CALLS:

        async def story(workshop: Workshop, at: int = at) -> None:
            filled_table(workshop)
            projection = projected(place)
            if prepared:
                before = workshop.worker(projection)
                before.run()
                await workshop.settle(before)
                before.kill()
            workers = workshop.worker(projection), workshop.worker(projection)
            for worker in workers if first is not None else ():
                await worker.begin(first(worker))
            workers[0].view.at, workers[0].view.then = workers[0].view.calls + at, workers[0].stall
            begun = workers[0].begin(one(workers[0]))
            await workshop.loop.idle()
            if not begun.done():
                stalled.add(at)
            await workers[1].begin(other(workers[1]))
            workers[0].go_on()
            await begun
            await check(workshop, *workers)

        told(story, state=state())
    assert len(stalled) > 3, "the first worker was never stalled"


def test_two_that_begin_a_version_at_once_end_with_one_build_and_both_know_it(
    state: Callable[[], StateStore],
) -> None:
    async def begin(worker: Builder) -> None:
        await worker.builds.known(worker.projection)

    async def check(workshop: Workshop, *workers: Builder) -> None:
        assert (await workshop.names(), await workshop.served()) == (["1"], "1")
        for worker in workers:
            known = await worker.builds.known(worker.projection)
            assert ([build.name for build in known.builds], known.served) == (["1"], "1")

    at_every_call(begin, begin, check, state, prepared=False)


def test_two_that_rebuild_at_once_end_with_one_more_build() -> None:
    begun: list[str] = []

    async def know(worker: Builder) -> None:
        await worker.builds.known(worker.projection)

    async def rebuild(worker: Builder) -> None:
        begun.append((await worker.builds.begin(worker.projection)).name)

    async def check(workshop: Workshop, *workers: Builder) -> None:
        assert (await workshop.names(), begun) == (["1", "1.1"], ["1.1", "1.1"])
        for worker in workers:
            known = await worker.builds.known(worker.projection)
            assert [build.name for build in known.builds] == ["1", "1.1"]
        begun.clear()

    at_every_call(rebuild, rebuild, check, first=know, prepared=True)


def test_of_two_that_claim_a_filling_at_once_one_has_it() -> None:
    claims = []

    async def claim(worker: Builder) -> None:
        await worker.builds.known(worker.projection)
        known = await worker.builds.look(worker.projection)
        claims.append(await worker.builds.claim(known, known.builds[-1]))

    async def check(workshop: Workshop, *workers: Builder) -> None:
        assert len([claim for claim in claims if claim is not None]) == 1
        claims.clear()

    at_every_call(claim, claim, check, prepared=False)


def test_a_claim_of_what_was_saved_since_it_was_looked_at_fails() -> None:
    async def story(workshop: Workshop) -> None:
        filled_table(workshop)
        one, other = workshop.worker(projected()), workshop.worker(projected())
        await one.builds.known(one.projection)
        claim = await one.builds.claim(
            await one.builds.look(one.projection), (await workshop.known()).builds[0]
        )
        assert claim is not None
        old = await other.builds.look(other.projection)
        assert await other.builds.claim(old, old.builds[0]) is None, "as far as it knows the other one lives"
        await claim.save(claim.build.with_page(1, None, 1, ()))
        workshop.clock.advance(CLAIM_MS)
        assert await other.builds.claim(old, old.builds[0]) is None
        assert (await workshop.known()).builds[0].is_filled

    told(story)


@pytest.mark.parametrize("into", ["state", "elsewhere"])
def test_two_that_rebuild_and_serve_leave_what_is_there_served_and_shown(into: str) -> None:
    place = None if into == "state" else Elsewhere()

    async def swap(worker: Builder) -> None:
        await worker.builds.known(worker.projection)
        build = await worker.builds.begin(worker.projection)
        await worker.projector.swap(worker.projection, build.name)

    async def check(workshop: Workshop, *workers: Builder) -> None:
        known = await workshop.known()
        assert known.build(known.served) is not None, (
            f"{known.served} is served, and there are {known.builds}"
        )
        assert place is None or place.shown == f"sales@v{known.served}"

    at_every_call(swap, swap, check, prepared=True, place=place)


def test_one_that_serves_leaves_what_another_begins() -> None:
    async def know(worker: Builder) -> None:
        await worker.builds.known(worker.projection)
        if not worker.workshop.is_begun:
            await worker.builds.begin(worker.projection)
            worker.workshop.is_begun = True

    async def swap(worker: Builder) -> None:
        await worker.projector.swap(worker.projection, "1.1")

    async def begin(worker: Builder) -> None:
        await worker.builds.known(worker.projection)
        await worker.builds.begin(worker.projection)

    async def check(workshop: Workshop, *workers: Builder) -> None:
        assert (await workshop.names(), await workshop.served()) == (["1.1", "1.2"], "1.1")

    at_every_call(swap, begin, check, first=know, prepared=True)


def test_a_batch_that_was_begun_before_a_rebuild_is_in_the_build_however_slow_it_is() -> None:
    """The worker that applies changes knows nothing of the one that rebuilds, and stalls before
    each of its calls.
    """
    stalled = 0
    for at in range(1, 30):

        async def story(workshop: Workshop, at: int = at) -> None:
            nonlocal stalled
            filled_table(workshop)
            projection = projected()
            one, other = workshop.worker(projection), workshop.worker(projection)
            one.run()
            await workshop.settle(one)
            other.run()
            await workshop.rest()
            for number, country in enumerate(("FR", None, "DE")):
                workshop.orders.write(f"o{number * 2}", country, 100)
            one.view.at, one.view.then = one.view.calls + at, one.stall
            one.deliver(0)
            await workshop.loop.idle()
            stalled += not one.view.is_going.is_set()
            await other.projector.rebuild(projection)
            await workshop.rest()
            one.go_on()
            await workshop.settle(one)
            await workshop.check()
            assert await workshop.served() == "1.1"

        told(story)
    assert stalled > 5


@pytest.mark.parametrize("into", ["state", "elsewhere"])
def test_a_worker_that_is_late_leaves_no_rows_of_a_build_that_is_gone(into: str) -> None:
    """Its shard was given to another worker, its changes were applied, and the build that it
    writes to was replaced.
    """
    late = 0
    for at in range(1, 30):

        async def story(workshop: Workshop, at: int = at) -> None:
            nonlocal late
            place = None if into == "state" else Elsewhere()
            filled_table(workshop)
            projection = projected(place)
            one, other = workshop.worker(projection), workshop.worker(projection)
            other.run()
            await workshop.settle(other)
            await one.builds.known(projection)
            for number, country in enumerate(("FR", None, "DE")):
                workshop.orders.write(f"o{number * 2}", country, 100)
            one.view.at, one.view.then = one.view.calls + at, one.stall
            one.deliver(0)
            await workshop.loop.idle()
            workshop.orders.in_flight.clear()
            other.deliver(0)
            await workshop.loop.idle()
            await other.projector.rebuild(projection)
            await workshop.rest(5)
            assert await workshop.names() == ["1.1"]
            late += not one.view.is_going.is_set()
            one.go_on()
            await workshop.settle(other)
            await workshop.check(None if place is None else place.rows)

        told(story)
    assert late > 4


def test_a_change_that_comes_behind_the_page_is_applied_by_a_worker_that_was_never_told() -> None:
    """The other build has begun and its items are read; the worker that reads the shard looked at
    the builds long ago.
    """

    async def story(workshop: Workshop) -> None:
        filled_table(workshop)
        projection = projected()
        one, other = workshop.worker(projection), workshop.worker(projection)
        one.begin(one.builds.known(projection))
        await workshop.settle(one)
        await other.builds.known(projection)
        build = await other.builds.begin(projection)
        other.run()
        await workshop.rest()
        workshop.orders.write("o1", "FR", 100)
        one.deliver(1)
        await workshop.settle(one)
        assert (build.name, await workshop.served()) == ("1.1", "1.1")
        await workshop.check()

    told(story)


def test_a_filling_whose_worker_dies_at_any_call_is_gone_on_with_by_another() -> None:
    died = set[int]()
    for at in CALLS:

        async def story(workshop: Workshop, at: int = at) -> None:
            filled_table(workshop)
            projection = projected()
            one, other = workshop.worker(projection), workshop.worker(projection)
            one.view.at, one.view.then = at, one.kill
            one.run()
            await workshop.loop.idle()
            other.run()
            saved = [build.after for build in (await workshop.known()).builds if not build.is_filled]
            read = len(workshop.orders.read_after)
            await workshop.rest(CLAIM_S // 2)
            if one.is_dead and saved and (await workshop.known()).builds[0].claimed_by == "worker-0":
                died.add(at)
                assert len(workshop.orders.read_after) == read, "as far as the rows tell its worker lives"
            await workshop.settle(other)
            await workshop.check()
            for after in saved:
                first = "" if after is None else after["id"]["S"]
                assert workshop.orders.read_after[read] == first, "it goes on from where the row says"

        told(story)
    assert len(died) > 5, "it hardly ever died while it filled"


@pytest.mark.parametrize("into", [None, "elsewhere"])
def test_a_filling_that_is_taken_over_is_not_harmed_by_the_one_who_comes_back(into: str | None) -> None:
    late = 0
    for at in CALLS:

        async def story(workshop: Workshop, at: int = at) -> None:
            nonlocal late
            place = None if into is None else Elsewhere()
            rows = None if place is None else place.rows
            filled_table(workshop)
            projection = projected(place)
            one, other = workshop.worker(projection), workshop.worker(projection)
            one.view.at, one.view.then = at, one.stall
            one.run()
            await workshop.loop.idle()
            other.run()
            for shard in (0, 1):
                other.deliver(shard)
            await workshop.rest(CLAIM_S + 5)
            workshop.orders.write("o1", None)
            workshop.orders.write("o2", "FR", 9)
            late += not one.view.is_going.is_set()
            await workshop.settle(other)
            one.go_on()
            await workshop.settle(one)
            await workshop.check(rows)
            assert place is None or place.shown == f"sales@v{await workshop.served()}"

        told(story)
    assert late > 10


def test_a_filling_that_takes_its_time_is_left_to_its_worker() -> None:
    async def story(workshop: Workshop) -> None:
        filled_table(workshop)
        projection = projected()
        one, other = workshop.worker(projection), workshop.worker(projection)
        page, clock = workshop.orders.page, workshop.clock

        async def slow(*arguments: object) -> object:
            await clock.sleep_until(clock.now().monotonic_ms + 3 * CLAIM_MS)
            return await page(*arguments)  # type: ignore[arg-type]

        one.projector.items.page = slow  # type: ignore[assignment, method-assign]
        one.run()
        await workshop.rest(2)
        other.run()
        await workshop.rest(5 * CLAIM_S)
        (build,) = (await workshop.known()).builds
        assert (build.is_filled, build.claimed_by, build.filled) == (False, "worker-0", PAGE)

    told(story)


def test_a_save_of_which_nobody_knows_whether_it_was_written_is_no_lost_claim() -> None:
    async def story(workshop: Workshop) -> None:
        filled_table(workshop)
        projection = projected()
        worker = workshop.worker(projection)
        await worker.builds.known(projection)
        known = await worker.builds.look(projection)
        claim = await worker.builds.claim(known, known.builds[0])
        assert claim is not None
        transact = worker.view.transact

        async def written_and_lost(writes: object) -> None:
            await transact(writes)  # type: ignore[arg-type]
            raise StoreError("no answer")

        worker.view.transact = written_and_lost  # type: ignore[assignment, method-assign]
        with pytest.raises(StoreError):
            await claim.save(claim.build.with_page(1, {"id": {"S": "a"}}, 1, ()))
        worker.view.transact = transact  # type: ignore[method-assign]
        await claim.save(claim.build.with_page(2, {"id": {"S": "b"}}, 2, ()))
        (build,) = (await workshop.known()).builds
        assert (build.after, build.beat, build.claim) == ({"id": {"S": "b"}}, 2, claim.build.claim)

    told(story)
