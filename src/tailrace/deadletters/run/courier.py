"""Tells on-failure destinations what was given up, until they have heard it.

Theory of operation: of the workers of an app one tells what all of them have given up: it has a duty
(runtime/duties.py) that another takes over when it stands still. A worker that was overtaken while it told
something may have told it too: destinations hear it at least once, under one request id.
Rules of this file: a notice is a row of the transaction that passes the records, so a crash repeats it and
loses none; a destination that fails is asked again with back-off, for ever, and the dead letter stays
whatever it says. The counters say what AWS's metrics would: there the notice would be lost. Made by
compose, run by worker/worker.py. Source: semantics §2.8.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Final, Protocol

from msgspec.structs import replace

from tailrace.app.fence import FENCE, told
from tailrace.deadletters.core.document import InvocationFailure, object_body, object_name, queue_body
from tailrace.deadletters.core.entry import DeadLetter, deadletter_key, read_deadletter
from tailrace.deadletters.core.notice import Notice, outbox_key, outbox_prefix, read_notice
from tailrace.errors import PortError, SourceError, StateConflict
from tailrace.mapping.commands import GivenUp, GivenUpWindow
from tailrace.mapping.retry import delay_ms
from tailrace.mapping.settings import Backoff
from tailrace.ports import StreamRef
from tailrace.rows.kinds import DUTY
from tailrace.rows.writes import Equals, Write
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.failures import named
from tailrace.runtime.parts import Parts
from tailrace.runtime.waiting import until_news
from tailrace.streams.kinesis.events import event_of
from tailrace.streams.windows import in_window

LOG: Final = logging.getLogger("tailrace.handlers")
BACKOFF: Final = Backoff(1_000, 2.0, 300_000)
WITHOUT_STREAM_MS: Final = 60_000
LOOK: Final = "look"
LOOK_MS: Final = 10_000
"""How often a worker of several looks for what others have given up, and whether it is to tell it."""


class FailureDocument:
    """One failure in both forms, made when a destination asks."""

    def __init__(
        self, failure: InvocationFailure, letters: Sequence[DeadLetter], stream: StreamRef, mapping_uuid: str
    ) -> None:
        self._failure = failure
        self._records = [letter.record for letter in letters]
        self._stream = stream
        self._mapping_uuid = mapping_uuid

    @property
    def message(self) -> bytes:
        """Without records."""
        return queue_body(self._failure, self._records)

    @property
    def object(self) -> bytes:
        """With the whole event."""
        stream = self._stream
        account = self._failure.function_arn.split(":")[4]
        event = event_of(self._records, stream.arn, stream.view_type, stream.region, account)
        if self._failure.window is not None:
            event = in_window(event, self._failure.window, self._failure.shard_id, self._stream.arn)
        return object_body(self._failure, self._records, event)

    @property
    def object_name(self) -> str:
        """Where it goes."""
        return object_name(self._mapping_uuid, self._failure, self._failure.request_id)


class Destination(Protocol):
    """Where failure documents go."""

    def deliver(self, failure: FailureDocument) -> Awaitable[None]:
        """Take it. Raising means that it was not delivered."""


class Courier:
    """The notices of one app. Of several workers the one whose duty it is delivers.

    Shape:   it counts deliveries that failed, the records that AWS would have lost with the first of them,
             and those that were told.
    """

    def __init__(
        self,
        app: str,
        parts: Parts,
        destinations: Mapping[str, Destination],
        stream_of: Callable[[str, str], Awaitable[StreamRef]],
        account: str,
        functions: Mapping[str, str] | None = None,
    ) -> None:
        self._tallies = parts.tallies
        self._app = app
        self._state = parts.state
        self._clock = parts.clock
        self._destinations = destinations
        self._stream_of = stream_of
        self._account = account
        self._functions = functions or {}
        self._duty = None if parts.duties is None else parts.duties.of(DUTY.key(app, "courier"))
        self._news = asyncio.Event()
        self._away: set[str] = set()
        self._delivering: set[str] = set()
        self._told: set[str] = set()
        """Rows of notices that were delivered and could not be deleted yet."""

    def announced(self, handler: str) -> "Courier | None":
        """Itself, for a handler that has a destination."""
        return self if handler in self._destinations else None

    def rows(
        self, place: MappingShard, given_up: Sequence[GivenUp], windows: Sequence[GivenUpWindow] = ()
    ) -> list[Write]:
        """One notice for each batch that was given up, and for each final invoke of a window."""
        return notice_rows(self._app, place, given_up, windows, self._clock.now().wall_ms)

    def wake(self) -> None:
        """There is something new to tell."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        waiting: dict[str, int] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._news.clear()
                try:
                    if self._duty is None or await self._duty.hold():
                        await self._deliver_due(waiting, tasks)
                    else:
                        waiting.clear()
                except PortError:
                    waiting[""] = self._clock.now().monotonic_ms + BACKOFF.base_ms
                if self._duty is not None:  # what others have given up, and the duty itself
                    waiting[LOOK] = self._clock.now().monotonic_ms + LOOK_MS
                await until_news(self._clock, self._news, min(waiting.values(), default=None))

    async def deliver_once(self) -> None:
        """Deliver everything that waits, each notice at most once; what fails is left. Raises: StoreError."""
        async with asyncio.TaskGroup() as tasks:
            await self._deliver_due({}, tasks)

    async def _deliver_due(self, waiting: dict[str, int], tasks: asyncio.TaskGroup) -> None:
        """Begin to deliver what is due: one task for each handler, so that a destination that hangs holds up
        its own handler's notices alone.
        """
        rows = await self._state.query(outbox_prefix(self._app))
        now_ms = self._clock.now().monotonic_ms
        there = {row.key for row in rows}
        for key in [key for key in waiting if key not in there]:
            del waiting[key]
        due: dict[str, list[tuple[str, Notice]]] = {}
        for row in rows:
            notice = read_notice(row.fields)
            is_free = notice.handler in self._destinations and notice.handler not in self._delivering
            if is_free and now_ms >= waiting.get(row.key, 0):
                waiting.pop(row.key, None)
                due.setdefault(notice.handler, []).append((row.key, notice))
        for handler, notices in due.items():
            self._delivering.add(handler)
            tasks.create_task(self._deliver_all(handler, notices, waiting), name=f"telling of {handler}")

    async def _deliver_all(
        self, handler: str, notices: Sequence[tuple[str, Notice]], waiting: dict[str, int]
    ) -> None:
        try:
            for key, notice in notices:
                if handler not in self._destinations or not (self._duty is None or self._duty.is_held):
                    return  # it is declared no longer, or another worker tells it
                try:
                    delay = await self._deliver(key, notice)
                except PortError:
                    delay = BACKOFF.base_ms
                    if self._duty is not None:
                        self._duty.doubt()
                if delay is not None:
                    waiting[key] = self._clock.now().monotonic_ms + delay
        finally:
            self._delivering.discard(handler)
            self._news.set()

    async def _deliver(self, key: str, notice: Notice) -> int | None:
        """Deliver one; how long to wait after a failure. Whatever a destination of the user's raises, it is a
        failure.
        """
        if key in self._told:
            await self._forget(key, notice)
            return None
        letters = await self._letters(notice)
        if not letters and notice.versions:
            await self._forget(key, notice)  # put back or dropped meanwhile: nothing was lost
            return None
        try:
            stream = await self._stream_of(notice.handler, notice.shard_id)
        except SourceError:
            # its table has no stream that could be named; the notices of others do not wait for it
            return WITHOUT_STREAM_MS
        tally = self._tallies.of(notice.handler)
        try:
            with FENCE:
                await self._destinations[notice.handler].deliver(self._document(notice, letters, stream))
        except Exception as error:  # a destination may be the user's own code
            tally.undelivered += 1
            tally.dropped += 0 if notice.tries else len(notice.versions)
            self._told_failure(notice.handler, error)
            tried = replace(notice, tries=notice.tries + 1)
            fence = () if self._duty is None else (self._duty.fence,)
            await self._state.transact([Write(key, tried.fields(), _same(notice)), *fence])
            after_ms = error.retry_after_ms if isinstance(error, PortError) else 0
            return delay_ms(BACKOFF, tried.tries, after_ms)
        tally.delivered += len(notice.versions)
        if notice.handler in self._away:
            self._away.remove(notice.handler)
            LOG.info("the on-failure destination of %s accepts again", self._named(notice.handler))
        self._told.add(key)
        await self._forget(key, notice)
        return None

    async def _forget(self, key: str, notice: Notice) -> None:
        """Delete a notice that was delivered; until that succeeds it is known here, so that it is not
        delivered again. What was given up again since has a notice of its own under the same key.
        """
        with suppress(StateConflict):
            await self._state.transact([Write(key, None, _same(notice))])
        self._told.discard(key)

    def _told_failure(self, handler: str, error: Exception) -> None:
        if handler not in self._away:
            self._away.add(handler)
            LOG.warning(
                "the on-failure destination of %s fails: %s; it is asked again, and the dead letters stay",
                self._named(handler),
                told(error),
                extra={"handler": handler, "hint": "tailrace dlq ls"},
            )

    def _named(self, handler: str) -> str:
        return named(handler, self._functions.get(handler, ""))

    async def _letters(self, notice: Notice) -> list[DeadLetter]:
        rows = [
            await self._state.get(deadletter_key(self._app, notice.handler, version))
            for version in notice.versions
        ]
        return [read_deadletter(row.fields) for row in rows if row is not None]

    def _document(self, notice: Notice, letters: Sequence[DeadLetter], stream: StreamRef) -> FailureDocument:
        run = notice.run or f"{letters[0].record.shard:x}"
        number = (
            f"{notice.request:x}" if notice.request else f"0-{notice.versions[0].sequence:x}"
        )  # it was never in a batch
        function = self._functions.get(notice.handler, notice.handler)
        failure = InvocationFailure(
            request_id=uuid_of(f"{notice.handler}/{notice.shard_id}/{run}-{number}"),
            function_arn=f"arn:aws:lambda:{stream.region}:{self._account}:function:{function}",
            condition=notice.condition,
            invoke_count=notice.attempts,
            shard_id=notice.shard_id,
            stream_arn=stream.arn,
            at_ms=notice.at_ms,
            is_unhandled=bool(letters[0].traceback) if letters else notice.is_unhandled,
            window=notice.window,
        )
        return FailureDocument(failure, letters, stream, uuid_of(f"{self._app}/{notice.handler}"))


def notice_rows(
    app: str,
    place: MappingShard,
    given_up: Sequence[GivenUp],
    windows: Sequence[GivenUpWindow],
    at_ms: int,
) -> list[Write]:
    """One notice for each batch that was given up, and for each final invoke of a window. Units: `at_ms`
    since the epoch.
    """
    groups: dict[tuple[int, str], list[GivenUp]] = {}
    for entry in given_up:
        groups.setdefault((entry.request, entry.condition), []).append(entry)
    notices = [
        Notice(
            place.mapping_id,
            place.shard_id,
            tuple(entry.record.version for entry in entries),
            condition,
            entries[0].attempts,
            request,
            at_ms,
            run=place.run,
            window=entries[0].window,
        )
        for (request, condition), entries in groups.items()
    ]
    notices += [
        Notice(
            place.mapping_id,
            place.shard_id,
            (),
            lost.condition,
            lost.attempts,
            lost.request,
            at_ms,
            run=place.run,
            window=lost.window,
            is_unhandled=bool(lost.failure and lost.failure.traceback),
        )
        for lost in windows
    ]
    return [Write(outbox_key(app, notice), notice.fields()) for notice in notices]


def _same(notice: Notice) -> Equals:
    """That a row is this notice's."""
    return Equals("at_ms", notice.at_ms)


def uuid_of(name: str) -> str:
    """A name in the form of a UUID, always the same one."""
    digits = blake2b(name.encode(), digest_size=16).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
