"""A redrive in steps: putting back, beside the live traffic, what planning.py says that a request means.

Theory of operation: deadletters/core/redriving.py decides what is done with one key or one discarded
change, and asks questions about rows, the item, and the handler. Here each question becomes calls of
runtime/steps.py, and what performs those performs a redrive: a worker (redriver.py), a simulated one.
Rules of this file: steps; what is known of machines is asked at once of `LiveMachines`, whatever takes time
is a call; a crash at any yield repeats at most the change that was at the handler.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct, field

from tailrace.deadletters.core.entry import (
    DeadLetter,
    deadletter_key,
    parked_prefix,
    read_deadletter,
)
from tailrace.deadletters.core.head import (
    CLAIM_MS,
    Head,
    HeadClaims,
    claimed,
    head_key,
    head_prefix,
    read_head,
)
from tailrace.deadletters.core.passed import passed_key, read_passed
from tailrace.deadletters.core.redrive import interval_ms, judge
from tailrace.deadletters.core.redriving import (
    Claimant,
    Deliver,
    Ended,
    HoldKey,
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
)
from tailrace.deadletters.core.requests import Progress, RedrivePlan, RedriveRequest, read_request
from tailrace.deadletters.run.planning import RedrivePlanner
from tailrace.errors import PortError, StateConflict, StoreError
from tailrace.mapping.commands import Completion, Redriven, Released
from tailrace.mapping.retry import OUTAGES
from tailrace.mapping.shard import ShardMachine
from tailrace.ports import Failed, FailedFrom, Failure, Outcome, RecordBatch, StreamRef
from tailrace.rows.kinds import REDRIVE
from tailrace.rows.writes import Check, Equals, StateRow, Write
from tailrace.runtime.steps import (
    AskTime,
    Concurrently,
    Get,
    QueryRows,
    Sleep,
    Steps,
    StreamOf,
    Transact,
    WriteBatch,
)
from tailrace.streams.moment import Now
from tailrace.streams.version import NOTHING, Version

HOLD_MS: Final = 10_000
"""How long a redrive waits for an item that its handler has."""
HOLD_AGAIN_MS: Final = 20
WRITE_MS: Final = 10_000
"""How long a redrive tries to write down what came of a change."""
WRITE_AGAIN_MS: Final = 200
PAGE: Final = 100
"""Letters in memory at once: each may hold two images of 400 KB."""


class LiveMachines(Protocol):
    """The machines that run here, as the redriver needs them: the worker."""

    def hold(self, mapping_id: str, letter: DeadLetter) -> "Holding | None":
        """Keep a letter's item from its handler. None: a change of it is on its way, or read elsewhere."""

    def tell(self, mapping_id: str, word: Completion) -> None:
        """Tell every machine of a mapping."""

    def code_version(self, mapping_id: str) -> str:
        """The version of its handler's code."""

    def reads(self, mapping_id: str, letter: DeadLetter) -> bool:
        """Whether every shard that may hold later changes of a letter's item is read here."""

    @property
    def owner(self) -> str:
        """How this worker is called."""


class Holding(Struct):
    """An item that is kept from its handler. Shape: the last change of it that was handled; what holds as
    long as no other worker reads its shards; `has_waited`: the rate was kept for the next change of it,
    before it was held.
    """

    passed: Version
    fences: tuple[Check, ...] = ()
    has_waited: bool = True


Held: TypeAlias = dict[bytes, Holding]


class Keeper(Protocol):
    """A machine that runs here, with its mailbox."""

    @property
    def machine(self) -> ShardMachine:
        """Asked for what its handler has; told only through `tell`."""

    @property
    def fence(self) -> Check:
        """What holds as long as no other worker reads its shard."""

    def tell(self, completion: Completion) -> None:
        """Give the machine an input that answers no command."""


def keep(key: bytes, here: Sequence[Keeper]) -> Holding | None:
    """Keep an item from its handler at each of these machines, until they are told Released; None when a
    change of it is on its way at one.
    """
    held = [keeper for keeper in here if keeper.machine.hold(key)]
    if len(held) < len(here):
        for keeper in held:
            keeper.tell(Released(key))
        return None
    passed = [keeper.machine.last_passed(key) for keeper in here]
    return Holding(max(passed, default=NOTHING), tuple(keeper.fence for keeper in here))


class Course(Struct):
    """One request on its way. Shape: `now` is when its last step was answered; `held` the items that are
    kept from the handler.
    """

    request: RedriveRequest
    progress: Progress
    interval: float
    now: Now
    held: Held = field(default_factory=dict)

    @property
    def handler(self) -> str:
        """Whose changes are put back."""
        return self.request.handler

    def wall_ms(self) -> int:
        """What time it was at its last step."""
        return self.now.wall_ms


class PuttingBack:
    """Redrives for one app, as one worker carries them out."""

    def __init__(self, app: str, live: LiveMachines | None, page: int | None = None) -> None:
        self._app = app
        self._live = live
        self._next_ms: dict[str, float] = {}
        self._claims = HeadClaims()
        self.planner = RedrivePlanner(app, page or PAGE)

    # ---- requests ------------------------------------------------------------------------------------------

    def note(self, request: RedriveRequest) -> Steps[None]:
        """Make the request durable: the worker that runs the handler next carries it out."""
        yield Transact((Write(REDRIVE.key(self._app, request.id), request.fields()),))

    def pending(self) -> Steps[list[RedriveRequest]]:
        """Requests that are not finished, the oldest first."""
        rows: list[StateRow] = yield QueryRows(REDRIVE.prefix(self._app))
        return [read_request(row.fields) for row in rows]

    def carry_out(self, request: RedriveRequest, progress: Progress) -> Steps[None]:
        """Do what no other worker is doing, and forget the request when nothing of it is left to another.
        Raises: StoreError.
        """
        plan = yield from self.planner.plan(request)
        progress.total = plan.changes + len(plan.letters)
        course = Course(request, progress, interval_ms(request.rate), (yield AskTime()))
        is_left = False
        for key in plan.keys:
            if progress.stopped:
                break
            ended = yield from self._carried_out(course, self._key_steps(course, key))
            self._ended(course, key, ended)
            is_left = is_left or ended.how == "busy"
        is_left = (yield from self._letters(course, plan)) or is_left
        if progress.stopped:
            is_left = yield from self._is_claimed_elsewhere(request)
        if not is_left:
            self._next_ms.pop(request.id, None)
            yield Transact((Write(REDRIVE.key(self._app, request.id), None),))

    def _is_claimed_elsewhere(self, request: RedriveRequest) -> Steps[bool]:
        """Whether other workers put something back for a request: when one of them dies, another has to go
        on with what it has claimed.
        """
        rows: list[StateRow] = yield QueryRows(head_prefix(self._app, request.handler))
        names = [read_head(self._app, request.handler, row.fields).claimed_by for row in rows]
        return any(name.startswith(f"{request.id}/") and name != self._name(request) for name in names)

    def _letters(self, course: Course, plan: RedrivePlan) -> Steps[bool]:
        """Discarded changes, those of one item one after the other while its key is held. Returns: whether
        any are left to other workers.

        A change behind one that failed again is not tried: it would be applied before it. Only the worker
        that reads an item's shards can keep it from its handler: another worker does the others.
        """
        request, progress, held = course.request, course.progress, course.held
        is_left = False
        failed: set[bytes] = set()
        try:
            for version in plan.letters:
                row: StateRow | None = yield Get(deadletter_key(self._app, course.handler, version))
                if progress.stopped:
                    break
                letter = None if row is None else read_deadletter(row.fields)
                if letter is None or letter.tried == request.id:
                    continue  # another redrive has put it back, or it went with another one of its item
                key = letter.record.key
                if key not in held:
                    self._release(course)
                if key in failed and not request.even_if_overtaken:
                    progress.busy += 1
                    continue
                if (yield from self._is_overtaken(request, letter)):
                    progress.overtaken += 1
                    continue
                if not request.drop and not self._reads(course.handler, letter):
                    progress.busy += 1
                    is_left = True
                    continue
                steps = put_back_letter(
                    self._app,
                    letter,
                    self._claimant(course),
                    course.wall_ms,
                    plan.items[key],
                    even_if_overtaken=request.even_if_overtaken or request.drop,
                    drops=request.drop,
                )
                ended = yield from self._carried_out(course, steps)
                self._ended(course, None, ended)
                is_elsewhere = ended.how == "busy" and not self._reads(course.handler, letter)
                is_left = is_left or is_elsewhere or ended.how == "taken"
                if ended.how == "failed":
                    failed.add(key)
                if key in held:
                    held[key].passed = max(held[key].passed, ended.passed)
        finally:
            self._release(course)
        return is_left

    def _is_overtaken(self, request: RedriveRequest, letter: DeadLetter) -> Steps[bool]:
        """Whether a later change of the item was handled for good, and nothing waits behind this one: no
        claim of the item is needed to see that.

        Two requests would else take it from each other for ever, each to note that it has tried.
        """
        if request.drop or request.even_if_overtaken:
            return False
        row: StateRow | None = yield Get(passed_key(self._app, request.handler, letter.record.key))
        last = read_passed(None if row is None else row.fields)
        if judge(letter, last, even_if_overtaken=False) != "overtaken":
            return False
        head = yield from self._head(request.handler, letter.record.key)
        return head is None or head.first != letter.record.version

    def _reads(self, handler: str, letter: DeadLetter) -> bool:
        return self._live is None or self._live.reads(handler, letter)

    def _key_steps(self, course: Course, key: bytes) -> Redriving:
        request, claimant = course.request, self._claimant(course)
        if not request.drop or request.with_waiting:
            return put_back_key(self._app, key, claimant, course.wall_ms, drops=request.drop)
        return put_back_key(
            self._app,
            key,
            claimant,
            course.wall_ms,
            lambda letter: not letter.is_waiting and request.choice.takes(letter),
            drops=True,
        )

    def _name(self, request: RedriveRequest) -> str:
        owner = "" if self._live is None else self._live.owner
        return Claimant(request.id, owner, lambda _: False).name

    def _claimant(self, course: Course) -> Claimant:
        owner, name = "" if self._live is None else self._live.owner, self._name(course.request)

        def is_taken(head: Head) -> bool:
            return self._claims.is_taken(head, name, course.now.monotonic_ms)

        return Claimant(course.request.id, owner, is_taken)

    # ---- carrying out --------------------------------------------------------------------------------------

    def _carried_out(self, course: Course, steps: Redriving) -> Steps[Ended]:
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                ended: Ended = end.value
                return ended
            answer = yield from self._answer(course, step)
            course.now = yield AskTime()

    def _release(self, course: Course) -> None:
        """Tell the machines that these keys are theirs again."""
        for key, holding in course.held.items():
            if self._live is not None:
                self._live.tell(course.handler, Released(key, holding.passed))
        course.held.clear()

    def _ended(self, course: Course, key: bytes | None, ended: Ended) -> None:
        progress = course.progress
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
                    self._live.tell(course.handler, Redriven(key, ended.tail, ended.passed))

    def _answer(self, course: Course, step: Step) -> Steps[Any]:
        handler, held = course.handler, course.held
        row: StateRow | None
        match step:
            case ReadHead(key):
                return (yield from self._head(handler, key))
            case ReadOldest(key):
                rows: list[StateRow] = yield QueryRows(parked_prefix(self._app, handler, key), limit=1)
                return read_deadletter(rows[0].fields) if rows else None
            case ReadLetter(version):
                row = yield Get(deadletter_key(self._app, handler, version))
                return None if row is None else read_deadletter(row.fields)
            case ReadPassed(key):
                row = yield Get(passed_key(self._app, handler, key))
                if row is None and key not in held:
                    return None
                last = read_passed(None if row is None else row.fields)
                return max(last, held[key].passed) if key in held else last
            case Deliver(letter):
                holding = held.get(letter.record.key)
                waits = 0.0 if holding is not None and holding.has_waited else course.interval
                if holding is not None:
                    holding.has_waited = False
                refusal = None if course.request.drop else (yield from self._deliver(course, letter, waits))
                course.progress.done += refusal is None
                return refusal
            case WriteRows(rows_to_write):
                return (yield from self._written(rows_to_write))
            case HoldKey(letter):
                yield from self._keep_the_rate(course.request, course.interval)  # not with the item in hand
                return (yield from self._hold(course, letter))

    def _written(self, rows: Sequence[Write | Check]) -> Steps[bool]:
        """Whether the guards held. Raises: StoreError after trying for a while: what the handler did is to be
        noted, not done again.
        """
        now: Now = yield AskTime()
        until_ms = now.monotonic_ms + WRITE_MS
        while True:
            try:
                yield Transact(tuple(rows))
            except StateConflict:
                return False
            except StoreError:
                now = yield AskTime()
                if now.monotonic_ms >= until_ms:
                    raise
                yield Sleep(now.monotonic_ms + WRITE_AGAIN_MS)
            else:
                return True

    def _hold(self, course: Course, letter: DeadLetter) -> Steps[tuple[Check, ...] | None]:
        """Keep an item from its handler, as soon as what is at the handler now is done; None when that takes
        too long.
        """
        assert self._live is not None
        if (before := course.held.get(letter.record.key)) is not None:
            before.has_waited = True
            return before.fences
        now: Now = yield AskTime()
        until_ms = now.monotonic_ms + HOLD_MS
        while (holding := self._live.hold(course.handler, letter)) is None:
            now = yield AskTime()
            if now.monotonic_ms >= until_ms or not self._live.reads(course.handler, letter):
                return None
            yield Sleep(now.monotonic_ms + HOLD_AGAIN_MS)
        request = course.request
        asked = Check(REDRIVE.key(self._app, request.id), Equals("id", request.id))
        holding.fences += (asked,)  # without the request no worker would go on with the claim
        course.held[letter.record.key] = holding
        return holding.fences

    def _head(self, handler: str, key: bytes) -> Steps[Head | None]:
        row: StateRow | None = yield Get(head_key(self._app, handler, key))
        return None if row is None else read_head(self._app, handler, row.fields)

    def _deliver(self, course: Course, letter: DeadLetter, interval: float) -> Steps[Refusal | None]:
        assert self._live is not None
        stream: StreamRef = yield StreamOf(letter.shard_id)
        batch = RecordBatch(
            (letter.record,),
            course.handler,
            stream,
            letter.shard_id,
            letter.attempts + 1,
            f"redrive-{letter.record.sequence:x}",
        )

        # A change that descends from a parked one may be parked behind it, and come here: it is counted in
        # its line as any other.
        failure = first_failure(
            (yield Concurrently(self._write(course, batch, interval), self._renew(course, letter.record.key)))
        )
        if failure is None:
            return None
        if failure.kind in OUTAGES:
            course.progress.stopped = f"{course.handler} cannot be reached: {failure.error}"
        code = self._live.code_version(course.handler)
        return Refusal(failure.error, failure.traceback, failure.kind in OUTAGES, code)

    def _write(self, course: Course, batch: RecordBatch, interval: float) -> Steps[Outcome]:
        yield from self._keep_the_rate(course.request, interval)
        outcome: Outcome = yield WriteBatch(batch)
        return outcome

    def _renew(self, course: Course, key: bytes) -> Steps[None]:
        """Keep a claim while the rate is kept and the handler takes its time; without an end."""
        name = self._name(course.request)
        while True:
            now: Now = yield AskTime()
            yield Sleep(now.monotonic_ms + CLAIM_MS // 3)
            try:
                head = yield from self._head(course.handler, key)
                if head is not None and head.claimed_by == name:
                    now = yield AskTime()
                    yield Transact((claimed(head, name, now.wall_ms)[1],))
            except PortError:
                continue  # what else has moved the head is as good

    def _keep_the_rate(self, request: RedriveRequest, interval: float) -> Steps[None]:
        if not interval:
            return
        next_ms = self._next_ms.get(request.id, 0.0)
        now: Now = yield AskTime()
        if now.monotonic_ms < next_ms:
            yield Sleep(round(next_ms))
            now = yield AskTime()
        self._next_ms[request.id] = max(float(now.monotonic_ms), next_ms) + interval


def first_failure(outcome: Outcome) -> Failure | None:
    """Why the one change of a batch was refused; None: it was accepted."""
    match outcome:
        case Failed(failures, whole):
            return whole if whole is not None else next(iter(failures.values()), None)
        case FailedFrom(_, failure):
            return failure
        case _:
            return None
