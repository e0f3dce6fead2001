"""The numbers of sources beside rows: what a sink or a projection keeps there is adopted by the state, kept
again, or refused.

Theory of operation: versions are only comparable inside one history of numbers. Rows outlive the state that
gave the numbers (a lost directory, an emptied state table), and the state outlives rows. So (1) who numbers
the first stream of a table asks every place with rows of it first, and goes on from there; (2) no row is
written before the numbers are beside the rows, those of resets too; (3) a place of another history gets
nothing: its mapping waits, as in an outage, and says why. A place that contradicts another one is left out by
(1), for (3) names it. One that does not answer keeps its own mapping waiting, and what it may know is left
room for; but what was done for a change that marks know cannot be undone, so marks are waited for.
Rules of this file: it decides nothing about numbers (leases/generation.py does). Places are made by
sinks/making.py. Source: growth §2.2.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress

from msgspec import Struct

from tailrace.errors import PortError, SettingsError, StateConflict, Unavailable
from tailrace.leases.generation import BEFORE, Generations, check_kept, read_generations, sources_key
from tailrace.ports import Clock, Outcome, RecordBatch, Sink, StateStore, Versioned
from tailrace.rows.kinds import MARK
from tailrace.streams.version import FIRST_GENERATION


class VersionedRows(Struct, frozen=True):
    """A place with rows of a table's changes. Shape: `name` says to people what it is; it is ready within
    `opened`. `is_of_marks`: what is applied there again under a newer number is done again.
    """

    name: str
    place: Versioned
    opened: Callable[[], AbstractAsyncContextManager[None]]
    is_of_marks: bool = False

    async def told(self) -> Mapping[str, int]:
        """The numbers that are kept there. Raises: what the place raises."""
        async with self.opened():
            return await self._told()

    async def agree(self, numbers: Generations) -> None:
        """Keep these there. Raises: SettingsError when those that are there are of another history; what the
        place raises.
        """
        async with self.opened():
            numbers.with_kept(await self._told(), self.name)
            await self.place.keep_sources(numbers.kept)

    async def _told(self) -> Mapping[str, int]:
        try:
            return await self.place.sources()
        except (SettingsError, PortError):
            raise
        except Exception as error:  # a user's sink: whatever it raises, no change is at fault
            raise Unavailable(
                f"{self.name} does not tell its sources: {type(error).__name__}: {error}"
            ) from error


Besides = Callable[[str], Sequence[VersionedRows]]
"""The places with rows of a table's changes, by the table's name."""


def nowhere(_: str) -> Sequence[VersionedRows]:
    """No rows beside which anything is kept."""
    return ()


async def adopt(
    numbers: Generations, places: Sequence[VersionedRows]
) -> tuple[Generations, Mapping[str, PortError]]:
    """Numbers that begin anew, with everything that is kept beside rows; and the places that do not tell, by
    their names. Raises: what marks raise that cannot be asked.
    """
    away: dict[str, PortError] = {}
    answers = await asyncio.gather(*(_answer(place) for place in places))
    for place, answer in zip(places, answers, strict=True):
        if isinstance(answer, PortError):
            if place.is_of_marks:
                raise answer
            away[place.name] = answer
        elif answer is not None:
            with suppress(SettingsError):
                # of another history than the one before it: it is refused where it is written to
                numbers = numbers.with_kept(answer, place.name, is_read=False)
    return numbers, away


async def _answer(place: VersionedRows) -> Mapping[str, int] | PortError | None:
    try:
        return await place.told()
    except PortError as error:
        return error
    except SettingsError:
        return None  # as above


class SourcesOfMarks:
    """Marks in a table of their own (`app.transactions`): the numbers are in a row there, as in the state."""

    def __init__(self, marks: StateStore, app: str, table: str, name: str) -> None:
        self._marks = marks
        self._app = app
        self._table = table
        self._name = name

    async def sources(self) -> Mapping[str, int]:
        """Those that are kept there; of marks of before there were numbers, that there are some. Raises:
        StoreError.
        """
        generations = (await self._read()).kept
        if generations or not await self._marks.query(MARK.prefix(self._name), limit=1):
            return generations
        return {BEFORE: FIRST_GENERATION}

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError naming the source and both numbers; StoreError."""
        while True:
            there = await self._read()
            check_kept("the table with the marks", there.kept, sources)
            after = there.also(sources)
            if after == there:
                return
            with suppress(StateConflict):  # another worker keeps some at the same time
                await self._marks.transact([after.write()])
                return

    async def _read(self) -> Generations:
        row = await self._marks.get(sources_key(self._app, self._table))
        return read_generations(self._app, self._table, None if row is None else row.fields)


class Agreeing:
    """A sink that writes no row before the number of its source is kept beside the rows."""

    def __init__(self, sink: Sink, beside: VersionedRows, state: StateStore, app: str, table: str) -> None:
        self._sink = sink
        self._beside = beside
        self._state = state
        self._app = app
        self._table = table
        self._agreed: set[str] = set()
        self._newest = 0

    async def open(self, clock: Clock) -> None:
        """Open the sink, and agree. Raises: Unavailable when the rows are of another history; what the sink
        raises.
        """
        await self._sink.open(clock)
        await self._agree()

    async def write(self, batch: RecordBatch) -> Outcome:
        """What the sink says. Raises: as `open`."""
        # Numbers never fall inside a shard, and a reset gives a stream that is agreed on a larger one.
        is_known = not batch.records or batch.records[-1].generation <= self._newest
        if batch.stream.label not in self._agreed or not is_known:
            await self._agree()
            self._agreed.add(batch.stream.label)  # one without a number was there before there were any
        return await self._sink.write(batch)

    def close(self) -> Awaitable[None]:
        """Close the sink."""
        return self._sink.close()

    async def _agree(self) -> None:
        row = await self._state.get(sources_key(self._app, self._table))
        known = read_generations(self._app, self._table, None if row is None else row.fields)
        try:
            await self._beside.agree(known)
        except SettingsError as error:
            raise Unavailable(str(error)) from error
        self._agreed.update(known.numbers)
        self._newest = known.newest
