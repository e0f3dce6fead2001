"""Many handlers of one table: each reads for itself, so a slow one holds no other."""

import asyncio

from tailrace import App, Change
from tailrace.testing import World


def test_a_handler_that_hangs_does_not_hold_the_others() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    seen: list[str] = []

    @app.on(orders, id="hangs")
    async def hangs(change: Change) -> None:
        await asyncio.Event().wait()

    @app.on(orders, id="goes on")
    def goes_on(change: Change) -> None:
        seen.append(change.key)

    with World(app, seed=1) as world:
        for number in range(3_000):  # more than one machine holds in memory
            world.put(orders, {"id": f"o{number}"})
        world.advance("1s")
        assert len(seen) == 3_000
