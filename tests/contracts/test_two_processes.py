"""Two real workers of one app on one state store: what is wanted of a mapping is a row, so it
holds in every process.

Rules of this file: the first worker keeps all shards, so whatever the second one says must reach the first
through rows alone.
"""

import asyncio

import pytest

from tailrace import Discard, Park
from tailrace.deadletters.core.head import claimed, read_head
from tailrace.deadletters.core.requests import Progress, RedriveRequest
from tailrace.rows.kinds import GENERATIONS, PAUSE, PAUSE_SEEN, REDRIVE, RESUMED
from tailrace.rows.writes import Write
from tailrace.runtime.pausing import resumed_row
from tailrace.runtime.recursion import pause_row, resuming
from tests.contracts.delivering import ALL, Delivery, Process, delivered


async def both(delivery: Delivery) -> tuple[Process, Process]:
    """Two processes; the first has every shard."""
    first = delivery.start("one", weight=ALL)
    await delivery.rest()
    second = delivery.start("two")
    await delivery.rest()
    assert (len(first.worker.status()), second.worker.status()) == (2, [])
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
        assert {(row.fields["owner"], row.fields["since_ms"]) for row in seen} == {
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
        await second.worker.guards.stop(handler, record, 16)
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
        await delivery.rest(18 if restarts else 3)  # the lease of who was killed runs out after ten seconds
        assert noted.seen, "it goes on"
        (row,) = (await delivery.checkpoints()).values()
        assert "suspended" not in row
        await process.kill()

    delivered(story, on_failure=Park(max_keys=3))


async def parked(delivery: Delivery, *keys: str) -> dict[str, list[int]]:
    """Park a change of each key, and one more behind it; the handler is well afterwards."""
    delivery.noted.failing = set(keys)
    written = {key: [delivery.source.write(key)] for key in keys}
    await delivery.rest()
    for key in keys:
        written[key].append(delivery.source.write(key, n=1))
    await delivery.rest()
    assert len(await delivery.parked()) == 2 * len(keys)
    delivery.noted.failing = set()
    return written


def test_a_redrive_is_carried_out_by_whoever_is_there_each_change_once_and_in_order() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        processes = await both(delivery)
        keys = [f"o{number}" for number in range(12)]
        written = await parked(delivery, *keys)
        delivery.noted.slowness = lambda: asyncio.sleep(0)
        await delivery.ask(RedriveRequest("r1", "note"))
        await delivery.rest()
        for key in keys:
            assert delivery.noted.of(key) == written[key]
        assert await delivery.heads() == []
        assert await delivery.state.query(REDRIVE.prefix("shop")) == []
        await ended(*processes)

    delivered(story)


def test_parked_keys_of_shards_that_are_finished_are_redriven_too() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        first = delivery.start("one", weight=ALL)
        written = await parked(delivery, "o1")
        delivery.source.end()
        await delivery.rest()
        delivery.source.forget_streams()
        await first.stop()
        second = delivery.start("two")
        await delivery.rest()
        assert second.worker.status() == [], "nothing is left to read"
        delivery.source.begin(1)  # another stream: what is parked is of the one before
        await delivery.ask(RedriveRequest("r1", "note"))
        await delivery.rest()
        assert delivery.noted.of("o1") == written["o1"]
        await ended(second)

    delivered(story)


def test_the_owner_of_a_shard_learns_by_its_next_append_that_a_key_was_put_back_elsewhere() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        first, second = await both(delivery)
        written = await parked(delivery, "o1")
        assert sum(first.parked_keys().values()) == 1
        head = read_head("shop", "note", (await delivery.heads())[0])
        redriver = second.worker.redrives.redriver
        assert redriver is not None
        await redriver.carry_out(RedriveRequest("r1", "note"), Progress())
        assert delivery.noted.of("o1") == written["o1"]
        assert sum(first.parked_keys().values()) == 1, "the process that reads the shard does not know yet"
        written["o1"].append(delivery.source.write("o1", n=2))
        await delivery.rest()
        assert delivery.noted.of("o1") == written["o1"]
        assert await delivery.parked() == []
        assert head.key == b"o1"
        await ended(first, second)

    delivered(story)


def test_a_claim_of_a_process_that_died_is_taken_over_when_it_has_stood_still_for_the_observer() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(1)
        process = delivery.start()
        written = await parked(delivery, "o1")
        (row,) = await delivery.heads()
        ahead_ms = delivery.clock.now().wall_ms + 86_400_000  # the clock of who died was a day ahead
        _, claim = claimed(read_head("shop", "note", row), "r1/dead", ahead_ms)
        await delivery.state.transact([claim])
        await delivery.ask(RedriveRequest("r1", "note"))
        await delivery.rest(20)
        assert delivery.noted.of("o1") == []
        await delivery.rest(20)
        assert delivery.noted.of("o1") == written["o1"]
        await ended(process)

    delivered(story)


def test_a_key_that_failed_again_is_not_tried_again_for_the_same_request() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        processes = await both(delivery)
        await parked(delivery, "o1", "o2")
        delivery.noted.failing = {"o1"}
        await delivery.ask(RedriveRequest("r1", "note"))
        await delivery.rest(9)
        assert len(delivery.noted.of("o2")) == 2
        (head,) = await delivery.heads()
        assert head["tried"] == "r1"
        assert [letter.attempts for letter in await delivery.parked()] == [3, 0], (
            "twice, and once for the request"
        )
        assert await delivery.state.query(REDRIVE.prefix("shop")) == []
        await ended(*processes)

    delivered(story)


def test_a_discarded_change_is_put_back_by_the_process_that_reads_its_shards_and_by_no_other() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(2)
        first, second = await both(delivery)
        delivery.noted.failing = {"o1"}
        number = delivery.source.write("o1")
        await delivery.rest()
        delivery.noted.failing = set()
        redriver = second.worker.redrives.redriver
        assert redriver is not None
        request = RedriveRequest("r1", "note")
        await redriver.note(request)
        await redriver.carry_out(request, Progress())
        assert delivery.noted.of("o1") == []
        await delivery.rest()
        assert delivery.noted.of("o1") == [number]
        assert await delivery.state.query(REDRIVE.prefix("shop")) == []
        await ended(first, second)

    delivered(story, on_failure=Discard())


def test_a_slow_redrive_of_discarded_changes_keeps_no_shard_from_beginning() -> None:
    async def story(delivery: Delivery) -> None:
        delivery.source.begin(1)
        process = delivery.start()
        delivery.noted.failing = {"o1", "o2", "o3"}
        for key in ("o1", "o2", "o3"):
            delivery.source.write(key)
        await delivery.rest()
        delivery.noted.failing = set()
        await delivery.ask(RedriveRequest("r1", "note", rate="1/h"))
        await delivery.rest()
        assert len(delivery.noted.seen) == 1, "the next one an hour later"
        delivery.source.split("shard-1")
        delivery.source.write("o4")
        delivery.source.write("o5")
        await delivery.rest()
        assert len(delivery.noted.of("o4")) == len(delivery.noted.of("o5")) == 1
        await ended(process)

    delivered(story, on_failure=Discard())
