"""Compares a build of a projection with the table's items as they are: every item's image, and every
group's state folded anew.

Theory of operation: rows are read first, items after them, each page with its position. What differs may be
on its way, so it is judged again when the mapping has settled everything up to that position, or, where none
is told, to the server's present: an item whose
row has not moved since then, and still is another than the table's, is wrong. A group is judged when its
version was the same before and after its items were read.
Rules of this file: it only reads. Called by the verb `projection.verify`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

import orjson
from msgspec import Struct, field

from tailrace.app.fence import FENCE, told
from tailrace.app.projection import Projection
from tailrace.ports import Clock, ProjectionStore, TableItems
from tailrace.projections.core.parts import part_in, whole_key
from tailrace.projections.core.rows import BUCKETS, AppliedItem, GroupState
from tailrace.projections.run.following import Following
from tailrace.runtime.threads import in_thread
from tailrace.streams.version import Version
from tailrace.values.types import AttributeValue, Item

PAGE: Final = 100
ROUNDS: Final = 5
"""How often groups that move while they are looked at are looked at again."""
PATIENCE_MS: Final = 10_000
LOOK_MS: Final = 100
MOST_NAMED: Final = 100
"""So many differences are named; the others are counted."""


class Difference(Struct, frozen=True):
    """One thing that is not as it should be. Shape: `expected` from the table, `found` in the rows, both
    DynamoDB JSON; None: nothing.
    """

    kind: Literal["item", "group"]
    key: str
    expected: Any
    projected: Any
    reason: str = ""


class ComparedProjection(Struct):
    """What a comparison came to. Shape: `in_flight` are items and groups that kept moving and could not be
    judged.
    """

    items: int = 0
    groups: int = 0
    in_flight: int = 0
    count: int = 0
    differences: list[Difference] = field(default_factory=list)

    def differs(self, difference: Difference) -> None:
        """Count a difference; the first `MOST_NAMED` are kept whole."""
        self.count += 1
        if len(self.differences) < MOST_NAMED:
            self.differences.append(difference)


class _Suspect(Struct, frozen=True):
    """An item whose row is not as the table has it. Shape: `version` is the row's, None without one."""

    keys: Item
    image: Item | None
    version: Version | None


async def verify(
    projection: Projection,
    store: ProjectionStore,
    items: TableItems,
    following: Following,
    clock: Clock,
    parked: frozenset[str],
) -> ComparedProjection:
    """Compare. Shape: `parked` are the items (hex) that wait to be put back; groups with history are of more
    than the table has, and are not judged. Raises: StoreError, SourceError, Unavailable.
    """
    verdict = ComparedProjection()
    if not projection.history:
        await _verify_groups(verdict, projection, store)
    suspects, position = await _suspects(verdict, items, projection, store)
    if not suspects:
        return verdict
    passed = await _passed(following, projection, position)
    is_settled = await _settled(clock, passed)
    for start in range(0, len(suspects), PAGE):
        some = dict(list(suspects.items())[start : start + PAGE])
        now = {row.key: row for row in await store.items(list(some))}
        for key, suspect in some.items():
            row = now.get(key)
            if (None if row is None else row.version) != suspect.version:
                continue  # it was on its way and has arrived
            projected = None if row is None else row.image
            if projected == suspect.image:
                continue
            if not is_settled and key not in parked:
                verdict.in_flight += 1
                continue
            reason = f"parked: tailrace dlq redrive {projection.mapping_id}" if key in parked else ""
            verdict.differs(
                Difference("item", orjson.dumps(suspect.keys).decode(), suspect.image, projected, reason)
            )
    return verdict


async def _suspects(
    verdict: ComparedProjection, items: TableItems, projection: Projection, store: ProjectionStore
) -> tuple[dict[str, _Suspect], int | None]:
    rows = await _seen(store)
    suspects: dict[str, _Suspect] = {}
    after: Mapping[str, Any] | None = None
    while True:
        page = await items.page(projection.table.name, after, PAGE)
        for key, keys, image in page.items:
            if not projection.is_of(keys):
                continue
            verdict.items += 1
            version, content = rows.pop(key, (None, None))
            if content != _content(image):
                suspects[key] = _Suspect(keys, image, version)
        await asyncio.sleep(0)
        if (after := page.after) is None:
            break
    for key in [key for key, (_, content) in rows.items() if content is not None]:
        for row in await store.items([key]):
            if row.image is not None:
                suspects[key] = _Suspect(projection.keys_of(row.image), None, row.version)
    return suspects, page.position


async def _seen(store: ProjectionStore) -> dict[str, tuple[Version | None, int | None]]:
    """Item → its row's version and what its image hashes to, which is small enough to hold for all of
    them.
    """
    seen: dict[str, tuple[Version | None, int | None]] = {}
    for number in range(BUCKETS):
        for row in await store.bucket(number):
            seen[row.key] = (row.version, None if row.image is None else _content(row.image))
        await asyncio.sleep(0)
    return seen


def _content(image: Item) -> int:
    return hash(orjson.dumps(image, option=orjson.OPT_SORT_KEYS))


async def _passed(
    following: Following, projection: Projection, position: int | None
) -> Callable[[], Awaitable[bool]]:
    """What says whether everything that the pages have is settled: up to the position of the last one, or,
    where it told none, up to the server's present.
    """

    async def by_position() -> bool:
        oldest = await following.oldest(projection)
        return oldest is None or (position is not None and oldest > position)

    if position is not None or following.marks is None:
        return by_position
    marks = following.marks(projection)
    return partial(marks.has_passed, await marks.mark())


async def _settled(clock: Clock, has_passed: Callable[[], Awaitable[bool]]) -> bool:
    """Wait until it has; False when it takes too long."""
    until_ms = clock.now().monotonic_ms + PATIENCE_MS
    while not await has_passed():
        if clock.now().monotonic_ms >= until_ms:
            return False
        await clock.sleep_until(clock.now().monotonic_ms + LOOK_MS)
    return True


# ---- groups ------------------------------------------------------------------------------------------------


async def _verify_groups(verdict: ComparedProjection, projection: Projection, store: ProjectionStore) -> None:
    judged: set[str] = set()
    there: set[str] = set()
    for _ in range(ROUNDS):
        before = {row.key: row for row in await store.groups()}
        folded = await _folded(projection, store)
        after = {row.key: row for row in await store.groups()}
        moving = 0
        for key in {*before, *after, *folded} - judged:
            if before.get(key) != after.get(key):
                moving += 1
                continue
            judged.add(key)
            there |= {whole_key(key)} if _has_items(folded.get(key), before.get(key)) else set()
            _judge_group(verdict, projection, key, folded.get(key), before.get(key))
        verdict.groups = len(there)
        if not moving:
            return
    verdict.in_flight += moving


def _has_items(folded: "_Folded | None", row: GroupState | None) -> bool:
    return bool(folded is not None and folded.count) or bool(row is not None and row.count)


def _judge_group(
    verdict: ComparedProjection,
    projection: Projection,
    key: str,
    folded: "_Folded | None",
    row: GroupState | None,
) -> None:
    if folded is None or not folded.count:
        if row is not None and row.count:
            verdict.differs(
                Difference(
                    "group", key, None, row.state, f"{row.count} items are counted in it, and none is there"
                )
            )
        return
    expected, state = folded.state, None if row is None else row.state
    if folded.error:
        verdict.differs(Difference("group", key, None, state, folded.error))
    elif row is None or not _is_same(projection, expected, row.state) or row.count != folded.count:
        counts = (
            ""
            if row is None or row.count == folded.count
            else f"{row.count} items are counted in it, and {folded.count} are there"
        )
        verdict.differs(Difference("group", key, expected, state, counts))


def _is_same(projection: Projection, one: AttributeValue | None, other: AttributeValue) -> bool:
    return one is not None and (
        one == other or bool(projection.state.decode(one) == projection.state.decode(other))
    )


class _Folded(Struct):
    """A group folded anew."""

    state: AttributeValue | None = None
    count: int = 0
    error: str = ""


async def _folded(projection: Projection, store: ProjectionStore) -> dict[str, _Folded]:
    groups: dict[str, _Folded] = {}
    for number in range(BUCKETS):
        rows = await store.bucket(number)
        if rows:
            await in_thread(_fold_rows, projection, rows, groups)
    return groups


def _fold_rows(projection: Projection, rows: Sequence[AppliedItem], groups: dict[str, _Folded]) -> None:
    for row in rows:
        if row.image is None:
            continue
        try:
            with FENCE:
                key = projection.group_of(row.image) + part_in(row.group)
                group = groups.setdefault(key, _Folded())
                group.count += 1
                group.state = projection.folded(group.state, [(row.image, 1)])
        except Exception as error:  # whatever the user's code raises
            groups.setdefault(row.group, _Folded(count=1)).error = f"item {row.key}: {told(error)}"
