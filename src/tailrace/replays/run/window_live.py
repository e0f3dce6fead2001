"""The windows of the past told again, for real: with a run of its own, which goes on where it was.

Theory of operation: the border stands from the beginning of the run: what ended before it is closed for good
in live delivery, and this tells it. First the journal is read once without a word: windows are counted, and
what is in those beyond the border is handed to the live windows, which ignore what they know. Then the run's
row is written and everything is read again and told, in the order of windows' ends; behind each batch the row
says how far it is. A killed run tells a batch again, under the same ids. Each run has a second of its own,
which is the generation of its words: newer than whatever was told before.
Rules of this file: it stops before a window that fails for good, and skips nothing. Decision 87.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NoReturn

from msgspec.structs import replace

from tailrace.errors import SettingsError
from tailrace.journal.core.moment import spoken
from tailrace.ports import Failure
from tailrace.replays.core.effects import ReplayCounts
from tailrace.replays.core.report import ReplayReport
from tailrace.replays.core.runs import ReplayRun, begun, finished, saved, taken_up
from tailrace.replays.run.live import (
    SECOND,
    LiveGround,
    LiveQuestion,
    ReplayPace,
    Told,
    Tries,
    chosen_run,
    save_run,
    stand_still,
)
from tailrace.replays.run.window_source import MS, WindowRange, WindowSource, plan_of
from tailrace.runtime.attempting import TimedSink
from tailrace.runtime.threads import MOST, Threads
from tailrace.windows.core.past import PastWindow
from tailrace.windows.run.retelling import Retelling

LEFT: Final = "windows that are still open or corrected are told by the live handler"


async def run_windows(
    ground: LiveGround, asked: LiveQuestion, told: Callable[[ReplayRun, Sequence[str]], Told]
) -> ReplayReport:
    """As `run_live`, of a handler with windows."""
    retelling = ground.retelling(asked.mapping, asked.archived)
    if retelling is None:
        raise SettingsError(f"{asked.mapping.id!r} is not run here, so nothing tells its windows")
    threads = Threads(f"replay of {asked.mapping.id}", MOST)
    await _another_second(ground)
    run, is_new = await chosen_run(ground, asked)
    source = WindowSource(asked.mapping, ground.opened(asked.archived), ground.region)
    sink = TimedSink(ground.sink_of(asked.mapping, run.id), ground.clock, threads=threads)
    retold = _Retold(ground, asked, source, retelling)
    try:
        with threads.used():
            await sink.open(ground.clock)  # numbers of sources are agreed on with what keeps versions
            if is_new:  # before the journal is looked at, which then has everything of before the border
                run = replace(run, border_ms=await retelling.border_ms())
            await source.open()
            if is_new:
                run = await retold.prepared(run)
                write = begun(ground.app, run)
            else:
                run, write = taken_up(ground.app, run)
            await save_run(ground, run, write)
            notes = retold.notes(run)
            run = await retold.go(run, told(run, notes))
            await save_run(ground, run, finished(ground.app, run))
            counts = ReplayCounts(source.counts.changes, run.called)
            return ReplayReport(run.id, counts, retold.notes(run))
    finally:
        await sink.end()
        source.close()


async def _another_second(ground: LiveGround) -> None:
    """Let the second pass in which another run may have begun."""
    now = ground.clock.now()
    await ground.clock.sleep_until(now.monotonic_ms + SECOND - now.wall_ms % SECOND)


def _border_ms(run: ReplayRun) -> int:
    if run.border_ms is None:
        raise SettingsError(f"replay {run.id} goes through changes, and {run.handler} has windows now")
    return run.border_ms


class _Retold:
    """One run in one process."""

    def __init__(
        self, ground: LiveGround, asked: LiveQuestion, source: WindowSource, retelling: Retelling
    ) -> None:
        self._ground = ground
        self._mapping = asked.mapping
        self._source = source
        self._retelling = retelling
        self._delay_ms = plan_of(asked.mapping).delay_ms
        self._pace = ReplayPace(ground.clock, asked.rate)

    def notes(self, run: ReplayRun) -> tuple[str, ...]:
        """What the journal does not know, and where the border is."""
        border = f"from {spoken(_border_ms(run) * MS)} on, {LEFT}"
        return (*self._source.notes(self._range(run)), border)

    def _range(self, run: ReplayRun) -> WindowRange:
        return WindowRange(run.since_us, run.until_us, (_border_ms(run) + self._delay_ms) * MS)

    async def prepared(self, run: ReplayRun) -> ReplayRun:
        """Count what is to be told, and hand over what is not."""
        total = 0
        async for _ in self._windows(run):
            total += 1
        await self._retelling.hand_over(self._source.past.members(), _border_ms(run))
        return replace(run, total=total)

    async def _windows(self, run: ReplayRun) -> AsyncIterator[tuple[PastWindow, bool]]:
        """What is to be told, in order, each with whether it is final."""
        asked = self._range(run)
        async for window in self._source.windows(asked):
            yield window, True
        alone, _ = self._source.past.left_alone()
        for window in self._source.chosen(asked, alone):
            yield window, False

    async def go(self, run: ReplayRun, told: Told) -> ReplayRun:
        """To the end. Raises: ReplayStopped."""
        most = self._pace.batch(self._mapping.settings.batch_size)
        batch: list[PastWindow] = []
        async for window, is_final in self._windows(run):
            if run.told is not None and window.place <= run.told:
                continue
            failure = await self._tell(run, window, is_final=is_final)
            if failure is not None:
                await self._stop(run, batch, window, failure)
            batch.append(window)
            if len(batch) >= most:
                run, batch = await self._saved(run, batch, told), []
        return await self._saved(run, batch, told) if batch else run

    async def _saved(self, run: ReplayRun, batch: Sequence[PastWindow], told: Told) -> ReplayRun:
        now_ms = self._ground.clock.now().wall_ms
        run = run.told_through(batch[-1].place, len(batch), now_ms)
        await save_run(self._ground, run, saved(self._ground.app, run))
        told(run)
        await self._pace.keep(len(batch))
        return run

    async def _tell(self, run: ReplayRun, window: PastWindow, *, is_final: bool) -> Failure | None:
        """Tell a window until it is done. Returns: why it is given up."""
        tries = Tries(self._ground.clock, self._mapping)
        while True:
            failure = await self._retelling.tell(window, run.begun_ms // SECOND, run.id, is_final=is_final)
            if failure is None or not await tries.may_follow(failure):
                return failure

    async def _stop(
        self, run: ReplayRun, batch: Sequence[PastWindow], window: PastWindow, failure: Failure
    ) -> NoReturn:
        """Save what came before the window that is given up, and say so. Raises: ReplayStopped."""
        if batch:
            run = run.told_through(batch[-1].place, len(batch), self._ground.clock.now().wall_ms)
        start, end = (spoken(edge_ms * MS) for edge_ms in window.span)
        await stand_still(
            self._ground, run, f"the window {start} to {end} of {window.group}: {failure.error}"
        )
