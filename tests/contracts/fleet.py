"""Workers of a fleet over a scripted source and a state store in memory, with a backlog that none of them
handles: for tests of who sees to which shard.

Rules of this file: the handler is paused, so that everything waits; what is asked of the stream to be saved,
or to tell how far the handler is, is counted by worker and shard.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tailrace.deadletters.core.evacuated import LEAD_MS, read_evacuated
from tailrace.errors import SourceError
from tailrace.leases.lease import Owner
from tailrace.mapping.batch import RETENTION_MS
from tailrace.ports import ReadDone, Shard, Source
from tailrace.rows.kinds import EVACUATED, LEASE, PAUSE, UNREAD_DUTY, words_of
from tailrace.rows.writes import Write
from tailrace.runtime import evacuation
from tailrace.runtime.duties import Duties, Duty
from tailrace.runtime.recursion import pause_row
from tailrace.worker.crew import Crew
from tailrace.worker.watching import UnreadWatch
from tailrace.worker.worker import Worker
from tests.contracts.delivering import Delivery, Process, Without, at_rest, delivered

CHANGES = 900
"""Some two pages in each shard."""
STEP_MS = 3_000
"""Shorter than a lease."""
MINUTE_MS = 60_000


class Asked:
    """The source as one worker asks it; what is read to be saved is counted, by shard."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.pages: Counter[str] = Counter()
        self.aside: Counter[str] = Counter()
        self.fails = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        if limit == evacuation.PAGE:
            self.pages[shard.shard_id] += 1
            if self.fails:
                raise SourceError("denied")
        page: ReadDone = await self._source.read(shard, after, limit)
        return page


class Log:
    """What a worker asks beside its readers: nothing waits for a change."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        self._asked.aside[shard.shard_id] += 1
        records = self._asked._source._scripted(shard.shard_id).records
        page = [record for record in records if record.sequence > after][:limit]
        return ReadDone(page, page[-1].sequence if page else after)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked")


class Member(Process):
    """A worker of a fleet whose duties are rows."""

    asked: Asked
    duty: Duty
    watch: UnreadWatch

    def source_of(self, delivery: Delivery) -> Source:
        self.asked = Asked(delivery.source)
        return self.asked  # type: ignore[return-value]

    def crew(self, worker: Worker) -> Crew:
        self.duty = Duties(self.state, self.clock, Owner(self.owner)).of(UNREAD_DUTY.key("shop", "note"))
        self.watch = UnreadWatch(worker.unread, self.state, Log(self.asked), self.clock)
        return Crew(super().crew(worker).redriver, has_duty=lambda _: self.duty.may(), watch=self.watch)


class Fleet(Delivery):
    """Workers of one app, and a day-old backlog that none of them may handle."""

    def __init__(self) -> None:
        super().__init__(digits=27)
        self.members: list[Member] = []
        self.numbers: set[int] = set()

    async def begin(self, before_ms: int, shards: int = 6, changes: int = CHANGES) -> None:
        """A backlog that is due to be saved after that time."""
        await self.state.transact([Write(PAUSE.key("shop", "note"), pause_row("note", 1))])
        self.source.begin(shards=shards)
        self.numbers = {self.source.write(f"o{number}") for number in range(changes)}
        self.clock.advance(RETENTION_MS - LEAD_MS - before_ms)

    def join(self, owner: str, *without: str, weight: int = 1) -> Member:
        member = Member(self, owner, Without(self.state, *without), weight)
        self.members.append(member)
        return member

    async def pass_ms(self, milliseconds: int) -> None:
        """Time, in steps in which heartbeats are written."""
        for _ in range(milliseconds // STEP_MS):
            await at_rest()
            self.clock.advance(STEP_MS)
        await at_rest()
        for member in self.members:
            if member.task.done() and not member.task.cancelled():
                member.task.result()

    async def saved(self) -> set[int]:
        """The numbers of the changes that the stream may forget."""
        rows = await self.state.query(EVACUATED.prefix("shop", "note"))
        return {read_evacuated(row.fields).sequence for row in rows}

    async def owners(self) -> dict[str, str]:
        rows = await self.state.query(LEASE.prefix("shop"))
        return {words_of(row.key)[-1]: row.fields["owner"] for row in rows}

    def pages(self) -> Counter[str]:
        """What all workers together have asked for, by shard."""
        return sum((member.asked.pages for member in self.members), Counter())

    def aside(self) -> Counter[str]:
        """What all workers together have asked for to tell how far the handler is, by shard."""
        return sum((member.asked.aside for member in self.members), Counter())

    async def end(self) -> None:
        for member in self.members:
            if not member.task.done():
                await member.kill()


def told(story: Callable[[Fleet], Awaitable[None]]) -> None:
    async def telling() -> None:
        fleet = Fleet()
        try:
            await story(fleet)
        finally:
            await fleet.end()

    delivered(lambda _: telling())
