"""Windows as they are closed, without a world: what another worker does in the middle of it.

Rules of this file: nothing sleeps; the clock stands where the windows are over.
"""

import asyncio
from datetime import UTC, datetime

from tailrace import App, Item, Window
from tailrace.app.window import WindowPlan
from tailrace.engine.state import EngineStateStore
from tailrace.mapping.settings import MappingSettings
from tailrace.ports import Failure
from tailrace.rows.writes import Write
from tailrace.runtime.parts import Parts
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.windows.core.rows import WindowOwner
from tailrace.windows.run.changes import WindowChanges
from tailrace.windows.run.windowing import Closing, Tell, WindowResult, Windows
from tests.unit.server.admin import Ground

BEGUN_MS = 1_700_000_040_000


def plan_of_minutes() -> WindowPlan:
    app = App("shop")
    orders = app.table("orders", pk="id")

    class Order(Item, table=orders):
        id: str
        placed: datetime

    @app.window(Order, every="1m", at=Order.placed)
    def minutes(window: Window[Order]) -> None:
        """Told by the tests themselves."""

    (plan,) = [mapping.window for mapping in app.mappings if mapping.window is not None]
    return plan


def order(number: int) -> ChangeRecord:
    placed = datetime.fromtimestamp(BEGUN_MS / 1_000, UTC).isoformat()
    return change_record(
        sequence=number,
        shard=1,
        created_ms=BEGUN_MS,
        partition=number,
        key=b"%d" % number,
        keys={"id": {"S": f"o{number}"}},
        old=None,
        new=b'{"id":{"S":"o%d"},"placed":{"S":"%s"}}' % (number, placed.encode()),
        size_bytes=9,
    )


class Worker:
    """The windows of one worker on a ground that several share."""

    def __init__(self, ground: Ground, plan: WindowPlan, tell: Tell) -> None:
        async def flushed() -> None:
            ground.engine.committer.flush()

        state = EngineStateStore(ground.engine, flushed)
        self.windows = Windows(
            WindowOwner("shop", "minutes"),
            plan,
            MappingSettings("minutes"),
            Parts(state, ground.clock),
            watermark=settled_until,
            tell=tell,
            give_up=_never,
        )
        self.changes = WindowChanges(self.windows, state, ground.clock)

    async def close(self) -> None:
        """Run until nothing that is over is left to be told."""
        running = asyncio.create_task(self.windows.run())
        for _ in range(100):
            await asyncio.sleep(0)
        assert not await self.windows.is_busy()
        running.cancel()
        await asyncio.wait([running])


async def settled_until() -> int:
    return BEGUN_MS + 600_000


def _never(closing: Closing, failure: Failure, attempts: int) -> Write:
    raise AssertionError("no window fails here")


def test_a_note_of_what_was_touched_stays_when_something_newer_touched_it() -> None:
    ground, plan, told = Ground(), plan_of_minutes(), list[list[str]]()

    def ids(closing: Closing) -> list[str]:
        return [str((member.image or {})["id"]["S"]) for member in closing.members]

    async def tell(closing: Closing) -> WindowResult:
        told.append(ids(closing))
        return WindowResult()

    async def tell_while_another_change_comes(closing: Closing) -> WindowResult:
        # Durable, and the worker dies before it hears of it: only the note in the store says that it is to be
        # told.
        await Worker(ground, plan, tell).changes.apply([order(2)])
        return await tell(closing)

    async def scene() -> None:
        first = Worker(ground, plan, tell_while_another_change_comes)
        await first.changes.apply([order(1)])
        await first.close()
        assert told == [["o1"]]
        await Worker(ground, plan, tell).close()
        assert told == [["o1"], ["o1", "o2"]]
        assert ground.engine.state.query("window-touched/") == []

    asyncio.run(scene())
