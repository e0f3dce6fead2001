"""The replay: time moves on in steps, each step's flights are written, handlers keep up, and the node may be
killed.

Rules of this file: the clock moves by at most SLACK beyond the oldest change that is not settled, so that the
trim after 24 hours never overtakes a handler. Time is only what the node's clock says; the wall clock is for
the figures. Called by `demo`, which shows `Progress`.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from . import data_stream
from .asking import QUESTIONS, Answer, Charts
from .killing import ANY_MOMENT, Kill, Planned, Witness, is_enough
from .node import Node
from .writing import Client, DemoFailure, request_of

T = TypeVar("T")
CONNECTIONS: Final = 16
MINUTE_MS: Final = 60_000
STEP_MINUTES: Final = 30
"""How far time moves between two batches of writes."""
SLACK_MS: Final = 6 * 60 * MINUTE_MS
"""How far behind the clock a handler may be before the clock waits, and how far it goes without asking."""
TELL_S: Final = 0.2
PUSH_S: Final = 0.5
STUCK_S: Final = 60.0
"""Without any progress for so long, something is wrong."""
HANDLERS: Final = ("statistics", "alerts")
ASKED: Final = 20
"""How often the questions are asked on the way: as often as a line of their charts has room for, about."""


@dataclass(slots=True)
class Progress:
    """Live figures. Units: lag_ms in the time of 2013, seconds of the wall clock."""

    total: int
    written: int = 0
    flights: int = 0
    late: int = 0
    alerts: int = 0
    settled: int = 0
    is_waiting: bool = True
    lag_ms: int = 0
    now_ms: int = 0
    seconds: float = 0.0
    is_over: bool = False
    kills: list[Kill] = field(default_factory=list)

    @property
    def finished_kills(self) -> list[Kill]:
        """Kills of which it is known what they made happen twice: all but the last, until all is over."""
        return self.kills if self.is_over else self.kills[:-1]


OnProgress = Callable[[Progress], None]


class Replay:
    """One run over all writes. `planned`: the kills on the way. `over_kinesis`: changes come over a data
    stream, and `faults` says in the end what happened to them.
    """

    def __init__(
        self,
        node: Node,
        writes: Sequence[Any],
        planned: Sequence[Planned],
        *,
        followers: int = 0,
        over_kinesis: bool = False,
    ) -> None:
        self._node = node
        self._mappings = len(HANDLERS) + followers
        self._client = Client(node.port, CONNECTIONS)
        self._writes = writes
        self.charts = Charts() if followers else None
        self._over_kinesis = over_kinesis
        self._step_minutes = data_stream.STEP_MINUTES if over_kinesis else STEP_MINUTES
        self.faults: data_stream.Faults | None = None
        self._planned = list(planned)
        self.on_progress: OnProgress = lambda progress: None
        self._witness = Witness(node.calls) if planned else None
        self._armed: Planned | None = None
        self._kill_at = 0
        self._wall_ms = (writes[0].instant - STEP_MINUTES) * MINUTE_MS
        self._checked_ms = self._wall_ms
        self._is_over = False
        self._begun = time.monotonic()
        self.progress = Progress(len(writes))

    async def run(self) -> tuple[list[Any], list[Any]]:
        """Replay everything; the items of `statistics` and `alerts` at the end. Raises: DemoFailure."""
        try:
            await self._run_all()
            self._close_kill()
            self._measure()
            self.progress.is_over = True
            return await self._client.scan("statistics"), await self._client.scan("alerts")
        except BaseExceptionGroup as group:
            raise first_of(group) from group
        finally:
            self._client.close()
            self._node.stop()

    async def _run_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_running())
            await self._until_there_are_tables()
            if self._over_kinesis:
                await data_stream.lay(self._client)
            teller = group.create_task(self._keep_telling())
            await self._write_everything()
            if self._over_kinesis:
                await self._until_copied()
            await self._until_settled()
            await self._question()
            self._is_over = True
            await keeper
            teller.cancel()

    async def _until_there_are_tables(self) -> None:
        """The node listens a moment before it has made the application's tables."""
        since = time.monotonic()
        while time.monotonic() - since < STUCK_S:
            await self._client.is_up.wait()
            try:
                await self._client.scan("alerts")
                return
            except (OSError, DemoFailure):
                await asyncio.sleep(0.01)
        raise DemoFailure(f"The application has no tables after {STUCK_S:g} s:\n{self._node.tail()}")

    # ---- writing -------------------------------------------------------------------------------------------

    async def _write_everything(self) -> None:
        asked = len(self._writes) // ASKED
        for minute, writes in steps(self._writes, self._step_minutes):
            await self._move_clock(minute * MINUTE_MS)
            await self._client.write([request_of(write) for write in writes])
            if self._client.written >= asked:
                asked += max(1, len(self._writes) // ASKED)
                with suppress(DemoFailure):  # the first flights may not have arrived yet
                    await self._question()
            for write in writes:
                self.progress.flights += write.is_first
                self.progress.late += int(write.changes.get("departure_delay", 0)) > 60

    async def _move_clock(self, wall_ms: int) -> None:
        """Move time on, once no handler is too far behind. Repeated until the node has answered."""
        if wall_ms - self._checked_ms > SLACK_MS:
            # What is young now may be old then: the flights of a sample can be days apart.
            await self._until(
                lambda: (
                    not self.progress.is_waiting or self.progress.lag_ms + wall_ms - self._wall_ms <= SLACK_MS
                )
            )
            self._checked_ms = wall_ms
        hop_ms = data_stream.STEP_MINUTES * MINUTE_MS
        while self._over_kinesis and wall_ms - self._wall_ms > hop_ms:
            # What is late must not be later than it was to be: time does not jump over it.
            await self._set_clock(self._wall_ms + hop_ms)
        await self._set_clock(wall_ms)
        self.progress.now_ms = self._wall_ms

    async def _set_clock(self, wall_ms: int) -> None:
        self._wall_ms = max(self._wall_ms, wall_ms)
        await self._ask("clock.set", wall_ms=self._wall_ms)

    async def _until_copied(self) -> None:
        """Everything is in the data stream, what was late and what comes again, too. Raises: DemoFailure."""
        await self._move_clock(self._wall_ms + 3 * data_stream.LATE_MINUTES * MINUTE_MS)
        before, since = data_stream.Faults(0, 0, 0, 0), time.monotonic()
        while (now := await data_stream.read(self._client)) != before or now.changes < len(self._writes):
            if now != before:
                before, since = now, time.monotonic()
            if time.monotonic() - since > STUCK_S:
                raise DemoFailure(f"The data stream has only this: {now}.\n{self._node.tail()}")
            await asyncio.sleep(PUSH_S)
        self.faults = now

    async def _until_settled(self) -> None:
        """Every write has made one change, and every handler has settled every change."""
        await self._move_clock(self._wall_ms + MINUTE_MS)
        # Handlers settle every record that they read, also one that is there twice.
        twice = 0 if self.faults is None else self.faults.twice
        expected = len(self._writes) * self._mappings + twice * len(HANDLERS)
        await self._until(lambda: self.progress.settled >= expected and not self.progress.is_waiting)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Ask until it is so. Raises: DemoFailure when nothing moves any more."""
        before, since = self._movement(), time.monotonic()
        while True:
            await self._refresh()
            if is_so():
                return
            if (now := self._movement()) != before:
                before, since = now, time.monotonic()
            still = time.monotonic() - since
            if still > STUCK_S:
                raise DemoFailure(
                    f"Nothing has moved for {STUCK_S:g} s: {self.progress}\n{self._node.tail()}"
                )
            if still > PUSH_S:
                # A handler that backs off waits for this clock, and only the replay moves it.
                self._wall_ms += 1_000
                await self._ask("clock.set", wall_ms=self._wall_ms)
            await asyncio.sleep(0.01)

    def _movement(self) -> tuple[int, int, int]:
        return self.progress.settled, self._client.written, len(self.progress.kills)

    # ---- asking --------------------------------------------------------------------------------------------

    async def _ask(self, verb: str, **arguments: object) -> Any:
        """An answer, however often the node dies meanwhile."""
        return await self._until_answered(lambda: self._node.ask(verb, **arguments))

    async def _until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            await self._client.is_up.wait()
            try:
                return await ask()
            except OSError:
                await asyncio.sleep(0.005)

    async def _question(self) -> None:
        """Ask the DuckDB table, where there is one. Raises: DemoFailure in the node's words."""
        if self.charts is not None:
            self.charts.add([await self._answer(question.sql) for question in QUESTIONS])

    async def _answer(self, sql: str) -> Answer:
        pages = await self._until_answered(lambda: self._node.ask_all("sql", sql=sql))
        return {**pages[0], "rows": [row for page in pages for row in page["rows"]]}

    async def _refresh(self) -> None:
        """Read lag and what is settled."""
        handlers = (await self._ask("status"))["handlers"]
        self.progress.lag_ms = max((handler["lag_ms"] for handler in handlers), default=0)
        self.progress.is_waiting = any(handler["waiting"] for handler in handlers)
        self.progress.settled = sum(sum(handler["settled"].values()) for handler in handlers)
        if discarded := sum(handler["dead_letters"] for handler in handlers):
            raise DemoFailure(f"{discarded} changes were given up.\n{self._node.tail()}")

    async def _keep_telling(self) -> None:
        while True:
            begun = time.monotonic()
            try:
                rows = await self._client.scan("statistics") if self._client.is_up.is_set() else []
            except (OSError, DemoFailure):
                rows = []  # the node is away
            if rows:
                carriers = [row for row in rows if row["id"]["S"].startswith("carrier ")]
                self.progress.alerts = sum(int(row.get("late", {"N": "0"})["N"]) for row in carriers)
                await self._refresh()
            self._measure()
            self.on_progress(self.progress)
            # Looking must not cost the node more than a tenth of its time.
            await asyncio.sleep(max(TELL_S, 9 * (time.monotonic() - begun)))

    def _measure(self) -> None:
        self.progress.written = self._client.written
        self.progress.seconds = time.monotonic() - self._begun

    # ---- the process that comes and goes -------------------------------------------------------------------

    async def _keep_running(self) -> None:
        """Start the node, and again after each kill, until everything is written and no kill is left."""
        plan = iter(self._planned)
        while True:
            self._armed = next(plan, None)
            self._kill_at = self._client.written + (self._armed.passing if self._armed else 0)
            self._client.run += 1
            self._node.start(
                self._wall_ms, self._armed and self._armed.crash_at, note_calls=self._witness is not None
            )
            if await self._node.wait_until_answering():
                self._client.is_up.set()
                if not await self._until_killed():
                    return
            await self._record_kill()

    async def _until_killed(self) -> bool:
        """Whether the node died, by itself or because the plan says any moment; False when all is done."""
        while not self._node.is_dead():
            if self._is_over:
                if self._armed and not is_enough([kill.point for kill in self.progress.kills]):
                    raise DemoFailure(f"The flights ran out before this kill: {self._armed}.")
                return False
            is_ours = self._armed is not None and self._armed.point == ANY_MOMENT
            if is_ours and self._client.written >= self._kill_at:
                self._node.kill()
            await asyncio.sleep(0.002)
        return True

    async def _record_kill(self) -> None:
        """Note what was in flight. The node is dead, so its store is read here."""
        self._client.is_up.clear()
        self._close_kill()
        assert self._armed is not None
        assert self._witness is not None
        unsettled = self._witness.unsettled(self._node.positions(self._wall_ms))
        self.progress.kills.append(
            Kill(self._armed.point, self._armed.passing, self._client.written, unsettled)
        )

    def _close_kill(self) -> None:
        """Note what the last kill made happen twice."""
        if self._witness is None:
            return
        repeated = self._witness.repeated()
        if self.progress.kills:
            number, kill = len(self.progress.kills), self.progress.kills[-1]
            kill.calls_repeated = repeated
            kill.writes_in_flight = self._client.lost[number]
            kill.writes_repeated = self._client.repeated[number]


def steps(writes: Sequence[Any], minutes: int = STEP_MINUTES) -> Iterator[tuple[int, list[Any]]]:
    """Writes that fall into the same minutes, half an hour mostly, with the first of them."""
    for step, group in itertools.groupby(writes, lambda write: write.instant // minutes):
        yield step * minutes, list(group)


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure inside nested groups: the one to tell."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
