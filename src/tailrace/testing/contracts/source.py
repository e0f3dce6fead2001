"""The contract of `Source`.

Rules of this file: a source may wait for a record or answer an empty page, so a reader asks again;
nothing is ever asked twice for its time. Called by tests/contracts and by users.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from tailrace.ports import ReadDone, Shard, Source
from tailrace.streams.record import ChangeRecord
from tailrace.testing.contracts.rules import PATIENCE_S, ContractBroken, finished, holds, run_async, same

LIMIT: Final = 100


class Feeding(NamedTuple):
    """How the check makes changes.

    Shape:   `write(source, count)` makes so many changes appear in the source's stream, in its open shards,
             and returns how many there are in all since the source was made; `roll(source)` closes every open
             shard and opens its children. Either may be a coroutine function.
    """

    write: Callable[[Source, int], int | Awaitable[int]]
    roll: Callable[[Source], object] | None = None
    idle_s: float = 0.05


def check_source(
    make: Callable[[], Source],
    write: Callable[[Source, int], int | Awaitable[int]],
    *,
    roll: Callable[[Source], object] | None = None,
    idle_ms: int = 50,
) -> None:
    """Whether a source keeps the contract of `ports.Source`.

    Shape:   `make` gives a source over a new stream without records; it is called inside a running loop.
             `write` and `roll` as `Feeding` says; without `roll` nothing about closed shards is checked.
    Units:   a read that has not answered within idle_ms waits for a record that will not come.
    Raises:  ContractBroken, naming the rule.
    """
    feeding = Feeding(write, roll, idle_ms / 1_000)
    bound = []
    for rule in RULES if roll is None else (*RULES, *ROLLING_RULES):
        bound_rule = partial(rule, feeding=feeding)
        bound_rule.__doc__ = rule.__doc__
        bound.append(bound_rule)
    run_async(bound, make)


async def names_are_stable(source: Source, feeding: Feeding) -> None:
    """The stream has its names, and they stay the same while records come."""
    before = await source.stream()
    holds(
        bool(before.arn and before.table and before.label and before.region), f"a name is missing in {before}"
    )
    await _write(source, feeding, 3)
    same(await source.stream(), before, "the stream's names")


async def shards_are_distinct(source: Source, feeding: Feeding) -> None:
    """There is a shard, each has its own id, and asking again gives the same."""
    shards = await source.shards()
    holds(bool(shards), "there is no shard")
    same(len({shard.shard_id for shard in shards}), len(shards), "the number of different ids")
    same([shard.shard_id for shard in await source.shards()], [shard.shard_id for shard in shards], "the ids")
    label = (await source.stream()).label
    same({shard.stream for shard in shards}, {label}, "the labels of the streams that the shards name")


async def records_are_within_their_shard(source: Source, feeding: Feeding) -> None:
    """No record is before the first number of its shard, or behind the last one of a shard that is closed."""
    await _write(source, feeding, 25)
    if feeding.roll is not None:
        await _roll(source, feeding)
        await _write(source, feeding, 25)
    for shard in await source.shards():
        for record in await _records_after(source, feeding, shard, 0):
            holds(
                shard.first <= record.sequence and (shard.last is None or record.sequence <= shard.last),
                f"record {record.sequence} of {shard.shard_id} is not within {shard.first} and {shard.last}",
            )


async def every_record_is_read_once(source: Source, feeding: Feeding) -> None:
    """Going on from next_after, each shard gives its records in order, each once, and all give all."""
    total = await _write(source, feeding, 25)
    for limit in (1, 7, LIMIT):
        records = await _all(source, feeding, total, limit)
        same(len(records), total, f"how many records came, {limit} at a time")
    total = await _write(source, feeding, 5)
    same(
        len(await _all(source, feeding, total, LIMIT)), total, "how many records came after more were written"
    )


async def reading_is_repeatable(source: Source, feeding: Feeding) -> None:
    """The same position gives the same records again, and `after` itself is not among them."""
    await _write(source, feeding, 10)
    for shard in await source.shards():
        page = await _page(source, feeding, shard, 0, LIMIT)
        if page is None:
            continue
        numbers = [record.sequence for record in page.records]
        for place, number in enumerate(numbers[:-1]):
            again = await _page(source, feeding, shard, number, LIMIT)
            seen = [] if again is None else [record.sequence for record in again.records]
            following = numbers[place + 1 :]
            same(seen[: len(following)], following, f"the records after {number}")


async def a_waiting_read_can_be_cancelled(source: Source, feeding: Feeding) -> None:
    """A read that waits can be cancelled, and loses nothing: the next one gets the record."""
    total = await _write(source, feeding, 2)
    for shard in await source.shards():
        after = await _end(source, feeding, shard)
        waiting = asyncio.ensure_future(source.read(shard, after, LIMIT))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=PATIENCE_S)
        holds(waiting.done(), "the read went on after it was cancelled")
    total = await _write(source, feeding, 4)
    same(
        len(await _all(source, feeding, total, LIMIT)),
        total,
        "how many records came after the cancelled reads",
    )


async def a_waiting_read_gets_the_record(source: Source, feeding: Feeding) -> None:
    """A record that is written while reads wait comes to one that waits, or to the next one."""
    await _write(source, feeding, 1)
    shards = await source.shards()
    ends = {shard.shard_id: await _end(source, feeding, shard) for shard in shards}
    reads = [asyncio.ensure_future(source.read(shard, ends[shard.shard_id], LIMIT)) for shard in shards]
    await asyncio.sleep(0)
    before = await _write(source, feeding, 0)
    after = await _write(source, feeding, 3)
    await asyncio.wait(reads, timeout=feeding.idle_s)
    for read in reads:
        read.cancel()
    await asyncio.wait(reads, timeout=PATIENCE_S)
    later = [await _records_after(source, feeding, shard, ends[shard.shard_id]) for shard in shards]
    same(sum(len(records) for records in later), after - before, "how many records came after the positions")


async def closed_shards_end(source: Source, feeding: Feeding) -> None:
    """A closed shard gives its last record and then `closed`; its children are listed after it."""
    total = await _write(source, feeding, 12)
    before = await source.shards()
    await _roll(source, feeding)
    total = await _write(source, feeding, 8)
    shards = await source.shards()
    places = {shard.shard_id: place for place, shard in enumerate(shards)}
    parents = {parent for shard in shards for parent in shard.parents if parent in places}
    same(parents, {shard.shard_id for shard in before}, "the parents of the new shards")
    for shard in shards:
        for parent in parents.intersection(shard.parents):
            holds(
                places[parent] < places[shard.shard_id],
                f"{shard.shard_id} is listed before its parent {parent}",
            )
    for shard in before:
        await _read_to_the_end(source, feeding, shard)
    same(len(await _all(source, feeding, total, 5)), total, "how many records came from all shards")


async def children_continue_their_parents(source: Source, feeding: Feeding) -> None:
    """Records of a child have greater numbers than every record of its parent."""
    await _write(source, feeding, 12)
    await _roll(source, feeding)
    await _write(source, feeding, 12)
    newest: dict[str, int] = {}
    for shard in await source.shards():
        records = await _records_after(source, feeding, shard, 0)
        floor = max((newest.get(parent, 0) for parent in shard.parents), default=0)
        for record in records:
            holds(
                record.sequence > floor,
                f"record {record.sequence} of {shard.shard_id} is older than its parent's",
            )
        newest[shard.shard_id] = max([floor, *(record.sequence for record in records)])


# ---- reading -----------------------------------------------------------------------------------------------


async def _write(source: Source, feeding: Feeding, count: int) -> int:
    total = await finished(feeding.write(source, count))
    if not isinstance(total, int):
        raise ContractBroken(f"write answered {total!r}, not how many records there are")
    return total


async def _roll(source: Source, feeding: Feeding) -> None:
    assert feeding.roll is not None
    await finished(feeding.roll(source))


async def _page(source: Source, feeding: Feeding, shard: Shard, after: int, limit: int) -> ReadDone | None:
    """One page, judged by itself; None when the source waits for a record that will not come."""
    try:
        page = await asyncio.wait_for(source.read(shard, after, limit), feeding.idle_s)
    except TimeoutError:
        return None
    numbers = [record.sequence for record in page.records]
    same(numbers, sorted(set(numbers)), "the numbers of a page")
    holds(len(numbers) <= limit, f"{len(numbers)} records came, {limit} were asked for")
    if numbers:
        holds(numbers[0] > after, f"record {numbers[0]} came after position {after}")
        holds(page.next_after >= numbers[-1], f"next_after is {page.next_after}, before record {numbers[-1]}")
    holds(page.next_after >= after, f"next_after is {page.next_after}, before position {after}")
    return page


async def _records_after(
    source: Source, feeding: Feeding, shard: Shard, after: int, limit: int = LIMIT
) -> list[ChangeRecord]:
    """Every record that a shard has after a position. An empty page may be a pause: it is asked again."""
    records: list[ChangeRecord] = []
    pauses = 0
    while pauses < 3:
        page = await _page(source, feeding, shard, after, limit)
        if page is None:
            break
        pauses = 0 if page.records else pauses + 1
        records.extend(page.records)
        after = page.next_after
        if page.closed:
            break
    return records


async def _all(source: Source, feeding: Feeding, total: int, limit: int) -> list[ChangeRecord]:
    records: list[ChangeRecord] = []
    for shard in await source.shards():
        records.extend(await _records_after(source, feeding, shard, 0, limit))
        if len(records) > total:
            break
    return records


async def _end(source: Source, feeding: Feeding, shard: Shard) -> int:
    records = await _records_after(source, feeding, shard, 0)
    return records[-1].sequence if records else 0


async def _read_to_the_end(source: Source, feeding: Feeding, shard: Shard) -> None:
    expected = await _records_after(source, feeding, shard, 0)
    after, seen, pages = 0, 0, 0
    while True:
        page = await _page(source, feeding, shard, after, 2)
        if page is None or (pages := pages + 1) > len(expected) + 10:
            raise ContractBroken(f"closed shard {shard.shard_id} waits instead of ending")
        seen += len(page.records)
        if page.closed:
            same(seen, len(expected), f"the records of {shard.shard_id} before it said that it is closed")
            return
        after = page.next_after


RULES: Final = (
    names_are_stable,
    shards_are_distinct,
    records_are_within_their_shard,
    every_record_is_read_once,
    reading_is_repeatable,
    a_waiting_read_can_be_cancelled,
    a_waiting_read_gets_the_record,
)
ROLLING_RULES: Final = (closed_shards_end, children_continue_their_parents)
