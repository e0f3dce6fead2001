"""The stage of every exhibit: one world, its real streams API for the model of a peer, and one handler of
ours beside it.

Rules of this file: both read the same stream at the same time, so what one of them loses the other
had before it. Changes are named by their item and its count: "a2" is the second change of item a.
Time is virtual; nothing sleeps.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from tailrace import App, Change
from tailrace.app.retry import milliseconds
from tailrace.testing import World

MINUTE_MS = 60_000


class Polling(Protocol):
    """A reader that must be called to go on: every model."""

    def poll(self) -> None:
        """Look for shards and read what there is."""


class Verdict(NamedTuple):
    """What is wrong with a delivery. Shape: names of changes."""

    lost: list[str]
    repeated: list[str]
    disordered: list[str]


RIGHT = Verdict([], [], [])


@dataclass(frozen=True, slots=True)
class Written:
    """A change that was committed."""

    item: str
    count: int

    @property
    def name(self) -> str:
        """Its name here."""
        return f"{self.item}{self.count}"


class Stage:
    """A table, its stream, our handler."""

    def __init__(self, *, shards: int = 1, settings: dict[str, Any] | None = None) -> None:
        self.app = App("museum")
        self.orders = self.app.table("orders", pk="id")
        self.written: list[Written] = []
        self.ours: list[str] = []
        self.refused: set[str] = set()
        """Changes that our handler cannot do."""
        self.takes_s = 0.0
        """How long our handler takes for a change."""

        @self.app.on(self.source(), id="ours", **(settings or {}))
        async def handle(change: Change) -> None:
            if self.takes_s:
                await asyncio.sleep(self.takes_s)
            name = f"{change.key}{(change.new or change.old)['n']}"
            if name in self.refused:
                raise ValueError(name)
            self.ours.append(name)

        self.handler = handle
        self.world = World(self.app, seed=1, shards=shards)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.world.close()

    def source(self) -> Any:
        """What our handler reads."""
        return self.orders

    # ---- what happens --------------------------------------------------------------------------------------

    def put(self, *items: str) -> None:
        """Change each item once."""
        for item in items:
            count = 1 + sum(write.item == item for write in self.written)
            self.written.append(Written(item, count))
            self.world.put(self.orders, {"id": item, "n": count})

    def pass_time(self, time: str, *models: Polling, every: str = "5m") -> None:
        """Let time pass; models are polled now and then, and at the end."""
        left_ms, step_ms = milliseconds(time), milliseconds(every)
        while left_ms > 0:
            self.world.advance(min(step_ms, left_ms))
            left_ms -= step_ms
            for model in models:
                model.poll()

    def stop(self) -> None:
        """Our worker shuts down in an orderly way; then it is away."""
        self.world._running[0].worker.stop()
        self.world.advance("10m")
        self.world.kill()

    # ---- what came of it -----------------------------------------------------------------------------------

    def judge(self, delivered: list[str]) -> Verdict:
        """What is wrong with what a reader delivered."""
        counts = Counter(delivered)
        names = [write.name for write in self.written]
        places = {name: number for number, name in reversed(list(enumerate(delivered)))}
        disordered = []
        latest: dict[str, int] = {}
        for write in self.written:
            place = places.get(write.name)
            if place is not None and place < latest.get(write.item, -1):
                disordered.append(write.name)
            elif place is not None:
                latest[write.item] = place
        return Verdict(
            [name for name in names if not counts[name]],
            [name for name in names if counts[name] > 1],
            disordered,
        )

    def judge_ours(self) -> Verdict:
        """What is wrong with ours."""
        self.world.settle()
        return self.judge(self.ours)
