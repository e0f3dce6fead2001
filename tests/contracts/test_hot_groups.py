"""A hot group that two workers write at once: without `combine=` they retry until both are in, with it they
do not meet; what is read is the same.

Rules of this file: two workers apply the changes of two shards, in an order that a seed chooses; the rows are
held against the table.
"""

import operator
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

import pytest

from tailrace.app.projection import Projection
from tailrace.errors import StateConflict
from tailrace.ports import Action, RecordBatch, Written
from tailrace.projections.core.parts import part_of, whole_groups, whole_key
from tailrace.projections.core.rows import AppliedItem, GroupState, build_name, groups_prefix, read_group_row
from tailrace.projections.run import state_store
from tailrace.rows.writes import ALWAYS
from tailrace.stores.memory import MemoryStateStore
from tests.contracts.projecting import APP, Builder, Workshop, filled_table, projected, told
from tests.unit.sinks.batches import STREAM

Groups = dict[str, tuple[int, int]]
SEEDS = range(12)


class Counting(MemoryStateStore):
    """Counts the transactions whose conditions did not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.conflicts = 0

    async def transact(self, writes: Sequence[Action]) -> None:
        try:
            await super().transact(writes)
        except StateConflict:
            self.conflicts += 1
            raise


def summed(*, parts: bool) -> Projection:
    projection = projected()
    if parts:
        object.__setattr__(projection, "combine", operator.add)
    return projection


async def rows_of(workshop: Workshop) -> list[GroupState]:
    """The rows of the groups of the build that is served."""
    served = await workshop.served()
    assert served is not None
    rows = await workshop.state.query(groups_prefix(APP, build_name("sales", served)))
    return [read_group_row(row.fields) for row in rows]


async def read(workshop: Workshop, projection: Projection) -> Groups:
    """Country → (how many items, their total), of all parts."""
    groups = await rows_of(workshop)
    if projection.combine is not None:
        groups = whole_groups(groups, projection.combined)
    return {group.key.split('"')[3]: (group.count, int(group.state["N"])) for group in groups if group.count}


def by_two(
    projection: Projection,
    seed: int,
    check: Callable[[Workshop, list[Builder]], Awaitable[None]],
    state: MemoryStateStore,
    write: Callable[[Workshop, int], None],
    *,
    rounds: int = 6,
) -> None:
    """Two workers, each with one shard, at the same time."""

    async def story(workshop: Workshop) -> None:
        filled_table(workshop)
        workers = [workshop.worker(projection) for _ in range(2)]
        workers[0].run()
        await workshop.settle(workers[0])
        for turn in range(rounds):
            write(workshop, turn)
            while any(workshop.orders.unsettled.values()):
                for shard, worker in enumerate(workers):
                    worker.deliver(shard, most=4)
                await workshop.rest(1)
        await check(workshop, workers)

    told(story, seed, state)


def one_country(workshop: Workshop, turn: int) -> None:
    """Changes of both shards, all of one group."""
    for number in range(8):
        workshop.orders.write(f"o{number}", "NL", turn * 10 + number)


def other_countries(workshop: Workshop, turn: int) -> None:
    """Items that enter and leave the hot group, and go."""
    for number in range(8):
        country = ("NL", "BE", None, "NL")[(turn + number) % 4]
        workshop.orders.write(f"o{number}", country, turn * 10 + number)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("parts", [False, True], ids=["compare and set", "parts"])
@pytest.mark.parametrize("write", [one_country, other_countries])
def test_two_writers_of_a_hot_group_leave_what_the_table_says(
    write: Callable[[Workshop, int], None], parts: bool, seed: int
) -> None:
    projection = summed(parts=parts)

    async def check(workshop: Workshop, workers: list[Builder]) -> None:
        assert await read(workshop, projection) == workshop.orders.fold()
        assert all(group.count >= 0 for group in await rows_of(workshop))

    by_two(projection, seed, check, Counting(), write)


def conflicts(*, parts: bool) -> int:
    """How often a transaction lost to the other worker's, over all seeds."""

    async def nothing(workshop: Workshop, workers: list[Builder]) -> None: ...

    total = 0
    for seed in SEEDS:
        state = Counting()
        by_two(summed(parts=parts), seed, nothing, state, one_country)
        total += state.conflicts
    return total


def test_with_parts_the_writers_of_a_group_that_was_built_before_hardly_meet() -> None:
    without, with_parts = conflicts(parts=False), conflicts(parts=True)
    assert without > 20
    # Each item leaves the part that the filling added it to, once; from then on shards are apart.
    assert with_parts < without / 3, (without, with_parts)


def test_an_item_that_comes_from_another_shard_leaves_the_part_that_it_was_added_to() -> None:
    """A shard was split: the item's next change comes from a child."""
    projection = summed(parts=True)
    parent, child = "parent", "child"
    assert part_of(parent) != part_of(child)

    async def story(workshop: Workshop) -> None:
        worker = workshop.worker(projection)
        await worker.builds.known(projection)
        orders = workshop.orders
        for shard, country, total in (
            (parent, "NL", 5),
            (child, "NL", 7),
            (child, "BE", 9),
            (parent, None, 0),
        ):
            orders.write("o2", country, total)
            records, orders.unsettled[0] = orders.unsettled[0], []
            outcome = await worker.sink.write(RecordBatch(records, projection.mapping_id, STREAM, shard))
            assert outcome == Written()
            assert await read(workshop, projection) == orders.fold()
        assert {group.key.rpartition("}")[2] for group in await rows_of(workshop)} == {
            part_of(parent),
            part_of(child),
        }
        assert all(group.count == 0 for group in await rows_of(workshop))

    told(story)


def test_a_build_that_was_begun_without_parts_gets_none_until_it_is_built_anew() -> None:
    async def story(workshop: Workshop) -> None:
        filled_table(workshop)
        before = workshop.worker(summed(parts=False))
        before.run()
        await workshop.settle(before)
        before.kill()
        after = workshop.worker(summed(parts=True))
        after.run()
        workshop.orders.write("o1", "NL", 50)
        await workshop.settle(after)
        assert {group.key for group in await rows_of(workshop)} == {
            whole_key(group.key) for group in await rows_of(workshop)
        }
        await after.projector.rebuild(after.projection)
        await workshop.settle(after)
        workshop.orders.write("o1", "NL", 51)
        await workshop.settle(after)
        assert any(group.key != whole_key(group.key) for group in await rows_of(workshop))
        assert await read(workshop, after.projection) == workshop.orders.fold()

    told(story)


# ---- canaries ----------------------------------------------------------------------------------------------


def wrong() -> bool:
    """Whether some seed finds groups that are not what the table says."""
    projection = summed(parts=False)

    async def check(workshop: Workshop, workers: list[Builder]) -> None:
        assert await read(workshop, projection) == workshop.orders.fold()

    for seed in SEEDS:
        try:
            by_two(projection, seed, check, Counting(), one_country)
        except AssertionError:
            return True
    return False


def test_writers_without_a_condition_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_store, "condition_of", lambda change: ALWAYS)
    assert wrong()


def test_parts_of_which_one_is_left_out_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    projection = summed(parts=True)
    object.__setattr__(projection, "combine", lambda one, other: max(one, other, key=Decimal))

    async def check(workshop: Workshop, workers: list[Builder]) -> None:
        assert await read(workshop, projection) == workshop.orders.fold()

    with pytest.raises(AssertionError):
        by_two(projection, 0, check, Counting(), one_country)


def test_an_item_that_is_taken_out_of_no_part_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if rows of items said the group and not its part: sums would be right, and a part less than
    nothing, which not every function can be asked for.
    """
    fields = state_store.item_fields

    def whole(row: AppliedItem) -> dict[str, object]:
        return {**fields(row), "group": whole_key(row.group) if row.group else ""}

    monkeypatch.setattr(state_store, "item_fields", whole)
    with pytest.raises(AssertionError):
        test_an_item_that_comes_from_another_shard_leaves_the_part_that_it_was_added_to()
