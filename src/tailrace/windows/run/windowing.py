"""The windows of one handler as they run: changes are folded into rows, windows that are over are told.

Theory of operation: a change and the note of what it touched are one transaction, before its checkpoint. A
window is over when the low watermark of the mapping (every change made before it is settled, in every
shard) has passed its end by `lateness`; then what is in it is read and told. What was told is kept as a
digest: a window whose digest is another by then is told again, as a correction. So the last word on a
window depends on the changes alone, not on their order, their repetitions or our deaths. Before a revision
is told, its number and its digest are noted: a crash between telling and noting repeats it, under the same
id, as long as the window holds the same; when it holds something else by then, even what was told before,
that is the next revision. So a revision has one content for all who saw it.
Of several workers one tells windows, under a duty (runtime/duties.py) whose epoch is required by whatever it
writes: what it had not yet noted when it was overtaken another one tells again, under the same id.
Rules of this file: everything may be cut off anywhere and is done again at the next start; the handler and
its sink are behind `tell`. Made by `compose_worker`, run by worker/crew.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.app.window import WindowPlan
from tailrace.deadletters.core.entry import WINDOW_SHARD
from tailrace.errors import PortError, StateConflict
from tailrace.mapping.retry import delay_ms
from tailrace.mapping.settings import INFINITE, MappingSettings
from tailrace.ports import Failure, FailureKind
from tailrace.rows.writes import Check, Equals, Write
from tailrace.runtime.duties import Duty
from tailrace.runtime.failures import FailureLog
from tailrace.runtime.parts import Parts
from tailrace.streams.version import FIRST_GENERATION
from tailrace.windows.core.rows import (
    LATEST_MS,
    Contribution,
    WindowInvocation,
    WindowOwner,
    read_told,
    told_fields,
    told_key,
    touched_key,
)
from tailrace.windows.core.shapes import Span
from tailrace.windows.run.contents import EMPTY, WindowContents, digest_of
from tailrace.windows.run.forgetting import Forgetting

LOOK_MS: Final = 1_000
"""How often a window is looked at that is over by the clock while changes before its end are still on their
way.
"""
OTHERS_MS: Final = 5_000
"""How often what other workers have touched is looked for."""
PAGE: Final = 1_000


class Closing(Struct, frozen=True):
    """One revision of one window, to be told. Shape: `before` is the digest of what its last revision came
    to; `generation` and `replay_id` are those of the replay that tells it, or that told it last.
    """

    group: str
    span: Span
    members: Sequence[Contribution]
    revision: int
    before: str
    generation: int = FIRST_GENERATION
    replay_id: str | None = None


class WindowResult(Struct, frozen=True):
    """What came of telling: the digest of the handler's value, or why it failed."""

    value: str = EMPTY
    failure: Failure | None = None


Tell = Callable[[Closing], Awaitable[WindowResult]]
GiveUp = Callable[[Closing, Failure, int], Write]
Touch = tuple[int, str]
"""A pane and a group."""


class _Retry(Struct):
    """A window whose handler fails. Shape: `touches` are the panes that wait for it; `tries` counts those in
    an outage too. Units: due_ms monotonic, the others since the epoch.
    """

    touches: set[Touch] = field(default_factory=set)
    attempts: int = 0
    tries: int = 0
    due_ms: int = 0
    error: str = ""
    since_ms: int = 0
    last_ms: int = 0


class Windows:
    """One handler's windows.

    Shape:   `watermark` gives the time before which every change is settled, in ms since the epoch; `tell`
             calls the handler and writes its value; `give_up` makes the dead letter of a window whose handler
             has failed too often. Of several workers the one whose duty it is tells windows, of changes that
             any of them has folded.
    """

    def __init__(
        self,
        owner: WindowOwner,
        plan: WindowPlan,
        settings: MappingSettings,
        parts: Parts,
        *,
        watermark: Callable[[], Awaitable[int]],
        tell: Tell,
        give_up: GiveUp,
    ) -> None:
        state, clock = parts.state, parts.clock
        self.owner = owner
        self.plan = plan
        self._settings = settings
        self._state = state
        self._clock = clock
        self._watermark = watermark
        self.tell = tell
        self._give_up = give_up
        self._duty = None if parts.duties is None else parts.duties.of(owner.key("duty"))
        self._contents = WindowContents(owner, plan.shape, state)
        self._forgetting = Forgetting(owner, plan.shape, self._contents, state, clock)
        self._failures = FailureLog(owner.mapping_id, plan.table.name, WINDOW_SHARD, clock)
        self._touched: dict[Touch, int | str] = {}
        self._next: dict[Touch, int | None] = {}
        """When the next window of a touched pane ends, as far as it was looked at; None: only retries are
        left.
        """
        self._ends: list[tuple[int, Touch]] = []
        """A heap of these times, the ones that are no longer true among them."""
        self._version = self._taken = 0
        self._retries: dict[tuple[str, int], _Retry] = {}
        self._changed = asyncio.Event()
        self._is_closing = False
        self._telling = asyncio.Lock()
        """Held while one window is told, by its end or because its dead letter is put back."""
        self.late = 0
        """Changes that came after every window of theirs was closed for good, since the start."""

    def came_late(self, changes: int) -> None:
        """So many changes came after every window of theirs was closed for good."""
        self.late += changes

    @property
    def open(self) -> int:
        """How many panes have changes that some window has still to tell."""
        return len(self._touched)

    def failing(self) -> tuple[str, int, int, int] | None:
        """The last error of windows whose handler fails and is called again, since when, when last (ms since
        the epoch), and of how many windows; None: of none.
        """
        if not self._retries:
            return None
        tries = list(self._retries.values())
        last = max(tries, key=lambda retry: retry.last_ms)
        return last.error, min(retry.since_ms for retry in tries), last.last_ms, len(tries)

    async def is_busy(self) -> bool:
        """Whether a window is over and not yet told. Raises: SourceError, StoreError."""
        if self._is_closing or self._retries or self._changed.is_set():
            return True
        first = self._first()
        return first is not None and first[0] <= await self._passed_ms()

    def touch(self, touched: Iterable[Touch], stamp: int | str) -> None:
        """Something was changed durably in these panes."""
        for pane in touched:
            if pane not in self._touched or pane in self._next:
                self._look_at(pane)
            self._touched[pane] = stamp
        self._version += 1
        self._changed.set()

    def _look_at(self, touch: Touch) -> None:
        """Look at all the windows of a pane, when the first of them can have ended."""
        self._next.pop(touch, None)
        heappush(self._ends, (touch[0] + self.plan.shape.first_end_ms, touch))

    async def horizon_ms(self) -> int:
        """What ended before is closed for good. Units: ms since the epoch. Raises: SourceError,
        StoreError.
        """
        return await self._watermark() - self.plan.delay_ms

    # ---- life ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Close what is over, for ever; until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._close_for_ever(), name=f"windows of {self.owner.mapping_id}")
            tasks.create_task(self._forget_for_ever(), name=f"forgetting windows of {self.owner.mapping_id}")
            if self._duty is not None:
                tasks.create_task(self._hold_for_ever(self._duty), name=f"duty of {self.owner.mapping_id}")

    async def _close_for_ever(self) -> None:
        is_loaded = False
        while True:
            self._changed.clear()
            self._is_closing = True
            try:
                is_loaded = await self._is_to_tell(is_loaded=is_loaded)
                if is_loaded:
                    await self._close()
            except PortError:
                # the store or the source fails; checkpoints and readiness say so, and this is tried again
                if self._duty is not None:
                    self._duty.doubt()
            finally:
                self._is_closing = False
            look_ms = self._clock.now().monotonic_ms + (LOOK_MS if self._duty is None else OTHERS_MS)
            next_ms = self._next_ms() if is_loaded else look_ms
            await self._wait(next_ms if self._duty is None else min(look_ms, next_ms or look_ms))

    async def _is_to_tell(self, *, is_loaded: bool) -> bool:
        """Whether this worker is to tell windows; it knows then what is touched. Raises: SourceError,
        StoreError.
        """
        duty = self._duty
        if duty is not None and not await duty.hold():
            self._forget_touched()
            return False
        if duty is not None and duty.taken != self._taken:
            self._forget_touched()
            is_loaded, self._taken = False, duty.taken
        if not is_loaded:
            await self._load(LATEST_MS)
        elif duty is not None:
            await self._load(await self._passed_ms())
        return True

    async def _hold_for_ever(self, duty: Duty) -> None:
        """Keep the duty while a handler takes its time."""
        while True:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + OTHERS_MS)
            with suppress(PortError):
                if duty.is_held:
                    await duty.hold()

    @property
    def is_telling(self) -> bool:
        """Whether it is this worker that tells windows."""
        return self._duty is None or self._duty.is_held

    @property
    def has_others(self) -> bool:
        """Whether other workers may tell them."""
        return self._duty is not None

    @property
    def _fences(self) -> tuple[Check, ...]:
        """What must hold of whatever is written beside the telling."""
        return () if self._duty is None else (self._duty.fence,)

    def _forget_touched(self) -> None:
        """Another worker tells: what is touched is read again if this one ever does."""
        self._touched.clear()
        self._next.clear()
        self._ends.clear()
        self._retries.clear()

    async def _forget_for_ever(self) -> None:
        while True:
            await self._forgetting.wait()
            with suppress(PortError):  # the next hour tries again
                if self.is_telling:
                    await self._forgetting.forget(await self.horizon_ms())

    async def _load(self, passed_ms: int) -> None:
        """Learn of the panes that were touched whose first window ends by then: here, or by other workers."""
        prefix, after = self.owner.key("touched", ""), ""
        while rows := await self._state.query(prefix, after=after, limit=PAGE):
            for row in rows:  # the oldest pane first
                touch = (int(row.fields["pane"]), str(row.fields["group"]))
                if touch[0] + self.plan.shape.first_end_ms > passed_ms:
                    return
                known = self._touched.get(touch)
                if known is None or (self.has_others and known != row.fields["stamp"]):
                    self.touch([touch], row.fields["stamp"])
            after = rows[-1].key

    async def _wait(self, until_ms: int | None) -> None:
        waiting: list[asyncio.Future[object]] = [asyncio.ensure_future(self._changed.wait())]
        if until_ms is not None:
            waiting.append(asyncio.ensure_future(self._sleep(until_ms)))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _sleep(self, until_ms: int) -> object:
        await self._clock.sleep_until(until_ms)
        return None

    def _next_ms(self) -> int | None:
        """When to look again. Units: monotonic ms."""
        now = self._clock.now()
        times = [retry.due_ms for retry in self._retries.values()]
        if first := self._first():
            left_ms = first[0] + self.plan.lateness_ms - now.wall_ms
            times.append(now.monotonic_ms + (left_ms if left_ms > 0 else LOOK_MS))
        return min(times, default=None)

    def _first(self) -> tuple[int, Touch] | None:
        """The window that can end first of all: when, and a touched pane of it. Units: ms since the epoch."""
        while self._ends:
            end_ms, touch = self._ends[0]
            if touch in self._touched and end_ms == self._next.get(
                touch, touch[0] + self.plan.shape.first_end_ms
            ):
                return self._ends[0]
            heappop(self._ends)
        return None

    async def _passed_ms(self) -> int:
        """What ended before is over. Units: ms since the epoch."""
        return await self._watermark() - self.plan.lateness_ms

    # ---- closing -------------------------------------------------------------------------------------------

    async def _close(self) -> None:
        versions: dict[tuple[str, int], int] = {}
        passed_ms, now_ms = await self._passed_ms(), self._clock.now().monotonic_ms
        due = [retry.touches for retry in self._retries.values() if retry.due_ms <= now_ms]
        for touch in sorted(set().union(*due)):
            await self._close_touched(touch, passed_ms, versions)
        while (first := self._first()) is not None and first[0] <= passed_ms:
            await self._close_touched(first[1], passed_ms, versions)

    async def _close_touched(
        self, touch: Touch, passed_ms: int, versions: dict[tuple[str, int], int]
    ) -> None:
        stamp = self._touched.get(touch)
        if stamp is None:
            return
        is_done, next_ms = await self._close_pane(touch, passed_ms, versions)
        if self._touched.get(touch) != stamp:
            return  # it was changed meanwhile, and is looked at again
        self._next[touch] = next_ms
        if next_ms is not None:
            heappush(self._ends, (next_ms, touch))
        if is_done:
            await self._leave(touch, stamp)

    async def _close_pane(
        self, touch: Touch, passed_ms: int, versions: dict[tuple[str, int], int]
    ) -> tuple[bool, int | None]:
        """Tell the windows of a pane that are over. Returns: whether all of them are over and told; when the
        next one ends.
        """
        pane, group = touch
        is_done, next_ms = True, None
        for span in await self._contents.spans(pane, group):
            if span.end_ms > passed_ms:
                is_done, next_ms = False, span.end_ms
                break
            window, version = (group, span.start_ms), self._version
            if versions.get(window) == version:
                continue  # by another pane of it, and nothing has changed since
            if await self._tell_one(touch, span):
                versions[window] = version
            else:
                is_done = False
        return is_done, next_ms

    async def _tell_one(self, touch: Touch, span: Span) -> bool:
        """Tell one window if there is anything new. Returns: whether nothing is left to do about it."""
        group = touch[1]
        window = (group, span.start_ms)
        retry = self._retries.get(window)
        if retry is not None and retry.due_ms > self._clock.now().monotonic_ms:
            retry.touches.add(touch)
            return False
        async with self._telling:
            if not self.is_telling:
                raise StateConflict(f"another worker tells the windows of {self.owner.mapping_id}")
            members = await self._contents.inside(group, span)
            digest, was = digest_of(members), await self._was(group, span)
            if was.is_last_word(digest):
                self._end_retries(window)
                return True
            closing = await self._begin(group, span, members, was)
            answer = await self.tell(closing)
            writes: list[Write] = []
            if answer.failure is not None:
                attempts = self._failed(closing, touch, answer.failure)
                if attempts is None:
                    return False
                self._failures.result_given_up(self._words(closing), answer.failure, attempts)
                writes.append(self._give_up(closing, answer.failure, attempts))
            self._end_retries(window)
            await self._state.transact([*self._fences, *writes, self._noted(closing, digest, answer)])
            return True

    async def _was(self, group: str, span: Span) -> WindowInvocation:
        row = await self._state.get(told_key(self.owner, group, span.start_ms))
        return WindowInvocation(*span) if row is None else read_told(row.fields)

    async def _begin(
        self, group: str, span: Span, members: Sequence[Contribution], was: WindowInvocation
    ) -> Closing:
        """Note durably what is told next, unless that is noted already."""
        noted = replace(was.telling(digest_of(members)), start_ms=span.start_ms, end_ms=span.end_ms)
        if noted != was:
            await self._state.transact(
                [*self._fences, Write(told_key(self.owner, group, span.start_ms), told_fields(noted))]
            )
        assert noted.attempt is not None
        return Closing(group, span, members, noted.attempt.revision, noted.value, noted.generation)

    def _noted(self, closing: Closing, digest: str, answer: WindowResult) -> Write:
        span = closing.span
        told = WindowInvocation(*span, closing.revision, digest, answer.value, generation=closing.generation)
        return Write(told_key(self.owner, closing.group, span.start_ms), told_fields(told))

    def _end_retries(self, window: tuple[str, int]) -> None:
        """Nothing waits for this window any more: the panes that did are looked at again."""
        retry = self._retries.pop(window, None)
        for touch in () if retry is None else retry.touches:
            if touch in self._touched:
                self._look_at(touch)

    async def tell_again(self, group: str, span: Span, revision: int) -> Failure | None:
        """Tell a window whose dead letter is put back, as it is now: under the revision that says this.
        Raises: StoreError.

        Shape:   `revision` is the letter's; of a window of which nothing is known any more the next one is
                 empty.
        """
        async with self._telling:
            if not self.is_telling:
                return Failure(FailureKind.UNAVAILABLE, "another worker tells its windows")
            members = await self._contents.inside(group, span)
            digest, was = digest_of(members), await self._was(group, span)
            if was.is_last_word(digest):
                number = was.revision or revision + 1
                closing = Closing(group, span, members, number, EMPTY, was.generation)
            else:
                closing = replace(await self._begin(group, span, members, was), before=EMPTY)
            answer = await self.tell(closing)
            if answer.failure is None:
                await self._state.transact([*self._fences, self._noted(closing, digest, answer)])
            return answer.failure

    def _failed(self, closing: Closing, touch: Touch, failure: Failure) -> int | None:
        """Note a failure. Returns: how many attempts were made when there are no more; None to wait for the
        next one.
        """
        retry = self._retries.setdefault((closing.group, closing.span.start_ms), _Retry())
        retry.tries += 1
        retry.error, retry.last_ms = failure.error, self._clock.now().wall_ms
        retry.since_ms = retry.since_ms or retry.last_ms
        retry.touches.add(touch)
        retry.attempts += failure.kind in (FailureKind.RECORD, FailureKind.TIMEOUT)
        most = self._settings.maximum_retry_attempts
        if most != INFINITE and retry.attempts > most:
            return retry.attempts
        self._failures.result_failed(self._words(closing), failure, retry.tries)
        wait_ms = delay_ms(self._settings.backoff, max(1, retry.attempts), failure.retry_after_ms)
        retry.due_ms = self._clock.now().monotonic_ms + wait_ms
        return None

    def _words(self, closing: Closing) -> str:
        start, end = (datetime.fromtimestamp(bound_ms / 1_000, UTC) for bound_ms in closing.span)
        key = self.plan.by.value_of(closing.group)
        of = "" if key is None else f" of {key!r}"
        return f"its window {start:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S}{of}"

    async def _leave(self, touch: Touch, stamp: int | str) -> None:
        """Take the note of a pane away, unless it was touched again meanwhile."""
        pane, group = touch
        with suppress(StateConflict):
            await self._state.transact(
                [*self._fences, Write(touched_key(self.owner, group, pane), None, Equals("stamp", stamp))]
            )
        if self._touched.get(touch) == stamp:
            del self._touched[touch]
            self._next.pop(touch, None)
