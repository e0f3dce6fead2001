"""Pauses: what people, and the guard against loops, want of an app's mappings, as its worker comes to know
it.

Theory of operation: a pause is a row, and stands until an operator removes it; so it holds for every process
that runs the app, now and after a restart. A worker reads the rows before anything begins, again before each
shard that it begins, and now and then; who is in the same process asks it to look at once. What a worker
writes about them only says that it has seen them. A mapping that has paused by itself says so in its
checkpoint: the operator who lets it go on names that suspension in a row, which ends this one and no later
one. Rules of this file: rows first, then the machines are told; nothing is told that no row says. Made by
worker/worker.py. Source: growth §2.3.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from tailrace.mapping.commands import Pause, Resume
from tailrace.ports import Clock, StateStore
from tailrace.rows.bounds import slices
from tailrace.rows.kinds import PAUSE, PAUSE_SEEN, RESUMED
from tailrace.rows.writes import VERSION, StateRow, Write, readable

if TYPE_CHECKING:
    from tailrace.runtime.driver import Driver

Suspension: TypeAlias = tuple[str, str, int]
"""A mapping has paused by itself: the label of the stream, the shard, and since when, in milliseconds since
the epoch.
"""


def resumed_row(handler: str, suspensions: Iterable[Suspension]) -> dict[str, Any]:
    """The row that ends these suspensions of a mapping."""
    return {"v": VERSION, "id": handler, "suspensions": [list(suspension) for suspension in suspensions]}


def ended_suspensions(fields: Mapping[str, Any] | None) -> frozenset[Suspension]:
    """Those that an operator has ended. Raises: StoreError when the row's format is not known."""
    if fields is None:
        return frozenset()
    return frozenset(
        (label, shard_id, since_ms)
        for label, shard_id, since_ms in readable(fields, "resumed")["suspensions"]
    )


class Pauses:
    """The pauses of one app in one worker.

    Shape:   `owner` is how the worker is called in what it acknowledges; `drivers_of` a mapping are those
             that run here; `resumed` is awaited before a mapping goes on that was paused.
    """

    def __init__(
        self,
        app: str,
        state: StateStore,
        clock: Clock,
        owner: str,
        drivers_of: Callable[[str], Sequence["Driver"]],
        resumed: Callable[[str], Awaitable[None]],
    ) -> None:
        self._app = app
        self._state = state
        self._clock = clock
        self._owner = owner
        self._drivers_of = drivers_of
        self._resumed = resumed
        self._since: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self._asked = 0
        self._learned: dict[str, int] = {}
        """The number of the question whose answer was learned last, by mapping."""

    def is_paused(self, mapping_id: str) -> bool:
        """Whether a row said so when it was last read."""
        return mapping_id in self._since

    async def look(self) -> None:
        """Read every row and tell the machines. Raises: StoreError."""
        paused = {str(row.fields["id"]): row for row in await self._state.query(PAUSE.prefix(self._app))}
        for mapping_id in self._since.keys() | paused.keys():
            await self._learn(mapping_id, paused.get(mapping_id))
        for row in await self._state.query(RESUMED.prefix(self._app)):
            self._end(str(row.fields["id"]), row)
        await self._acknowledge()

    async def look_at(self, mapping_id: str) -> None:
        """Read the rows of one mapping, which is about to begin. Raises: StoreError.

        Many shards of it may begin beside each other: what was asked for before another answer that has been
        learned is not learned after it.
        """
        self._asked += 1
        asked = self._asked
        row = await self._state.get(PAUSE.key(self._app, mapping_id))
        if asked > self._learned.get(mapping_id, 0):
            self._learned[mapping_id] = asked
            await self._learn(mapping_id, row)

    def note(self, mapping_id: str, since_ms: int) -> None:
        """This process itself has just written the row of a pause."""
        self._since[mapping_id] = since_ms
        for driver in self._drivers_of(mapping_id):
            driver.tell(Pause())

    async def _learn(self, mapping_id: str, row: StateRow | None) -> None:
        before, now = self._since.get(mapping_id), None if row is None else int(row.fields["since_ms"])
        if before == now:
            return
        if before is not None:  # also where it was paused anew since: in between it was let go on
            await self._resumed(mapping_id)
            if self._since.get(mapping_id) == before:  # or a shard that began meanwhile has learned it
                del self._since[mapping_id]
                for driver in self._drivers_of(mapping_id):
                    driver.tell(Resume())
        if now is not None:
            self.note(mapping_id, now)

    def _end(self, mapping_id: str, row: StateRow) -> None:
        ended = ended_suspensions(row.fields)
        for driver in self._drivers_of(mapping_id):
            suspended = driver.machine.suspended
            if suspended is not None and (*driver.shard.place, suspended.since_ms) in ended:
                driver.tell(Resume())
                if self.is_paused(mapping_id):
                    driver.tell(Pause())

    async def _acknowledge(self) -> None:
        """Say what this worker has seen; of a pause that is over that is of no use."""
        for mapping_id in self._seen.keys() - self._since.keys():
            rows = await self._state.query(PAUSE_SEEN.prefix(self._app, mapping_id))
            for some in slices(rows):
                await self._state.transact([Write(row.key, None) for row in some])
            del self._seen[mapping_id]
        for mapping_id, since_ms in self._since.items():
            if self._seen.get(mapping_id) != since_ms:
                now_ms = self._clock.now().wall_ms
                fields = {"v": VERSION, "owner": self._owner, "since_ms": since_ms, "at_ms": now_ms}
                await self._state.transact(
                    [Write(PAUSE_SEEN.key(self._app, mapping_id, self._owner), fields)]
                )
                self._seen[mapping_id] = since_ms
