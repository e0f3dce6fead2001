"""Looks at the handlers of an app now and then, and tells what begins, lasts and ends until it was heard.

Theory of operation: a look makes signs, alerts/core decides, and each change of an alert's row is one
compare-and-set: whoever is refused looks again the next time. What is to be told stands in the row; each sink
has a task of its own for it, which lives while there is something to tell, so that one that hangs holds up
neither looks nor the other sinks. A sink that fails is an outage: told in the log once, tried again with
back-off, for ever, and told when it is over.
Rules of this file: it reads and writes rows of alerts alone, and nothing that it meets reaches delivery. Made
by compose_parts.py, run by worker/worker.py beside the drivers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from tailrace.alerts.core.row import (
    AlertNotice,
    AlertRow,
    Observer,
    advanced,
    alert_key,
    alert_write,
    claimed,
    grown,
    read_alert,
    stepped,
    told_to,
    without_sinks,
)
from tailrace.alerts.core.signs import KINDS_OF_ALERT, AlertKind, HandlerSigns, holding
from tailrace.alerts.core.words import NEXT, PHRASES, alert_message
from tailrace.app.alerting import AlertPlan, AlertSink
from tailrace.app.fence import FENCE, told
from tailrace.errors import PortError, StateConflict
from tailrace.mapping.retry import delay_ms
from tailrace.mapping.settings import Backoff
from tailrace.ports import Clock, StateStore
from tailrace.rows.kinds import ALERT
from tailrace.runtime.pages import rows

LOG: Final = logging.getLogger("tailrace.alerts")
LOOK_MS: Final = 30_000
"""How often a worker looks: each look asks the state a handful of questions a handler."""
LOOKS_TO_END: Final = 3
"""An alert ends when no worker has seen it for so many looks."""
TRY_MS: Final = 60_000
"""So long one try of a sink may take; then it is cut off, and counts as failed."""
BACKOFF: Final = Backoff(1_000, 2.0, 60_000)


class AlertWatch:
    """The alerts of one app, as one worker watches them. Shape: `name` is the worker's. Units: look_ms
    between looks.
    """

    def __init__(
        self,
        app: str,
        state: StateStore,
        clock: Clock,
        name: str,
        plan: AlertPlan,
        look: Callable[[], Awaitable[Sequence[HandlerSigns]]],
        look_ms: int = LOOK_MS,
    ) -> None:
        self._app = app
        self._state = state
        self._clock = clock
        self._sinks, self._bounds = plan.sinks, plan.bounds
        self._look = look
        self._look_ms = look_ms
        self._fresh = Observer(name, len(plan.sinks), LOOKS_TO_END * look_ms)
        self._observers: dict[str, Observer] = {}
        self._telling: dict[int, asyncio.Task[None]] = {}
        self._heard: set[tuple[str, int]] = set()
        """Notices that a sink has taken, while their rows cannot say so yet."""
        self._away: set[int] = set()

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    with suppress(PortError):  # the state or a stream is failing, which others tell
                        await self._round(tasks)
                    await self._rest(self._look_ms)
        finally:
            for sink in self._sinks:
                with (
                    suppress(Exception),
                    FENCE,
                ):  # what a sink of the user's raises at its end changes nothing
                    await sink.close()

    async def _rest(self, milliseconds: int) -> None:
        await self._clock.sleep_until(self._clock.now().monotonic_ms + milliseconds)

    # ---- looking -------------------------------------------------------------------------------------------

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        """Look once, write what has changed, and have told what is to be told. Raises: PortError."""
        seen = await self._look()
        known = await self._rows()
        for signs in seen:
            for kind in KINDS_OF_ALERT:
                with suppress(StateConflict):  # another worker has written it: it is looked at the next time
                    await self._step(known.get(alert_key(self._app, signs.handler, kind)), signs, kind)
        self._have_told(await self._rows(), tasks)

    async def _rows(self) -> dict[str, AlertRow]:
        return {row.key: read_alert(row.fields) async for row in rows(self._state, ALERT.prefix(self._app))}

    async def _step(self, before: AlertRow | None, signs: HandlerSigns, kind: AlertKind) -> None:
        """One alert of one handler. Raises: StateConflict, StoreError."""
        row = before or AlertRow(kind, signs.handler, signs.table)
        now = self._clock.now()
        key = alert_key(self._app, signs.handler, kind)
        detail = holding(signs, self._bounds, row.level).get(kind)
        changed = row
        if kind == "dead letters":
            changed, is_growing = grown(row, signs.dead_letters, self._bounds, now)
            detail = (detail or row.detail) if is_growing else None
        if before is None and detail is None and not changed.is_needed:
            self._observers.pop(key, None)
            return
        observer = self._observers[key] = self._observers.get(key, self._fresh).look(row, now.monotonic_ms)
        after = stepped(row, advanced(changed, detail, self._bounds, observer, now))
        if after != row:
            await self._state.transact([alert_write(self._app, before, after)])
            self._say(row, after)

    def _say(self, before: AlertRow, after: AlertRow) -> None:
        if before.is_on != after.is_on:
            level, words = (logging.WARNING, after.detail) if after.is_on else (logging.INFO, "no longer")
            hint = NEXT[after.kind].format(handler=after.handler)
            extra = {"handler": after.handler, "table": after.table, "hint": hint}
            LOG.log(level, "%s %s: %s", after.handler, PHRASES[after.kind], words, extra=extra)

    # ---- telling -------------------------------------------------------------------------------------------

    def _have_told(self, known: Mapping[str, AlertRow], tasks: asyncio.TaskGroup) -> None:
        """A task for each sink that something is to be told to, and has none."""
        waiting = {number for row in known.values() for notice in row.notices for number in notice.left}
        for number in waiting:
            task = self._telling.get(number)
            if task is None or task.done():
                self._telling[number] = tasks.create_task(self._tell_all(number), name=f"alerts to {number}")

    async def _tell_all(self, number: int) -> None:
        """Tell a sink everything that this worker has to tell it, in order."""
        failures = 0
        while True:
            try:
                waiting = await self._next(number)
                if waiting is None:
                    return
                after_ms = await self._tell(number, *waiting)
            except PortError:  # the state is failing: the next look goes on
                return
            if after_ms is None:
                failures = 0
                continue
            failures += 1
            await self._rest(delay_ms(BACKOFF, failures, after_ms))

    async def _next(self, number: int) -> tuple[str, AlertRow, AlertNotice] | None:
        """What a sink is to be told next, oldest first; claimed. Raises: StoreError."""
        now_ms = self._clock.now().monotonic_ms
        mine: list[tuple[str, AlertRow, AlertNotice]] = []
        for key, row in (await self._rows()).items():
            observer = self._observers[key] = self._observers.get(key, self._fresh).look(row, now_ms)
            if any(left >= len(self._sinks) for notice in row.notices for left in notice.left):
                await self._change(key, lambda row: without_sinks(row, len(self._sinks)))
            elif observer.may_tell(row, now_ms):
                mine += [(key, row, notice) for notice in row.notices if number in notice.left][:1]
        if not mine:
            return None
        key, row, notice = min(mine, key=lambda waiting: waiting[2].at_ms)
        if row.claim != self._fresh.name:
            await self._change(key, lambda row: claimed(row, self._fresh.name))
        return key, row, notice

    async def _tell(self, number: int, key: str, row: AlertRow, notice: AlertNotice) -> int | None:
        """Tell one notice. Returns: how long to wait at least after a failure. Raises: StoreError."""
        message = alert_message(self._app, row, notice)
        if (message.id, number) not in self._heard:
            try:
                with FENCE:
                    await self._try(self._sinks[number], message.id, message.subject, message.body)
            except Exception as error:  # a sink may be the user's own code
                self._failed(number, error)
                await self._change(key, lambda row: claimed(row, self._fresh.name))
                return error.retry_after_ms if isinstance(error, PortError) else 0
            self._heard.add((message.id, number))
        if number in self._away:
            self._away.remove(number)
            LOG.info("%s takes alerts again", type(self._sinks[number]).__name__)
        await self._change(key, lambda row: told_to(row, notice, number))
        self._heard.discard((message.id, number))
        return None

    async def _try(self, sink: AlertSink, id: str, subject: str, body: bytes) -> None:
        """One try, cut off when it takes too long. Raises: whatever it raises, TimeoutError."""

        async def telling() -> None:
            await sink.open(self._clock)
            await sink.tell(id, subject, body)

        trying = asyncio.ensure_future(telling())
        over = asyncio.ensure_future(self._rest(TRY_MS))
        try:
            await asyncio.wait({trying, over}, return_when=asyncio.FIRST_COMPLETED)
            if not trying.done():
                raise TimeoutError(f"no answer within {TRY_MS // 1_000} s")
            trying.result()
        finally:
            trying.cancel()
            over.cancel()

    def _failed(self, number: int, error: Exception) -> None:
        if number not in self._away:
            self._away.add(number)
            hint = error.hint if isinstance(error, PortError) else None
            words = str(error.args[0]) if isinstance(error, PortError) and error.args else told(error)
            name = type(self._sinks[number]).__name__
            LOG.warning("%s takes no alerts: %s; it is tried again", name, words, extra={"hint": hint})

    async def _change(self, key: str, change: Callable[[AlertRow], AlertRow]) -> None:
        """Change a row, whatever else changes it meanwhile. Raises: StoreError."""
        while True:
            row = await self._state.get(key)
            before = None if row is None else read_alert(row.fields)
            after = None if before is None else change(before)
            if before is None or after is None or after == before:
                return
            with suppress(StateConflict):
                await self._state.transact([alert_write(self._app, before, after)])
                return
