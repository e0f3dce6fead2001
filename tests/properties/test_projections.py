"""Properties of projections: whatever is written, repeated, overtaken, cut off or done at the same time, they
are the fold over the items.

Rules of this file: the expected answer is a plain loop over the table's items. First over the store alone,
where every interleaving can be had; then in the world, with the engine's own stream, restarts and faults.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace import App, Item
from tailrace.app.projection import Projection
from tailrace.clocks.manual import ManualClock
from tailrace.errors import TailraceError
from tailrace.ports import ProjectionStore
from tailrace.projections.core.folding import ItemChange
from tailrace.projections.core.rows import AppliedItem, GroupState, RowChange
from tailrace.projections.run.applying import apply_steps
from tailrace.projections.run.state_store import StateProjectionStore
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.version import Version
from tailrace.testing import World
from tailrace.testing.loop import SeededLoop

GROUPS = ("NL", "BE", "FR")
WRITES = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from((*GROUPS, None)), st.integers(0, 9)), min_size=1, max_size=30
)
"""(item, its group or None for a deletion, its amount), in the order of the log."""


def projected() -> tuple[App, Projection, Any]:
    app = App("shop")
    orders = app.table("orders", pk="id")

    class Order(Item, table=orders):
        id: str
        country: str = "NL"
        total: Decimal = Decimal(0)

    @app.projection(by=Order.country, id="sales")
    def sales(total: Decimal, order: Order, sign: int) -> Decimal:
        return total + sign * order.total

    (projection,) = [mapping.projection for mapping in app.mappings if mapping.projection is not None]
    return app, projection, Order


@dataclass
class Slow:
    """Rows whose every access lets others go first, a few times by chance."""

    inner: ProjectionStore
    chance: Random
    conflicts: int = 0
    rows_at_once: int = 12

    async def _others(self) -> None:
        for _ in range(self.chance.randrange(3)):
            await asyncio.sleep(0)

    async def items(self, keys: Sequence[str]) -> list[AppliedItem]:
        await self._others()
        return await self.inner.items(keys)

    async def bucket(self, number: int) -> list[AppliedItem]:
        return await self.inner.bucket(number)

    async def groups(self, keys: Sequence[str] | None = None) -> list[GroupState]:
        await self._others()
        return await self.inner.groups(keys)

    async def commit(self, changes: Sequence[RowChange]) -> None:
        await self._others()
        await self.inner.commit(changes)
        await self._others()

    async def serve(self) -> None:
        await self.inner.serve()


def steps_of(writes: Sequence[tuple[int, str | None, int]]) -> list[ItemChange]:
    steps = []
    for sequence, (number, group, amount) in enumerate(writes, start=1):
        name = f"o{number}"
        image = {"id": {"S": name}, "country": {"S": group}, "total": {"N": str(amount)}}
        steps.append(
            ItemChange(name.encode().hex(), Version(1, sequence), None if group is None else image, 0)
        )
    return steps


def fold_of(writes: Sequence[tuple[int, str | None, int]]) -> dict[str, tuple[int, int]]:
    """Group → (how many items, their sum), from the items as they are at last."""
    items = {number: (group, amount) for number, group, amount in writes}
    groups: dict[str, tuple[int, int]] = {}
    for group, amount in items.values():
        if group is not None:
            count, total = groups.get(group, (0, 0))
            groups[group] = (count + 1, total + amount)
    return groups


@settings(deadline=None, max_examples=60)
@given(writes=WRITES, seed=st.integers(0, 1 << 30), workers=st.integers(1, 4), deaths=st.integers(0, 3))
def test_any_delivery_comes_to_the_fold_over_the_items(
    writes: list[tuple[int, str | None, int]], seed: int, workers: int, deaths: int
) -> None:
    _, projection, _ = projected()
    chance = Random(seed)
    rows = StateProjectionStore(MemoryStateStore(), "shop", "sales@v1")
    steps = steps_of(writes)

    async def deliver(batches: list[list[ItemChange]]) -> None:
        """Some batches beside each other; until all of it was applied, as the machine would."""
        for batch in batches:
            left: Sequence[ItemChange] = batch
            while left:
                applied = await apply_steps(Slow(rows, chance), projection, left)
                keys = {left[index].key for index in applied.failures}
                left = [step for step in left if step.key in keys]

    def batches() -> list[list[ItemChange]]:
        """All changes in any order, some of them twice, in batches of any size."""
        drawn = [*steps, *(chance.choice(steps) for _ in range(chance.randrange(10)))]
        chance.shuffle(drawn)
        cuts = sorted(chance.randrange(len(drawn) + 1) for _ in range(chance.randrange(5)))
        return [drawn[start:end] for start, end in zip([0, *cuts], [*cuts, len(drawn)], strict=True)]

    async def main() -> None:
        for _ in range(deaths):
            working = [asyncio.ensure_future(deliver(batches())) for _ in range(workers)]
            for _ in range(chance.randrange(60)):
                await asyncio.sleep(0)
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        await asyncio.gather(*(deliver(batches()) for _ in range(workers)))
        groups = {row.key: (row.count, int(row.state["N"])) for row in await rows.groups() if row.count}
        assert {projection.by.value_of(key): folded for key, folded in groups.items()} == fold_of(writes)

    loop = SeededLoop(seed, ManualClock())
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 4), st.sampled_from(GROUPS), st.integers(0, 9)),
        st.tuples(st.just("update"), st.integers(0, 4), st.sampled_from(GROUPS), st.integers(0, 9)),
        st.tuples(st.just("delete"), st.integers(0, 4), st.just(""), st.just(0)),
        st.tuples(
            st.sampled_from(("settle", "restart", "kill", "split", "6h", "30h", "rebuild")),
            st.just(0),
            st.just(""),
            st.just(0),
        ),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=10)
@given(operations=OPERATIONS, seed=st.integers(0, 1 << 30), faulty=st.booleans())
def test_in_the_world_too(operations: list[tuple[str, int, str, int]], seed: int, faulty: bool) -> None:
    app, _, Order = projected()  # noqa: N806
    with World(app, seed=seed) as world:
        crash = ("anywhere",) if faulty else ()
        with world.faults(duplicates=0.3 * faulty, throttle=0.1 * faulty, crash=crash, seed=seed):
            for verb, number, country, total in operations:
                match verb:
                    case "put":
                        world.put(Order(id=f"o{number}", country=country, total=Decimal(total)))
                    case "update":
                        world.update(Order, id=f"o{number}", country=country, total=Decimal(total))
                    case "delete":
                        world.delete(Order, id=f"o{number}")
                    case "settle":
                        world.settle()
                    case "restart":
                        world.restart()
                    case "kill":  # no worker reads from here on, for more than a day perhaps, until a restart
                        world.kill()
                    case "split" if (
                        number == 0 and len(world.engine.shards_of(world.engine.stream_of("orders").arn)) < 4
                    ):
                        world.split("orders")
                    case "rebuild" if world._running:
                        world.settle()
                        with suppress(TailraceError):  # throttled by a fault, or one is under way
                            world._ask("projection.rebuild", {"projection": "sales"})
                    case "6h" | "30h":
                        world.advance(verb)
            world.restart()
            world.settle()
        world.advance("2m")  # what the stream lost is noticed within a minute
        world.settle()
        expected: dict[str, Decimal] = {}
        for order in world.scan(Order):
            expected[order.country] = expected.get(order.country, Decimal(0)) + order.total
        assert dict(world.projected("sales").items()) == expected
        (verdict,) = world._ask("projection.verify", {"projection": "sales"})
        assert (verdict["differing"], verdict["in_flight"]) == (0, 0)
