"""The real worker over scripted sources and a state store in memory, one process or several; nothing of the
engine is there.

Rules of this file: what a test sees is what the handler was given and what the rows say.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence, Sized
from typing import Any

from tailrace import App, Change, Park, Retry
from tailrace.app.sinking import AlwaysOpen
from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.entry import DeadLetter, parked_prefix, read_deadletter
from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.deadletters.core.requests import RedriveRequest
from tailrace.deadletters.run.redriver import Redriver
from tailrace.errors import StoreError
from tailrace.leases.lease import Owner
from tailrace.leases.member import Identity
from tailrace.mapping.batch import RETENTION_MS
from tailrace.ports import Action, Failed, Failure, Outcome, RecordBatch, Source, StateStore, Written
from tailrace.rows.kinds import CHECKPOINT, DEADLETTER, GAP, HEAD, LEASE, REDRIVE, words_of
from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.parts import Parts
from tailrace.stores.memory import MemoryStateStore
from tailrace.testing import ScriptedSource
from tailrace.worker.crew import Crew
from tailrace.worker.habits import Doors, Habits
from tailrace.worker.worker import Worker
from tests.patience import PATIENCE_S

DISCOVERY_MS = 1_000
ALL = 1_000
"""The weight of a worker beside which others have nothing."""
MOST_TURNS = 10_000
"""Far more than anything in memory needs to come to rest."""


async def at_rest() -> None:
    """Let everything else go on that can before time passes. Raises: AssertionError when that has no end."""
    others: Sized = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(MOST_TURNS):
        await asyncio.sleep(0)
        if not others:
            return
    raise AssertionError(f"{MOST_TURNS} turns, and something still goes on")


def app_of(**settings: Any) -> App:
    """An app with one handler, `note`."""
    app = App("shop")
    orders = app.table("orders", pk="id")

    def note(change: Change) -> None: ...

    app.on(orders, id="note", **{"retry": Retry(1), "on_failure": Park(), **settings})(note)
    return app


class Noted(AlwaysOpen):
    """What a handler is given, and the keys that it fails for now."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.failing: set[str] = set()
        self.slowness: Callable[[], Awaitable[None]] | None = None
        """What a call waits for; None: nothing."""

    async def write(self, batch: RecordBatch) -> Outcome:
        failures = {}
        if self.slowness is not None:
            await self.slowness()
        for place, record in enumerate(batch.records):
            key = record.key.decode()
            if key in self.failing:
                failures[place] = Failure(error=f"no such order: {key}")
            else:
                self.seen.append((key, record.sequence))
        return Failed(failures) if failures else Written()

    def repeated(self) -> list[tuple[str, int]]:
        """What was handed over more than once."""
        return [change for change, times in Counter(self.seen).items() if times > 1]

    def of(self, key: str) -> list[int]:
        """The numbers of a key's changes, in the order in which they came."""
        return [sequence for seen, sequence in self.seen if seen == key]


class Without:
    """A state store as one worker sees it: it can be cut off, and never gets the leases of these shards."""

    def __init__(self, state: StateStore, *shards: str) -> None:
        self._state = state
        self.shards = set(shards)
        self.is_cut = False

    def _check(self) -> None:
        if self.is_cut:
            raise StoreError("cut off")

    async def get(self, key: str) -> StateRow | None:
        self._check()
        return await self._state.get(key)

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        self._check()
        return await self._state.query(prefix, after=after, limit=limit)

    async def transact(self, writes: Sequence[Action]) -> None:
        self._check()
        for write in writes:
            if write.key.startswith(LEASE.prefix()) and words_of(write.key)[-1] in self.shards:
                raise StoreError("this shard is another worker's")
        await self._state.transact(writes)


class Process:
    """A worker of the app."""

    def __init__(self, delivery: "Delivery", owner: str, state: StateStore, weight: int) -> None:
        app, clock = delivery.app, delivery.clock
        self.state, self.clock, self.owner = state, clock, owner
        source = self.source_of(delivery)
        self.worker = Worker(
            app,
            Parts(state, clock),
            Doors(lambda _: source, lambda _: delivery.noted),
            Habits(
                Owner(owner),
                DISCOVERY_MS,
                3_000,
                delivery.retention_ms,
                Identity(owner, weight),
                delivery.hand_overs,
            ),
            self.crew,
        )
        self.task = asyncio.ensure_future(self.worker.run())
        delivery.processes.append(self)

    def source_of(self, delivery: "Delivery") -> Source:
        """How it reads the stream."""
        return delivery.source

    def crew(self, worker: Worker) -> Crew:
        """Who works beside its drivers."""
        redriver = Redriver(worker.app.name, self.state, self.clock, worker, worker.sinks)
        return Crew(redriver=redriver)

    def parked_keys(self) -> dict[str, int]:
        """How many parked keys each shard knows of that is read now."""
        return {status.shard_id: status.parked_keys for status in self.worker.status()}

    async def stop(self) -> None:
        """Drain and end."""
        self.worker.stop()
        await self.task

    async def kill(self) -> None:
        """End as a process does that is killed: nothing more is saved."""
        self.task.cancel()
        await asyncio.wait([self.task])


class Delivery:
    """A scripted source, a state store, and the processes that deliver."""

    def __init__(self, digits: int = 40, retention_ms: int = RETENTION_MS, **settings: Any) -> None:
        self.retention_ms = retention_ms
        self.hand_overs = 1
        self.clock = ManualClock()
        self.source = ScriptedSource("orders", digits=digits, now_ms=lambda: self.clock.now().wall_ms)
        self.state: StateStore = MemoryStateStore()
        self.app = app_of(**settings)
        self.noted = Noted()
        self.processes: list[Process] = []

    def start(self, owner: str = "one", state: StateStore | None = None, weight: int = 1) -> Process:
        """One more process. Shape: `state` is how it sees the state store, if not as the others do; one of a
        large `weight` (`ALL`) keeps every shard.
        """
        return Process(self, owner, state or self.state, weight)

    async def rest(self, seconds: int = 15) -> None:
        """Let everything come to rest, and the time pass; by default long enough for a lease to expire."""
        for _ in range(seconds):
            await self._turns()
            self.clock.advance(1_000)
        await self._turns()

    async def _turns(self) -> None:
        await at_rest()
        for process in self.processes:
            if process.task.done() and not process.task.cancelled():
                process.task.result()  # what ended a worker is what went wrong

    async def ask(self, request: RedriveRequest) -> None:
        """What a verb does that runs in a process of its own."""
        await self.state.transact([Write(REDRIVE.key("shop", request.id), request.fields())])

    async def parked(self) -> list[DeadLetter]:
        """Every change that is parked, in the order of its rows."""
        rows = await self.state.query(parked_prefix("shop", "note"))
        return [read_deadletter(row.fields) for row in rows]

    async def discarded(self) -> list[DeadLetter]:
        """Every change that was discarded, in the order of its rows."""
        rows = await self.state.query(DEADLETTER.prefix("shop", "note"))
        return [read_deadletter(row.fields) for row in rows]

    async def heads(self) -> list[dict[str, Any]]:
        """The rows of parked keys."""
        return [dict(row.fields) for row in await self.state.query(HEAD.prefix("shop", "note"))]

    async def gaps(self) -> list[Gap]:
        """What is told to be lost."""
        return [read_gap(row.fields) for row in await self.state.query(GAP.prefix("shop", "note"))]

    async def checkpoints(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The rows of checkpoints by stream and shard."""
        rows = await self.state.query(CHECKPOINT.prefix("shop", "note"))
        return {(words_of(row.key)[3], words_of(row.key)[4]): dict(row.fields) for row in rows}


def delivered(
    story: Callable[[Delivery], Awaitable[None]],
    digits: int = 40,
    retention_ms: int = RETENTION_MS,
    **settings: Any,
) -> None:
    """Run a story in a loop of its own."""

    async def told() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story(Delivery(digits, retention_ms, **settings))

    asyncio.run(told())


def is_in_order(numbers: Sequence[int]) -> bool:
    """Whether numbers only rise."""
    return list(numbers) == sorted(set(numbers))
