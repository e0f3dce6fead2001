"""The contract of `LogReader`.

Rules of this file: what is asked answers at once, so nothing here waits or asks for the time. Called by
tests/contracts and by users.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from tailrace.ports import LogReader, StreamRef
from tailrace.streams.record import ChangeRecord
from tailrace.testing.contracts.rules import PATIENCE_S, holds, run_async, same

Result = TypeVar("Result")


class Feeding(NamedTuple):
    """How the check makes changes.

    Shape:   `write(reader, count, durable)` writes so many records to the open shards of the reader's one
             stream, and makes them durable or not yet; `switch(reader)` switches that stream off and another
             one of the same table on.
    """

    write: Callable[[Any, int, bool], object]
    switch: Callable[[Any], object]
    patience_s: float


def check_log_reader(
    make: Callable[[], LogReader],
    write: Callable[[Any, int, bool], object],
    switch: Callable[[Any], object],
    *,
    table: str,
    patience_s: float = PATIENCE_S,
    sees_pending: bool = True,
) -> None:
    """Whether a reader keeps the contract of `ports.LogReader`.

    Shape:   `make` gives a reader over one stream without records, of the table of that name; it is called
             inside a running loop. `write(reader, count, durable)` and `switch(reader)` as `Feeding` says.
             Without `sees_pending`, as over a wire, nothing is written that is not durable.
    Units:   what has not answered within patience_s waits for a change.
    Raises:  ContractBroken, naming the rule.
    """
    feeding = Feeding(write, switch, patience_s)
    bound = []
    for rule in RULES:
        if rule is what_is_not_durable_is_not_shown and not sees_pending:
            continue
        bound_rule = partial(rule, feeding=feeding, table=table)
        bound_rule.__doc__ = rule.__doc__
        bound.append(bound_rule)
    run_async(bound, make)


async def answered(asked: Awaitable[Result], feeding: Feeding) -> Result:
    """What is answered without waiting for a change."""
    task = asyncio.ensure_future(asked)
    done, _ = await asyncio.wait({task}, timeout=feeding.patience_s)
    if not done:
        task.cancel()
    holds(bool(done), "a read waits for a change")
    return task.result()


async def records_of(
    reader: LogReader, feeding: Feeding, stream: StreamRef, limit: int
) -> list[ChangeRecord]:
    """Everything in a stream, so many records at a time."""
    read: list[ChangeRecord] = []
    for shard in await reader.shards(stream):
        after = 0
        while True:
            page = await answered(reader.read(shard, after, limit), feeding)
            holds(len(page.records) <= limit, f"{len(page.records)} records, and {limit} were asked for")
            if not page.records:
                break
            numbers = [record.sequence for record in page.records]
            holds(numbers == sorted(set(numbers)), f"not in order: {numbers}")
            holds(numbers[0] > after, f"{numbers[0]} is not after {after}")
            after = page.next_after
            read += page.records
    return read


async def an_empty_shard_answers_at_once(reader: LogReader, feeding: Feeding, table: str) -> None:
    """Where there is no record, a read answers so and does not wait for one."""
    (stream,) = await reader.streams(table)
    for shard in await reader.shards(stream):
        page = await answered(reader.read(shard, 0, 10), feeding)
        same(list(page.records), [], "the records of a stream without any")


async def every_record_is_read_once(reader: LogReader, feeding: Feeding, table: str) -> None:
    """Going on from next_after gives every durable record once, in order, whatever the limit."""
    feeding.write(reader, 12, True)
    (stream,) = await reader.streams(table)
    for limit in (1, 5, 100):
        same(
            len(await records_of(reader, feeding, stream, limit)),
            12,
            f"how many records came, {limit} at a time",
        )


async def what_is_not_durable_is_not_shown(reader: LogReader, feeding: Feeding, table: str) -> None:
    """A record that is not durable is not read; only its shard says since when there is one."""
    feeding.write(reader, 3, True)
    (stream,) = await reader.streams(table)
    shards = await reader.shards(stream)
    same([await reader.pending_since(shard) for shard in shards], [None] * len(shards), "what is pending")
    feeding.write(reader, 1, False)
    same(len(await records_of(reader, feeding, stream, 10)), 3, "how many durable records there are")
    pending = [since for shard in shards if (since := await reader.pending_since(shard)) is not None]
    same(len(pending), 1, "how many shards have a record that is not durable")
    holds(pending[0] > 0, "since when it waits")


async def an_ended_stream_is_still_read(reader: LogReader, feeding: Feeding, table: str) -> None:
    """A stream that was switched off is listed before the one after it, and is read to its end."""
    feeding.write(reader, 4, True)
    (before,) = await reader.streams(table)
    feeding.switch(reader)
    feeding.write(reader, 2, True)
    streams = await reader.streams(table)
    same([stream.arn for stream in streams][:1], [before.arn], "the stream that is off, first of two")
    same(len(streams), 2, "how many streams the table has")
    counts = [len(await records_of(reader, feeding, stream, 100)) for stream in streams]
    same(counts, [4, 2], "how many records each of them has")
    everything = [stream.arn for stream in await reader.streams()]
    same(everything, [stream.arn for stream in streams], "the streams of all tables")
    same(await reader.streams("no-such-table"), [], "the streams of a table that is not there")


RULES: Final[tuple[Callable[..., Awaitable[None]], ...]] = (
    an_empty_shard_answers_at_once,
    every_record_is_read_once,
    what_is_not_durable_is_not_shown,
    an_ended_stream_is_still_read,
)
