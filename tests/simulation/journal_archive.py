"""An archive as several processes reach it over a network that is slow, loses answers, and delivers late.

Theory of operation: all processes write to one memory archive, each through a way of its own. A call takes
its time before and after its effect, and whoever waits may die or stand still at either. An answer may be
lost after the effect; a request may arrive once more, or alone and long after its sender has given it up,
even after its sender's death: what is under way stands in the archive, not in a task.
Rules of this file: what arrives twice does what the port says of it, no more. Called by journal_worlds.py.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final, TypeVar

from msgspec import Struct

from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import ArchiveError
from tailrace.ports import Blob

T = TypeVar("T")
SLOW_MS: Final = (20, 20, 400, 400, 5_000, 240_000)
VERY_SLOW_MS: Final = 4_200_000
"""Longer than what nothing names is kept."""


class Weather(Struct, frozen=True):
    """How the network is. Shape: shares of calls, 0 to 1."""

    slow: float = 0.0
    very_slow: float = 0.0
    refused: float = 0.0
    lost: float = 0.0
    again: float = 0.0


CALM: Final = Weather()


class _UnderWay(Struct, frozen=True):
    """A blob that arrives by itself."""

    at_ms: int
    name: str
    data: bytes


class SharedArchive:
    """What all reach. Shape: `random` decides what befalls a call."""

    def __init__(self, clock: ManualClock, random: Random, counts: Counter[str]) -> None:
        self.there = MemoryArchive()
        self.clock, self.random, self.counts = clock, random, counts
        self.weather = CALM
        self.away_until_ms = 0
        self.calls = 0
        self._under_way: list[_UnderWay] = []

    @property
    def is_away(self) -> bool:
        """Whether it answers nothing now."""
        return self.clock.now().monotonic_ms < self.away_until_ms

    @property
    def blobs(self) -> dict[str, bytes]:
        """All that lies there now."""
        self.arrive()
        return self.there._blobs

    def send(self, name: str, data: bytes, after_ms: int) -> None:
        """Let a blob arrive by itself."""
        self._under_way.append(_UnderWay(self.clock.now().monotonic_ms + after_ms, name, data))

    def arrive(self) -> None:
        """What is due arrives: as the first of its name, or as nothing."""
        now_ms = self.clock.now().monotonic_ms
        due = [one for one in self._under_way if one.at_ms <= now_ms]
        self._under_way = [one for one in self._under_way if one.at_ms > now_ms]
        for one in due:
            is_first = one.name not in self.there._blobs
            self.counts["late put counted" if is_first else "late put did nothing"] += 1
            self.there._blobs.setdefault(one.name, one.data)


class Way:
    """The archive as one process reaches it: the port ArchiveStore."""

    def __init__(self, shared: SharedArchive) -> None:
        self._shared = shared
        self._open = asyncio.Event()
        self._open.set()

    @property
    def is_open(self) -> bool:
        """Whether this process goes on."""
        return self._open.is_set()

    def freeze(self) -> None:
        """From now on this process stands still at its next call."""
        self._open.clear()

    def thaw(self) -> None:
        """It goes on."""
        self._open.set()

    # ---- the port ------------------------------------------------------------------------------------------

    async def get(self, name: str, start: int = 0, length: int | None = None) -> Blob | None:
        """A blob or a part of it."""
        return await self._call(lambda: self._shared.there.get(name, start, length))

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        """Names that begin with a prefix."""
        return await self._call(lambda: self._shared.there.list(prefix, after=after, limit=limit))

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write a new blob: it may arrive late, or twice."""
        shared = self._shared
        if shared.random.random() < shared.weather.again:
            shared.send(name, data, shared.random.choice((50, 2_000, 300_000, VERY_SLOW_MS)))
            if shared.random.random() < 0.5:
                shared.counts["put given up"] += 1
                raise ArchiveError("no answer came")
        return await self._call(lambda: shared.there.put_if_absent(name, data))

    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        """Replace a blob that is still the one that was read."""
        return await self._call(lambda: self._shared.there.compare_and_put(name, data, tag))

    async def delete(self, name: str) -> None:
        """Remove a blob."""
        await self._call(lambda: self._shared.there.delete(name))

    async def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        shared, weather = self._shared, self._shared.weather
        shared.calls += 1
        await self._pass()
        if shared.is_away or shared.random.random() < weather.refused:
            shared.counts["call refused"] += 1
            raise ArchiveError("the archive is away")
        answer = await work()
        await self._pass()
        if shared.random.random() < weather.lost:
            shared.counts["answer lost"] += 1
            raise ArchiveError("the connection was lost")
        return answer

    async def _pass(self) -> None:
        shared, weather = self._shared, self._shared.weather
        await self._open.wait()
        if shared.random.random() < weather.slow:
            wait_ms = shared.random.randrange(1, shared.random.choice(SLOW_MS))
            if shared.random.random() < weather.very_slow:
                wait_ms = VERY_SLOW_MS
                shared.counts["call took an hour"] += 1
            await shared.clock.sleep_until(shared.clock.now().monotonic_ms + wait_ms)
        shared.arrive()
        await self._open.wait()
