"""Two real workers of one app on one state store: what is wanted of a mapping is a row, so it holds in every process.

Rules of this file: the second worker takes the shards of the first, so whatever the first one says must reach the second through rows alone.
"""

import pytest

from tailrace import Park
from tailrace.rows.kinds import GENERATIONS, PAUSE, PAUSE_SEEN, RESUMED
from tailrace.rows.writes import Write
from tailrace.runtime.pausing import resumed_row
from tailrace.runtime.recursion import pause_row, resuming
from tests.contracts.delivering import Delivery, Process, delivered


async def both(delivery: Delivery) -> tuple[Process, Process]:
    """Two processes; the second has every shard."""
    first = delivery.start("one")
    await delivery.rest()
    second = delivery.start("two")
    await delivery.rest()
    assert len(second.worker.status()) == 2
    return first, second


async def ended(*processes: Process) -> None:
    for process in processes:
        await process.kill()


def test_a_pause_is_seen_by_a_worker_of_another_process_which_says_so() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        processes = await both(delivery)
        row = pause_row("note", delivery.clock.now().wall_ms)
        await delivery.state.transact([Write(PAUSE.key("shop", "note"), row)])
        await delivery.rest()
        waiting = [delivery.source.write(f"o{number}") for number in range(9)]
        await delivery.rest()
        assert delivery.noted.seen == []
        seen = await delivery.state.query(PAUSE_SEEN.prefix("shop", "note"))
        assert {(each.fields["owner"], each.fields["since_ms"]) for each in seen} == {
            ("one", row["since_ms"]),
            ("two", row["since_ms"]),
        }
        await delivery.state.transact(resuming("shop", "note", row))
        await delivery.rest()
        assert sorted(sequence for _, sequence in delivery.noted.seen) == waiting
        assert await delivery.state.query(PAUSE_SEEN.prefix("shop", "note")) == []
        await ended(*processes)

    delivered(story)


def test_a_shard_that_begins_while_its_mapping_is_paused_is_paused() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        processes = await both(delivery)
        row = pause_row("note", delivery.clock.now().wall_ms)
        await delivery.state.transact([Write(PAUSE.key("shop", "note"), row)])
        await delivery.rest()
        delivery.source.split("shard-1")
        for number in range(9):
            delivery.source.write(f"o{number}")
        await delivery.rest()
        assert delivery.noted.seen == []
        await delivery.state.transact(resuming("shop", "note", row))
        await delivery.rest()
        assert len(delivery.noted.seen) == 9
        await ended(*processes)

    delivered(story)


def test_a_handler_that_calls_itself_is_stopped_in_every_process_and_goes_on_in_every_process() -> None:
    async def story(delivery: Delivery) -> None:
        source = delivery.source
        source.begin(2)
        first, second = await both(delivery)
        source.write("o1")
        await delivery.rest()
        (record,) = (
            await source.read((await source.shards())[source.shard_of("o1") == "shard-2"], 0, 1)
        ).records
        (handler,) = delivery.app.mappings
        await first.worker.guards.stop(handler, record, 16)
        await delivery.rest()
        source.write("o2")
        await delivery.rest()
        assert delivery.noted.of("o2") == []
        (row,) = await delivery.state.query(PAUSE.prefix("shop"))
        await delivery.state.transact(resuming("shop", "note", row.fields))
        await delivery.rest()
        assert len(delivery.noted.of("o2")) == 1
        (allowed,) = await delivery.state.query(GENERATIONS.prefix("shop"))
        for process in (first, second):
            assert process.worker.guards.allowed(handler) == allowed.fields["allowed"] == 32
        await ended(first, second)

    delivered(story)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_mapping_that_has_paused_by_itself_goes_on_where_another_process_says_so(restarts: bool) -> None:
    async def story(delivery: Delivery) -> None:
        source, noted = delivery.source, delivery.noted
        source.begin(1)
        keys = [f"o{number}" for number in range(9)]
        noted.failing = set(keys)
        process = delivery.start()
        for key in keys:
            source.write(key)
        await delivery.rest()
        (row,) = (await delivery.checkpoints()).values()
        since_ms = row["suspended"][2]
        noted.failing = set()
        await delivery.rest(3)
        assert not noted.seen, "one change a minute is tried"
        if restarts:
            await process.kill()
        ending = Write(RESUMED.key("shop", "note"), resumed_row("note", [("stream-1", "shard-1", since_ms)]))
        await delivery.state.transact([ending])
        if restarts:
            process = delivery.start("two")
        await delivery.rest(3)
        assert noted.seen, "it goes on"
        (row,) = (await delivery.checkpoints()).values()
        assert "suspended" not in row
        await process.kill()

    delivered(story, on_failure=Park(max_keys=3))
