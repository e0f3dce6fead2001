"""Puts dead letters back to their handlers, beside the live traffic of the same worker.

Rules of this file: it carries out the steps of deadletters/redriving.py and decides nothing about a change. What was asked for is a row
first, so that a redrive goes on after a restart. A rate is kept by the clock of the ports. Made by `runtime/worker.py`'s owner
(compose), called by the `dlq` verbs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Protocol, TypeAlias

from tailrace.deadletters.entry import (
    DeadLetter,
    deadletter_key,
    deadletter_prefix,
    parked_prefix,
    read_deadletter,
)
from tailrace.deadletters.head import CLAIM_MS, Claims, Head, claimed, head_key, head_prefix, read_head
from tailrace.deadletters.passed import passed_key, read_passed
from tailrace.deadletters.redrive import Choice, interval_ms, read_choice
from tailrace.deadletters.redriving import (
    Claimant,
    Deliver,
    Ended,
    Hold,
    ReadHead,
    ReadLetter,
    ReadOldest,
    ReadPassed,
    Redriving,
    Refusal,
    Step,
    WriteRows,
    put_back_key,
    put_back_letter,
)  # fmt: skip
from tailrace.errors import PortError, StateConflict, StoreError
from tailrace.mapping.commands import Completion, Redriven, Released
from tailrace.mapping.retry import OUTAGES
from tailrace.ports import Batch, Clock, Failed, FailedFrom, Failure, Outcome, Sink, StateStore, StreamRef
from tailrace.rows.kinds import REDRIVE
from tailrace.rows.writes import VERSION, Check, Equals, StateRow, Write, readable
from tailrace.runtime.attempting import attempt
from tailrace.streams.version import Version

EVERYTHING: Final = Choice()
HOLD_MS: Final = 10_000
"""How long a redrive waits for an item that its handler has."""
HOLD_AGAIN_MS: Final = 20
WRITE_MS: Final = 10_000
"""How long a redrive tries to write down what came of a change."""
WRITE_AGAIN_MS: Final = 200
PAGE: Final = 100
"""Letters in memory at once: each may hold two images of 400 KB."""


class Live(Protocol):
    """The machines that run here, as the redriver needs them: the worker."""

    def hold(self, mapping_id: str, letter: DeadLetter) -> "Holding | None":
        """Keep a letter's item from its handler; None when a change of it is on its way, or read elsewhere."""

    def tell(self, mapping_id: str, word: Completion) -> None:
        """Tell every machine of a mapping."""

    async def stream_of(self, mapping_id: str, shard_id: str) -> StreamRef:
        """The stream that a shard of a mapping's table is of."""

    def code_version(self, mapping_id: str) -> str:
        """The version of its handler's code."""

    def reads(self, mapping_id: str, letter: DeadLetter) -> bool:
        """Whether every shard in which later changes of a letter's item may be at the handler is read here."""

    @property
    def owner(self) -> str:
        """How this worker is called."""


@dataclass(slots=True)
class Holding:
    """An item that is kept from its handler. Shape: the last change of it that was handled, and what holds as long as nobody else reads its shards;
    `has_waited`: the rate was kept for the next change of it, before it was held.
    """

    passed: Version
    fences: tuple[Check, ...] = ()
    has_waited: bool = True


Held: TypeAlias = dict[bytes, Holding]


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for. Shape: `rate` as in "10/s"; `drop` forgets the letters instead of delivering them."""

    id: str
    handler: str
    choice: Choice = EVERYTHING
    rate: str | None = None
    even_if_overtaken: bool = False
    drop: bool = False
    with_waiting: bool = False

    def fields(self) -> dict[str, Any]:
        """Its row."""
        return {
            "v": VERSION, "id": self.id, "handler": self.handler, "choice": self.choice.fields(), "rate": self.rate,
            "even_if_overtaken": self.even_if_overtaken, "drop": self.drop, "with_waiting": self.with_waiting,
        }  # fmt: skip


def for_another_version(handler: str, fingerprint: str, code_version: str) -> Request:
    """What another version of the code asks for, once: the changes that the one before it had failed at alike.

    Shape:   the same arguments give the same request, so asking again before it was carried out asks for nothing more.
    """
    name = blake2b(f"{handler}/{fingerprint}/{code_version}".encode(), digest_size=8).hexdigest()
    return Request(f"version-{name}", handler, Choice(fingerprint=fingerprint))


def read_request(fields: Mapping[str, Any]) -> Request:
    """The request behind a row. Raises: StoreError, SettingsError."""
    row = readable(fields, "redrive request")
    return Request(
        row["id"], row["handler"], read_choice(row["choice"]), row["rate"], row["even_if_overtaken"], row["drop"],
        row["with_waiting"],
    )  # fmt: skip


@dataclass(slots=True)
class Plan:
    """What is to be put back.

    Shape:   parked keys, which hold `changes` changes; discarded changes of `items` by their versions, `overtaken` ones
             among them.
    """

    keys: list[bytes] = field(default_factory=list)
    changes: int = 0
    items: dict[bytes, list[Version]] = field(default_factory=dict)
    overtaken: int = 0

    @property
    def letters(self) -> list[Version]:
        """Every discarded change, item by item."""
        return [version for versions in self.items.values() for version in versions]


@dataclass(slots=True)
class Progress:
    """How far a redrive is: changes by what came of them. `total` is what was chosen when it began."""

    total: int = 0
    done: int = 0
    failed: int = 0
    overtaken: int = 0
    busy: int = 0
    unparked_keys: int = 0
    errors: list[str] = field(default_factory=list)
    stopped: str = ""


class Redriver:
    """Redrives for one app."""

    def __init__(
        self, app: str, state: StateStore, clock: Clock, live: Live | None, sinks: Mapping[str, Sink],
        again_sink: Callable[[str, str], Sink] | None = None, guarded: Callable[[str, Sink], Sink] = lambda _, sink: sink,
    ) -> None:  # fmt: skip
        self._app = app
        self._state = state
        self._clock = clock
        self._live = live
        self._sinks = sinks
        self._again_sink = again_sink
        self._guarded = guarded
        self._next_ms = 0.0
        self._claims = Claims()

    # ---- requests --------------------------------------------------------------------------------------------------

    async def note(self, request: Request) -> None:
        """Make the request durable: whoever runs the handler next carries it out."""
        await self._state.transact([Write(REDRIVE.key(self._app, request.id), request.fields())])

    async def pending(self) -> list[Request]:
        """Requests that are not finished, the oldest first."""
        return [read_request(row.fields) for row in await self._state.query(REDRIVE.prefix(self._app))]

    async def carry_out(self, request: Request, progress: Progress) -> None:
        """Do what no other worker is doing, and forget the request when nothing of it is left to anybody. Raises: StoreError."""
        plan = await self.plan(request)
        progress.total = plan.changes + len(plan.letters)
        interval = interval_ms(request.rate)
        is_left = False
        for key in plan.keys:
            if progress.stopped:
                break
            ended = await self._carried_out(request, self._key_steps(request, key), {}, interval, progress)
            self._ended(request.handler, key, ended, progress)
            is_left = is_left or ended.how == "busy"
        is_left = await self._letters(request, plan, interval, progress) or is_left
        if progress.stopped:
            is_left = await self._is_claimed_elsewhere(request)
        if not is_left:
            await self._state.transact([Write(REDRIVE.key(self._app, request.id), None)])

    async def _is_claimed_elsewhere(self, request: Request) -> bool:
        """Whether other workers put something back for a request: one of them may die, and then somebody has to go on with what it has claimed."""
        names = [
            read_head(self._app, request.handler, row.fields).claimed_by
            async for row in self._rows(head_prefix(self._app, request.handler))
        ]
        return any(
            name.startswith(f"{request.id}/") and name != self._claimant(request).name for name in names
        )

    async def _letters(self, request: Request, plan: "Plan", interval: float, progress: Progress) -> bool:
        """Discarded changes, those of one item one after the other while its key is held. Returns: whether any are left to other workers.

        A change behind one that failed again is not tried: it would be applied before it. Only where the item's shards are read can it be kept from its
        handler: another worker does the others.
        """
        is_left = False
        held: Held = {}
        failed: set[bytes] = set()
        try:
            for version in plan.letters:
                row = await self._state.get(deadletter_key(self._app, request.handler, version))
                if progress.stopped:
                    break
                letter = None if row is None else read_deadletter(row.fields)
                if letter is None or letter.tried == request.id:
                    continue  # somebody else has put it back, or it went with another one of its item
                key = letter.record.key
                if key not in held:
                    self._release(request.handler, held)
                if key in failed and not request.even_if_overtaken:
                    progress.busy += 1
                    continue
                if not request.drop and not self._reads(request.handler, letter):
                    progress.busy += 1
                    is_left = True
                    continue
                steps = put_back_letter(
                    self._app, letter, self._claimant(request), self._wall_ms, plan.items[key],
                    even_if_overtaken=request.even_if_overtaken or request.drop, drops=request.drop,
                )  # fmt: skip
                ended = await self._carried_out(request, steps, held, interval, progress)
                self._ended(request.handler, None, ended, progress)
                is_elsewhere = ended.how == "busy" and not self._reads(request.handler, letter)
                is_left = is_left or is_elsewhere or ended.how == "taken"
                if ended.how == "failed":
                    failed.add(key)
                if key in held:
                    held[key].passed = max(held[key].passed, ended.passed)
        finally:
            self._release(request.handler, held)
        return is_left

    def _reads(self, handler: str, letter: DeadLetter) -> bool:
        return self._live is None or self._live.reads(handler, letter)

    async def plan(self, request: Request) -> "Plan":
        """What a request means now. Raises: StoreError."""
        plan, failed = Plan(), set[bytes]()
        async for row in self._rows(deadletter_prefix(self._app, request.handler)):
            letter = read_deadletter(row.fields)
            key, is_tried = letter.record.key, letter.tried == request.id
            if not is_tried and (key in failed or not request.choice.takes(letter)):
                continue
            passed = await self._state.get(passed_key(self._app, request.handler, key))
            is_overtaken = read_passed(None if passed is None else passed.fields) > letter.record.version
            if not is_tried:
                plan.items.setdefault(key, []).append(letter.record.version)
                plan.overtaken += is_overtaken
            elif not (is_overtaken or request.even_if_overtaken):
                failed.add(key)  # what comes after it would be applied before it
        async for row in self._rows(head_prefix(self._app, request.handler)):
            head = read_head(self._app, request.handler, row.fields)
            if not request.drop and head.first in plan.items.get(head.key, ()):
                continue  # what waits behind a discarded change that is put back goes with it
            if head.tried != request.id and (count := await self._meant(request, head)) is not None:
                plan.keys.append(head.key)
                plan.changes += count
        return plan

    async def _meant(self, request: Request, head: Head) -> int | None:
        """How many changes of a parked key wait; None: it is not meant."""
        # What was parked behind a discarded change that this request puts back waits for nothing else.
        count, is_meant = 0, not request.drop and head.claimed_by.partition("/")[0] == request.id
        async for row in self._rows(parked_prefix(self._app, request.handler, head.key)):
            letter = read_deadletter(row.fields)
            if not letter.is_waiting:
                is_meant = is_meant or request.choice.takes(letter)
            elif count == 0:
                is_meant = is_meant or request.choice.takes_waiting(letter)
            count += 1
        return count if is_meant else None

    async def _rows(self, prefix: str) -> AsyncIterator[StateRow]:
        """Rows a page at a time; between two pages others have their turn."""
        after = ""
        while True:
            rows = await self._state.query(prefix, after=after, limit=PAGE)
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            after = rows[-1].key
            await asyncio.sleep(0)

    def _key_steps(self, request: Request, key: bytes) -> Redriving:
        claimant = self._claimant(request)
        if not request.drop or request.with_waiting:
            return put_back_key(self._app, key, claimant, self._wall_ms, drops=request.drop)
        return put_back_key(
            self._app, key, claimant, self._wall_ms, lambda each: not each.is_waiting and request.choice.takes(each),
            drops=True,
        )  # fmt: skip

    def _claimant(self, request: Request) -> Claimant:
        owner = "" if self._live is None else self._live.owner
        name = Claimant(request.id, owner, lambda _: False).name
        return Claimant(
            request.id, owner, lambda head: self._claims.is_taken(head, name, self._clock.now().monotonic_ms)
        )

    # ---- carrying out ------------------------------------------------------------------------------------------------

    async def _carried_out(
        self, request: Request, steps: Redriving, held: Held, interval: float, progress: Progress
    ) -> Ended:
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                answer = await self._answer(request, step, held, interval, progress)
        except StopIteration as end:
            ended: Ended = end.value
            return ended

    def _release(self, handler: str, held: Held) -> None:
        """Tell the machines that these keys are theirs again."""
        for key, holding in held.items():
            if self._live is not None:
                self._live.tell(handler, Released(key, holding.passed))
        held.clear()

    def _ended(self, handler: str, key: bytes | None, ended: Ended, progress: Progress) -> None:
        match ended.how:
            case "failed":
                progress.failed += 1
                progress.errors = [*progress.errors, ended.error][-5:]
            case "overtaken":
                progress.overtaken += 1
            case "busy" | "taken":
                progress.busy += 1
            case "done" if key is not None:
                progress.unparked_keys += 1
                if self._live is not None:
                    self._live.tell(handler, Redriven(key, ended.tail, ended.passed))

    async def _answer(
        self, request: Request, step: Step, held: Held, interval: float, progress: Progress
    ) -> Any:
        match step:
            case ReadHead(key):
                return await self._head(request.handler, key)
            case ReadOldest(key):
                rows = await self._state.query(parked_prefix(self._app, request.handler, key), limit=1)
                return read_deadletter(rows[0].fields) if rows else None
            case ReadLetter(version):
                row = await self._state.get(deadletter_key(self._app, request.handler, version))
                return None if row is None else read_deadletter(row.fields)
            case ReadPassed(key):
                row = await self._state.get(passed_key(self._app, request.handler, key))
                if row is None and key not in held:
                    return None
                last = read_passed(None if row is None else row.fields)
                return max(last, held[key].passed) if key in held else last
            case Deliver(letter):
                holding = held.get(letter.record.key)
                waits = 0.0 if holding is not None and holding.has_waited else interval
                if holding is not None:
                    holding.has_waited = False
                refusal = None if request.drop else await self._deliver(request, letter, waits, progress)
                progress.done += refusal is None
                return refusal
            case WriteRows(rows):
                return await self._written(rows)
            case Hold(letter):
                await self._keep_the_rate(interval)  # not with the item in hand
                return await self._hold(request, letter, held)

    async def _written(self, rows: Sequence[Write | Check]) -> bool:
        """Whether the guards held. Raises: StoreError after trying for a while: what the handler did is to be noted, not done again."""
        until_ms = self._clock.now().monotonic_ms + WRITE_MS
        while True:
            try:
                await self._state.transact(list(rows))
            except StateConflict:
                return False
            except StoreError:
                now_ms = self._clock.now().monotonic_ms
                if now_ms >= until_ms:
                    raise
                await self._clock.sleep_until(now_ms + WRITE_AGAIN_MS)
            else:
                return True

    async def _hold(self, request: Request, letter: DeadLetter, held: Held) -> tuple[Check, ...] | None:
        """Keep an item from its handler, as soon as what is at the handler now is done; None when that takes too long."""
        assert self._live is not None
        if (before := held.get(letter.record.key)) is not None:
            before.has_waited = True
            return before.fences
        until_ms = self._clock.now().monotonic_ms + HOLD_MS
        while (holding := self._live.hold(request.handler, letter)) is None:
            now_ms = self._clock.now().monotonic_ms
            if now_ms >= until_ms or not self._live.reads(request.handler, letter):
                return None
            await self._clock.sleep_until(now_ms + HOLD_AGAIN_MS)
        asked = Check(REDRIVE.key(self._app, request.id), Equals("id", request.id))
        holding.fences += (asked,)  # nobody would go on with a claim that nobody asks for any more
        held[letter.record.key] = holding
        return holding.fences

    async def _head(self, handler: str, key: bytes) -> Head | None:
        row = await self._state.get(head_key(self._app, handler, key))
        return None if row is None else read_head(self._app, handler, row.fields)

    async def _deliver(
        self, request: Request, letter: DeadLetter, interval: float, progress: Progress
    ) -> Refusal | None:
        assert self._live is not None
        sink = self._sinks[request.handler]
        if request.even_if_overtaken and self._again_sink is not None:
            # A mark of a later change would suppress its recorded writes: they are applied under a run of their own.
            sink = self._again_sink(request.handler, f"redrive-{letter.record.sequence}")
        batch = Batch(
            (letter.record,), request.handler, await self._live.stream_of(request.handler, letter.shard_id), letter.shard_id,
            letter.attempts + 1, f"redrive-{letter.record.sequence:x}",
        )  # fmt: skip
        # A change that descends from a parked one may be parked behind it, and come here: it is counted in its line as any other.
        renewing = asyncio.ensure_future(self._renew(request, letter.record.key))
        try:
            await self._keep_the_rate(interval)
            failure = first_failure(await attempt(self._guarded(request.handler, sink), batch))
        finally:
            renewing.cancel()
        if failure is None:
            return None
        if failure.kind in OUTAGES:
            progress.stopped = f"{request.handler} cannot be reached: {failure.error}"
        code = self._live.code_version(request.handler)
        return Refusal(failure.error, failure.traceback, failure.kind in OUTAGES, code)

    async def _renew(self, request: Request, key: bytes) -> None:
        """Keep a claim while the rate is kept and the handler takes its time; until cancelled."""
        name = self._claimant(request).name
        while True:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + CLAIM_MS // 3)
            with suppress(PortError):  # what else has moved the head is as good
                head = await self._head(request.handler, key)
                if head is not None and head.claimed_by == name:
                    await self._state.transact([claimed(head, name, self._wall_ms())[1]])

    async def _keep_the_rate(self, interval: float) -> None:
        now_ms = self._clock.now().monotonic_ms
        if interval and now_ms < self._next_ms:
            await self._clock.sleep_until(round(self._next_ms))
        self._next_ms = max(float(self._clock.now().monotonic_ms), self._next_ms) + interval

    def _wall_ms(self) -> int:
        return self._clock.now().wall_ms


def first_failure(outcome: Outcome) -> Failure | None:
    """Why the one change of a batch was refused; None: it was accepted."""
    match outcome:
        case Failed(failures, whole):
            return whole if whole is not None else next(iter(failures.values()), None)
        case FailedFrom(_, failure):
            return failure
        case _:
            return None
