"""Several workers and the builds of one projection: versions, what the stream has lost,
and whatever chance brings.

Rules of this file: as in test_several_builders.py.
"""

import pytest
from msgspec.structs import replace

from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.rows.writes import Write
from tests.contracts.projecting import (
    APP,
    Elsewhere,
    Workshop,
    by_chance,
    filled_table,
    projected,
    rebuilt,
    told,
)

CALLS = range(1, 60)
"""More than a worker makes for what these stories ask of it."""


def test_what_another_worker_fills_is_not_removed_by_one_of_another_version() -> None:
    was_filling = 0
    for at in CALLS:

        async def story(workshop: Workshop, at: int = at) -> None:
            nonlocal was_filling
            filled_table(workshop)
            old, new = projected(version=1), projected(version=2)
            first = workshop.worker(old)
            first.run()
            await workshop.settle(first)
            first.kill()
            filling = workshop.worker(new)
            filling.view.at, filling.view.then = at, filling.stall
            filling.run()
            await workshop.loop.idle()
            is_filling = [build.claimed_by for build in (await workshop.known()).builds] == ["", "worker-1"]
            workshop.worker(old).run()
            await workshop.rest()
            if is_filling:
                was_filling += 1
                assert await workshop.names() == ["1", "2"]
            filling.go_on()
            await workshop.settle(filling)
            if is_filling:
                assert await workshop.served() == "2"
                await workshop.check()

        told(story)
    assert was_filling > 5


def test_a_version_that_a_newer_one_has_replaced_is_not_begun_again_by_those_who_still_run() -> None:
    async def story(workshop: Workshop) -> None:
        filled_table(workshop)
        old, new = workshop.worker(projected(version=1)), workshop.worker(projected(version=2))
        old.run()
        await workshop.settle(old)
        new.run()
        await workshop.settle(new)
        workshop.orders.write("o1", "FR", 3)
        before = await workshop.known()
        old.deliver(1)
        for _ in range(30):
            await workshop.rest(5)
            assert await workshop.known() == before
        assert workshop.orders.unsettled[1] == []

    told(story)


def test_several_workers_fill_what_fails_no_more_often_than_one_would() -> None:
    async def fills(count: int) -> int:
        reads = 0

        async def story(workshop: Workshop) -> None:
            nonlocal reads
            filled_table(workshop)
            workshop.orders.write("bad", "NL", -1)
            projection = projected()
            for _ in range(count):
                worker = workshop.worker(projection)
                worker.run()
                await workshop.rest(3)
            begun = workshop.orders.read_after.count("")
            await workshop.rest(1_000)
            reads = workshop.orders.read_after.count("") - begun

        told(story)
        return reads

    counts = []
    for count in (1, 3):
        run = fills(count)
        with pytest.raises(StopIteration) as ended:
            run.send(None)
        counts.append(ended.value.value)
    assert counts[1] <= counts[0] + 3, counts
    assert counts[0] > 3


@pytest.mark.parametrize("into", ["state", "elsewhere"])
def test_a_rebuild_whose_worker_dies_at_any_call_is_finished_by_another(into: str) -> None:
    died = set[tuple[str, ...]]()
    for at in (*range(1, 75), *range(75, 600, 23)):  # many of the last ones remove rows, bucket by bucket

        async def story(workshop: Workshop, at: int = at) -> None:
            place = None if into == "state" else Elsewhere()
            rows = None if place is None else place.rows
            filled_table(workshop)
            projection = projected(place)
            one, other = workshop.worker(projection), workshop.worker(projection)
            other.run()
            await workshop.settle(other)
            one.view.at, one.view.then = at, one.kill
            one.begin(rebuilt(one))
            one.run()
            await workshop.rest(2)
            if one.is_dead:
                names = await workshop.names()
                died.add((str(await workshop.served()), *names, *(await workshop.known()).removing))
            one.kill()
            workshop.orders.write("o1", "FR", 5)
            await workshop.settle(other)
            await workshop.check(rows)
            assert place is None or place.shown == f"sales@v{await workshop.served()}"

        told(story)
    begun, served, removed = ("1", "1", "1.1"), ("1.1", "1", "1.1"), ("1.1", "1.1", "1")
    assert {("1", "1"), begun, served, removed, ("1.1", "1.1")} >= died
    assert {begun, served, removed} & died == {begun, served, removed}, died


def lost(workshop: Workshop) -> Gap:
    """The stream has lost what no worker has applied."""
    first = min(record.sequence for records in workshop.orders.unsettled.values() for record in records)
    for records in workshop.orders.unsettled.values():
        records.clear()
    return Gap("shard", first, workshop.orders.last)


def test_what_the_stream_has_lost_is_answered_by_one_build_of_however_many_workers() -> None:
    async def story(workshop: Workshop) -> None:
        filled_table(workshop)
        workers = [workshop.worker(projected()) for _ in range(3)]
        for worker in workers:
            worker.run()
            await workshop.rest(7)
        await workshop.settle(workers[0])
        workshop.orders.write("o1", "FR", 5)
        gap = lost(workshop)
        key = gap.key(APP, workers[0].projection.mapping_id)
        await workshop.state.transact([Write(key, gap.fields())])
        await workshop.settle(workers[0])
        await workshop.check()
        assert await workshop.served() == "1.1"
        row = await workshop.state.get(key)
        assert row is not None
        assert read_gap(row.fields).acknowledged_ms

    told(story)


def test_a_gap_that_grows_while_it_is_acknowledged_keeps_what_it_grew_by() -> None:
    grown = 0
    for at in range(1, 80):

        async def story(workshop: Workshop, at: int = at) -> None:
            nonlocal grown
            filled_table(workshop)
            worker = workshop.worker(projected())
            worker.run()
            await workshop.settle(worker)
            workshop.orders.write("o1", "FR", 5)
            gap = lost(workshop)
            key = gap.key(APP, worker.projection.mapping_id)
            await workshop.state.transact([Write(key, gap.fields())])
            worker.view.at, worker.view.then = worker.view.calls + at, worker.stall
            await workshop.rest(65)
            row = await workshop.state.get(key)
            assert row is not None
            now = read_gap(row.fields)
            more = replace(now, last=now.last + 1)
            await workshop.state.transact([Write(key, more.fields())])
            grown += not worker.view.is_going.is_set() and not now.acknowledged_ms
            worker.go_on()
            await workshop.rest(1)
            row = await workshop.state.get(key)
            assert row is not None
            assert read_gap(row.fields).last == more.last

        told(story)
    assert grown > 3


def test_a_gap_is_not_answered_again_while_its_answer_is_being_filled() -> None:
    stalled = 0
    for at in range(1, 20):

        async def story(workshop: Workshop, at: int = at) -> None:
            nonlocal stalled
            filled_table(workshop)
            one, other = workshop.worker(projected()), workshop.worker(projected())
            one.run()
            await workshop.settle(one)
            other.run()
            await workshop.rest(3)
            workshop.orders.write("o1", "FR", 5)
            gap = lost(workshop)
            row = Write(gap.key(APP, one.projection.mapping_id), gap.fields())
            await workshop.state.transact([row])
            workshop.orders.page_ms = 20_000
            other.view.at, other.view.then = other.view.calls + at, other.stall
            await one.projector.rebuild(one.projection) if at % 2 else await workshop.rest(65)
            await workshop.rest(65 if at % 2 else 2)
            stalled += not other.view.is_going.is_set()
            other.go_on()
            await workshop.rest(5)
            assert (await workshop.names())[-1] == "1.1"

        told(story)
    assert stalled > 5


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("into", ["state", "elsewhere"])
def test_whatever_happens_to_them_one_build_is_left_that_is_what_the_table_says(seed: int, into: str) -> None:
    async def story(workshop: Workshop) -> None:
        place = None if into == "state" else Elsewhere()
        await by_chance(workshop, seed, projected(place))
        # A worker that stalled for more than a minute may leave rows elsewhere that no worker reads.
        await workshop.check(None if place is None else place.rows, is_swept=place is None)
        assert place is None or place.shown == f"sales@v{await workshop.served()}"

    told(story, seed)
