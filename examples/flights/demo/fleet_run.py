"""The flights written to a fleet: workers die and others come while they are written, and who took over what
is seen from outside.

Rules of this file: one seed decides whom a kill meets and when, counted in writes. The writer runs ahead of
the handlers by at most `AHEAD` changes, so that kills meet workers at work. Called by `fleet_words`, which
shows `FleetProgress`.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .fleet import HANDLERS, DemoFleet, DemoWorker
from .node import POLL_S
from .replaying import CONNECTIONS, STUCK_S, first_of, steps
from .writing import Client, DemoFailure, request_of

AHEAD: Final = 3_000
KILLS_A_WORKER: Final = 2
LOOK_S: Final = 0.1


@dataclass(slots=True)
class WorkerKill:
    """A kill, and what followed. Shape: `shards` it held; `heirs` number of a worker → how many of them it
    took over, empty until all have a new owner; `successor` came in its place. Units: seconds from the kill
    until all had one.
    """

    victim: int
    written: int
    shards: frozenset[str]
    successor: int
    heirs: Mapping[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    def as_json(self) -> dict[str, object]:
        """For --json."""
        return {
            "killed": self.victim,
            "written": self.written,
            "shards": len(self.shards),
            "taken_over_by": {str(number): shards for number, shards in self.heirs.items()},
            "seconds": round(self.seconds, 3),
            "came_in_its_place": self.successor,
        }


@dataclass(slots=True)
class FleetProgress:
    """Live figures. Units: seconds."""

    total: int
    written: int = 0
    settled: int = 0
    flights: int = 0
    seconds: float = 0.0
    now_ms: int = 0
    kills: list[WorkerKill] = field(default_factory=list)
    """Those of which it is known who took over."""
    calls: int = 0
    repeated: int = 0


def kills_at(seed: int, writes: int, size: int) -> list[tuple[int, float]]:
    """After how many writes each kill comes, and whom it meets: a number below 1.

    >>> [0 < after < 900 for after, _ in kills_at(7, 900, 3)] == [True] * 6
    True
    """
    chance = random.Random(seed)
    count = KILLS_A_WORKER * size
    share = writes / (count + 1)
    return [
        (int(share * (number + chance.uniform(-0.3, 0.3))), chance.random()) for number in range(1, count + 1)
    ]


class FleetRun:
    """One run over all writes."""

    def __init__(self, fleet: DemoFleet, writes: Sequence[Any], seed: int) -> None:
        self._fleet = fleet
        self._client = Client(fleet.port, CONNECTIONS)
        self._writes = writes
        self._planned = kills_at(seed, len(writes), fleet.size)
        self._killed = 0
        self._begun = time.monotonic()
        self.progress = FleetProgress(len(writes))
        self.on_progress: Callable[[FleetProgress], None] = lambda progress: None

    async def run(self) -> tuple[list[Any], list[Any]]:
        """Write everything; the items of `statistics` and `alerts` at the end. Raises: DemoFailure."""
        try:
            await self._fleet.begin(self._client)
            self._begun = time.monotonic()
            async with asyncio.TaskGroup() as group:
                killing = group.create_task(self._kill_now_and_then())
                await self._write_everything()
                await killing
                await self._until(lambda: self.progress.settled >= self._wanted)
            self._count_calls()
            return await self._client.scan("statistics"), await self._client.scan("alerts")
        except BaseExceptionGroup as several:
            raise first_of(several) from several
        finally:
            self._client.close()
            self._fleet.end()

    @property
    def _wanted(self) -> int:
        return len(HANDLERS) * self._client.written

    async def _write_everything(self) -> None:
        for minute, writes in steps(self._writes):
            self.progress.now_ms = minute * 60_000
            await self._client.write([request_of(write) for write in writes])
            self.progress.flights += sum(write.is_first for write in writes)
            if self._is_ahead():
                await self._until(lambda: not self._is_ahead())

    def _is_ahead(self) -> bool:
        """Whether the writer waits: for the handlers, or for a kill that is due here."""
        due = sum(after <= self._client.written for after, _ in self._planned)
        return due > self._killed or self._wanted - self.progress.settled > AHEAD * len(HANDLERS)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Look until it is so. Raises: DemoFailure when nothing moves any more."""
        before, since = self._movement(), time.monotonic()
        while True:
            self.progress.settled = await self._fleet.settled()
            self.progress.written = self._client.written
            self.progress.seconds = time.monotonic() - self._begun
            self.on_progress(self.progress)
            if is_so():
                return
            if (now := self._movement()) != before:
                before, since = now, time.monotonic()
            if time.monotonic() - since > STUCK_S:
                raise DemoFailure(f"Nothing has moved for {STUCK_S:g} s: {self.progress}")
            await asyncio.sleep(LOOK_S)

    def _movement(self) -> tuple[int, int, int]:
        return self.progress.settled, self._client.written, len(self.progress.kills)

    # ---- kills ---------------------------------------------------------------------------------------------

    async def _kill_now_and_then(self) -> None:
        for after, choice in self._planned:
            while self._client.written < after:
                await asyncio.sleep(POLL_S)
            kill = await self._kill(choice)
            self.progress.kills.append(kill)

    async def _kill(self, choice: float) -> WorkerKill:
        """Kill a worker that holds shards, start another one, and see who takes over."""
        victim, shards = await self._chosen(choice)
        begun = time.monotonic()
        victim.process.kill()
        victim.process.wait()
        self._killed += 1
        successor = self._fleet.start()
        kill = WorkerKill(victim.number, self._client.written, shards, successor.number)
        while not (heirs := self._heirs(victim, shards, await self._fleet.owners())):
            if time.monotonic() - begun > STUCK_S:
                raise DemoFailure(f"Shards of worker {victim.number} have no owner for {STUCK_S:g} s.")
            await asyncio.sleep(LOOK_S)
        kill.heirs, kill.seconds = heirs, time.monotonic() - begun
        await self._fleet.begun(successor)
        return kill

    async def _chosen(self, choice: float) -> tuple[DemoWorker, frozenset[str]]:
        while True:
            owners, living = await self._fleet.owners(), self._fleet.living()
            held = {
                worker.number: [key for key, name in owners.items() if name == worker.name]
                for worker in living
            }
            at_work = [worker for worker in living if held[worker.number]]
            if len(at_work) > 1:
                victim = at_work[int(choice * len(at_work))]
                return victim, frozenset(held[victim.number])
            await asyncio.sleep(LOOK_S)

    def _heirs(
        self, victim: DemoWorker, shards: frozenset[str], owners: Mapping[str, str]
    ) -> Mapping[int, int]:
        """Who has its shards, when all of them have a new owner; empty before."""
        numbers = {
            worker.name: worker.number for worker in self._fleet.workers if worker.name or worker.has_begun
        }
        heirs = Counter(numbers.get(owners.get(key, ""), victim.number) for key in shards)
        return {} if victim.number in heirs else dict(sorted(heirs.items()))

    def _count_calls(self) -> None:
        """How often handlers were called, and how often for a change that they had been called for."""
        calls = Counter(self._fleet.calls.read_text().splitlines())
        self.progress.calls = calls.total()
        self.progress.repeated = calls.total() - len(calls)
