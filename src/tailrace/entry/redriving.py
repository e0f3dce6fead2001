"""What a schedule does on Lambda: what is parked and dead goes back to its handlers, in order.

Theory of operation: the same steps as a worker's redriver, for one request a handler and run: everything that
waits is tried once, oldest first of each item, under a claim of the key's head. A run that is cut off leaves
its request in the state, and the next one goes on with it. Batches of the same keys may be under way in other
processes: a parked key is safe from them, because what they park goes behind its head, which they have read
or find gone. A key that has only dead letters gets a head first, and waits until every batch is over that
began before it (waiting.py); a request of our own is not kept for that, because the next run makes one anew.
Rules of this file: no decision about a change. Called by handler.py. Source: growth §2.3, §3.4.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from tailrace.app.mapping import HandlerMapping
from tailrace.deadletters.core.entry import DeadLetter, deadletter_prefix
from tailrace.deadletters.core.head import head_prefix
from tailrace.deadletters.core.requests import Progress, RedriveRequest
from tailrace.deadletters.run.courier import Courier, Destination
from tailrace.deadletters.run.putting_back import Holding
from tailrace.deadletters.run.redriver import Redriver
from tailrace.entry.events import BOTH, SHARD
from tailrace.entry.sandbox import Sandbox
from tailrace.entry.waiting import HeldLetters
from tailrace.errors import SettingsError
from tailrace.mapping.commands import Completion
from tailrace.ports import StreamRef
from tailrace.rows.kinds import MARK, REDRIVE
from tailrace.rows.writes import Write
from tailrace.streams.arns import ACCOUNT, table_arn
from tailrace.streams.kinesis.names import data_stream_arn, stream_of_source
from tailrace.streams.version import NOTHING
from tailrace.worker.forgetting import MARKS_EVERY, forget_marks

UNKNOWN: Final = "unknown"
"""The label of a stream that nobody has written down."""
LONGEST_BATCH_S: Final = 900
"""Lambda's longest time-out."""
FORGETTING_MS: Final = 3_600_000
REQUEST: Final = "lambda-"
"""What the names of our own requests begin with."""


class RedriverEvent(Struct, frozen=True):
    """What a schedule may say. Shape: `rate` as "10/s"; `even_if_overtaken` puts back what a later change of
    its item was handled after. Units: `longest_batch_s`, the time-out of the function that handles batches.
    """

    rate: str | None = None
    even_if_overtaken: bool = False
    longest_batch_s: Annotated[int, Meta(ge=1, le=LONGEST_BATCH_S)] = LONGEST_BATCH_S


def read_redriver_event(event: Any) -> RedriverEvent:
    """What an event says; what else is in it, as in EventBridge's own, says nothing. Raises:
    SettingsError.
    """
    try:
        return msgspec.convert(event if isinstance(event, dict) else {}, RedriverEvent)
    except msgspec.ValidationError as error:
        raise SettingsError(f"the event of app.lambda_redriver: {error}") from error


class Elsewhere:
    """The machines that a redriver on Lambda can speak to: none. They are in other processes, and learn of a
    key from its head.
    """

    def __init__(self, sandbox: Sandbox, account: str, letters: HeldLetters) -> None:
        self._sandbox = sandbox
        self._account = account
        self._letters = letters

    @property
    def owner(self) -> str:
        """How this process is called."""
        return self._sandbox.owner

    def hold(self, mapping_id: str, letter: DeadLetter) -> Holding | None:
        """Nothing is kept from a handler but by the head that the claim makes."""
        return Holding(NOTHING)

    def tell(self, mapping_id: str, word: Completion) -> None:
        """There is no machine here."""

    def code_version(self, mapping_id: str) -> str:
        """The version of a handler's code."""
        return self._sandbox.code(mapping_id)

    def reads(self, mapping_id: str, letter: DeadLetter) -> bool:
        """Whether it may be put back now."""
        return not self._letters.is_waiting(mapping_id, letter.record.version)

    async def stream_of(self, mapping_id: str, shard_id: str) -> StreamRef:
        """The stream of a change, as far as the name of its shard says it."""
        table = self._sandbox.mapping(mapping_id).table
        place, region = table.place, self._sandbox.app.region
        arn = table_arn(region, self._account, table.name) if place is None else table.name
        label = shard_id.removeprefix(SHARD) if shard_id.startswith(SHARD) else UNKNOWN
        if (stream := stream_of_source(table.name)) is not None:
            arn = data_stream_arn(region, self._account, stream)
            return StreamRef(arn, table.name, stream, "NEW_IMAGE", region)
        return StreamRef(
            f"{arn}/stream/{label}",
            table.name if place is None else place.table,
            label,
            BOTH,
            region if place is None else place.region,
        )


class ScheduledRedrives:
    """The redrives of one process. Shape: `account` is the function's own."""

    def __init__(self, sandbox: Sandbox, account: str = ACCOUNT) -> None:
        self._sandbox = sandbox
        self._runs = 0
        self._forgets_ms = 0
        parts = sandbox.parts
        self._letters = HeldLetters(sandbox.app.name, parts.state, parts.clock)
        elsewhere = Elsewhere(sandbox, account, self._letters)
        destinations = _destinations(sandbox.mappings)
        self._courier = (
            Courier(sandbox.app.name, parts, destinations, elsewhere.stream_of, account)
            if destinations
            else None
        )
        self._redriver = Redriver(
            sandbox.app.name,
            parts.state,
            parts.clock,
            elsewhere,
            sandbox.sinks,
            lambda handler, run: sandbox.make(sandbox.mapping(handler), run),
        )

    async def run(self, asked: RedriverEvent, remaining_ms: int) -> Mapping[str, Any]:
        """Put back what waits, handler by handler, until the time is used up. Units: remaining_ms.

        Returns: by handler the counts that `tailrace dlq redrive --json` shows; `is_over` is False where time
                 did not suffice.
        Raises:  StoreError.
        """
        progress = {mapping.id: Progress() for mapping in self._sandbox.mappings}
        running = asyncio.ensure_future(self._run(asked, progress))
        clock = self._sandbox.parts.clock
        ends_ms = clock.now().monotonic_ms + remaining_ms
        ending = asyncio.ensure_future(clock.sleep_until(ends_ms))
        try:
            await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
            is_over = running.done()
            if is_over:
                running.result()
        finally:
            running.cancel()
            ending.cancel()
            await asyncio.gather(running, ending, return_exceptions=True)
        return {
            "is_over": is_over,
            "handlers": {
                handler: msgspec.to_builtins(counts) for handler, counts in progress.items() if counts.total
            },
        }

    async def _run(self, asked: RedriverEvent, progress: Mapping[str, Progress]) -> None:
        if self._courier is None:
            await self._redrive(asked, progress)
            return
        async with asyncio.TaskGroup() as tasks:  # a destination that hangs holds up no handler
            tasks.create_task(self._courier.deliver_once())
            tasks.create_task(self._redrive(asked, progress))

    async def _redrive(self, asked: RedriverEvent, progress: Mapping[str, Progress]) -> None:
        left = {request.id: request for request in await self._redriver.pending()}
        for request in left.values():
            if request.handler in progress:
                await self._carry_out(request, asked, progress[request.handler])
        for handler in progress:
            if any(request.handler == handler for request in left.values()):
                continue  # what that one left is tried by the next run
            if not await self._has_any(handler):
                continue
            self._runs += 1
            now_ms = self._sandbox.parts.clock.now().wall_ms
            request = RedriveRequest(
                f"{REQUEST}{self._sandbox.owner}-{now_ms:x}-{self._runs}",
                handler,
                rate=asked.rate,
                even_if_overtaken=asked.even_if_overtaken,
            )
            await self._redriver.note(request)
            await self._carry_out(request, asked, progress[handler])
        await self._forget_marks()

    async def _forget_marks(self) -> None:
        """Remove marks that nothing needs, once an hour, or a day where they lie in a table of their own: no
        worker may ever come to this state.
        """
        sandbox = self._sandbox
        state, now = sandbox.parts.state, sandbox.parts.clock.now()
        marks = sandbox.marks
        if marks is None or now.monotonic_ms < self._forgets_ms:
            return
        often = 1 if marks is state else MARKS_EVERY
        self._forgets_ms = now.monotonic_ms + often * FORGETTING_MS
        for mapping in sandbox.mappings:
            if await marks.query(MARK.of_mapping(sandbox.app.name, mapping.id) + "/", limit=1):
                await forget_marks(state, sandbox.app.name, mapping.id, now.wall_ms, marks)

    async def _carry_out(self, request: RedriveRequest, asked: RedriverEvent, progress: Progress) -> None:
        plan = await self._redriver.plan(request)
        waiting = await self._letters.look(request, plan, asked.longest_batch_s * 1_000)
        await self._redriver.carry_out(request, progress)
        await self._letters.free(request.handler)
        if waiting and request.id.startswith(REQUEST):
            key = REDRIVE.key(self._sandbox.app.name, request.id)
            await self._sandbox.parts.state.transact([Write(key, None)])

    async def _has_any(self, handler: str) -> bool:
        state, app = self._sandbox.parts.state, self._sandbox.app.name
        return bool(
            await state.query(head_prefix(app, handler), limit=1)
            or await state.query(deadletter_prefix(app, handler), limit=1)
        )


def _destinations(mappings: Iterable[HandlerMapping]) -> dict[str, Destination]:
    """Where handlers tell of what was given up, by their ids. Raises: SettingsError."""
    destinations: dict[str, Destination] = {}
    for mapping in mappings:
        if isinstance(mapping.destination, str):
            from tailrace.sinks.destinations import destination_of  # only where one is named by its ARN

            destinations[mapping.id] = destination_of(mapping.destination)
        elif mapping.destination is not None:
            destinations[mapping.id] = mapping.destination
    return destinations
