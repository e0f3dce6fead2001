"""The `tail` verb: a table's changes in order, from now or from the oldest, until the client goes.

Rules of this file: reads slices and gives the loop back between them; it is woken by commits and never polls.
A shard is shown before its children, so that every item's changes come in order. Value: one change (see
`change_value`).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from tailrace.engine.engine import Engine
from tailrace.errors import ApiError, TailraceError
from tailrace.ports import StreamRef
from tailrace.server.control import Arguments, Subject, verb_of_values
from tailrace.streams.envelopes import change_value
from tailrace.streams.iterators import IteratorStart, read_token
from tailrace.streams.shards import Shard

SLICE: Final = 100


class Follower:
    """Where a reader of a whole stream stands in each of its shards."""

    def __init__(self, engine: Engine, table: str) -> None:
        self._engine = engine
        self._table = table
        self._label = ""
        self._after: dict[str, int] = {}
        self._finished: set[str] = set()
        self._floor = 0

    def skip_to_now(self) -> None:
        """Pass over everything that is there: numbers only grow, so one number does for every shard."""
        stream = self._stream()
        if stream is None:
            return
        for shard in self._engine.shards_of(stream.arn):
            token = self._engine.get_shard_iterator(stream.arn, shard.shard_id, IteratorStart("LATEST"))
            latest = read_token(token, self._engine.clock.now()).after
            self._floor = max(self._floor, latest)

    def slices(self) -> Iterator[list[dict[str, Any]]]:
        """Everything that has come since the last call, in slices."""
        stream = self._stream()
        if stream is None:
            return
        moved = True
        while moved:
            moved = False
            shards = self._engine.shards_of(stream.arn)
            unfinished = {shard.shard_id for shard in shards} - self._finished
            for shard in shards:
                if shard.shard_id not in unfinished or not unfinished.isdisjoint(shard.parents):
                    continue  # its parent's changes of the same items come first
                if values := self._read(shard):
                    moved = True
                    yield values
                elif shard.shard_id in self._finished:
                    moved = True  # its children may be read now
                    unfinished.discard(shard.shard_id)

    def _stream(self) -> StreamRef | None:
        """The table's stream; a new one is read from its start."""
        try:
            stream = self._engine.stream_of(self._table)
        except TailraceError:
            return None  # switched off or deleted for the moment: a later stream is followed
        if stream.label != self._label:
            self._label = stream.label
            self._after.clear()
            self._finished.clear()
        return stream

    def _read(self, shard: Shard) -> list[dict[str, Any]]:
        page = self._engine.log.read(shard, self._after.get(shard.shard_id, self._floor), SLICE)
        self._after[shard.shard_id] = page.next_after
        if page.closed and not page.records:
            self._finished.add(shard.shard_id)
        return [change_value(record, self._table, shard.shard_id) for record in page.records]


async def follow(
    engine: Engine, followers: Callable[[], Sequence[Follower]]
) -> AsyncGenerator[dict[str, Any], None]:
    """Every change that the followers come to, for ever; they are asked for again after each commit."""
    woken = asyncio.Event()
    unsubscribe = engine.committer.on_commit(lambda _shards: woken.set())
    try:
        while True:
            woken.clear()
            for follower in followers():
                for values in follower.slices():
                    for value in values:
                        yield value
                    await asyncio.sleep(0)
            await woken.wait()
    finally:
        unsubscribe()


@verb_of_values("tail", streams=True, works_afar=True)
async def tail(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: table, from_start. Offline it ends with what is there."""
    table = arguments.get("table")
    if not isinstance(table, str):
        raise TailraceError("`tail` needs the name of a table.", hint="tailrace tail TABLE")
    from_start = bool(arguments.get("from_start"))
    follow_there = subject.changes if subject.is_far else partial(followed_changes, subject)
    changes = follow_there(table, from_start=from_start)
    async with contextlib.aclosing(changes):
        async for change in changes:
            yield change


async def followed_changes(
    subject: Subject, table: str, *, from_start: bool
) -> AsyncGenerator[dict[str, Any], None]:
    """The same of the engine's. Raises: TailraceError for a table without a stream."""
    check_table(subject.engine, table)
    follower = Follower(subject.engine, table)
    if subject.is_offline:
        for values in follower.slices():
            for value in values:
                yield value
        return
    if not from_start:
        follower.skip_to_now()
    async with contextlib.aclosing(follow(subject.engine, lambda: [follower])) as changes:
        async for change in changes:
            yield change


def check_table(engine: Engine, table: str) -> None:
    """Refuse a table that is not there or has no stream. Raises: TailraceError that names those that have."""
    try:
        engine.stream_of(table)
    except ApiError as error:
        raise TailraceError(
            f"There is no stream of a table {table!r}.",
            hint="tailrace status   (lists the tables and their streams)",
        ) from error
