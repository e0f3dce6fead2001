"""The mappings of a world of snapshots: what each writes to, what is parked of it, and what it has to show.

Theory of operation: a mapping is given whole tables, or changes alone; all items, or those that its filter
wants, into and out of which they go. What it shows is compared with the table: of one that is given changes
alone only the items whose last write is in a stream, and was not told as lost.
Rules of this file: no worker is known here. Called by snapshot_surroundings.py and its callers.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

import orjson
from msgspec import Struct

from tailrace.app.app import App, HandlerMapping
from tailrace.app.item import Item
from tailrace.app.predicates import new
from tailrace.deadletters.core.gap import Gap
from tailrace.streams.record import ChangeRecord
from tailrace.testing.mirrors import MirrorMemory, SimulatedMirror
from tests.simulation.snapshot_table import SCHEMA, SimulatedTable

APP, MAPPING = "shop", "mirror"
MOST: Final = 99
HALF: Final = 50
"""A filter wants items with a smaller number."""


class MirrorPlan(Struct, frozen=True):
    """What a seed draws of a mapping. Shape: `is_kept`: it is given whole tables. Units: paused_ms, how long
    its first snapshot stands still.
    """

    name: str
    is_kept: bool = True
    is_filtered: bool = False
    paused_ms: int = 0


def draw_mirrors(seed: int, trouble_ms: int) -> tuple[MirrorPlan, ...]:
    """The mappings of a seed, the first of which every world has."""
    random = Random(seed ^ 0x3A)
    mirrors = [MirrorPlan(MAPPING, is_filtered=random.random() < 0.3)]
    if random.random() < 0.35:
        paused_ms = random.choice((0, trouble_ms // 5, trouble_ms // 2, trouble_ms))
        mirrors.append(MirrorPlan("second", is_filtered=random.random() < 0.5, paused_ms=paused_ms))
    if random.random() < 0.2:
        mirrors.append(MirrorPlan("changes", is_kept=False, is_filtered=random.random() < 0.7))
    return tuple(mirrors)


class SimulatedMapping:
    """One mapping, as all workers know it. Shape: `parked` by item key, as they came; `backups` of what it
    writes to.
    """

    def __init__(self, plan: MirrorPlan, handler: HandlerMapping) -> None:
        self.plan, self.handler = plan, handler
        self.name = plan.name
        self.target = SimulatedMirror()
        self.backups: list[SimulatedMirror] = []
        self.was_restored = False
        self.parked: dict[bytes, list[ChangeRecord]] = {}

    def wants(self, item: Mapping[str, Any] | None) -> bool:
        """Whether an item fits its filter."""
        return item is not None and (not self.plan.is_filtered or int(item["n"]["N"]) < HALF)

    def park(self, records: Sequence[ChangeRecord]) -> int:
        """These are kept until they are put back, each version once, as their rows are: numbers of two
        streams may be equal. Returns: how many were not there yet.
        """
        parked = 0
        for record in records:
            there = self.parked.setdefault(record.key, [])
            if all(one.version != record.version for one in there):
                there.append(record)
                parked += 1
        return parked

    # ---- restored ------------------------------------------------------------------------------------------

    def back_up(self) -> None:
        """Keep what is there now."""
        self.backups.append(SimulatedMirror(dict(self.target.rows), dict(self.target.sources)))

    def restore(self, backup: SimulatedMirror, keys: Collection[bytes] | None = None) -> None:
        """All is as it was then, or the rows of some items are."""
        self.was_restored = True
        rows = self.target.rows
        for key in [*rows] if keys is None else keys:
            rows.pop(key, None)
        rows.update({key: row for key, row in backup.rows.items() if keys is None or key in keys})
        if keys is None:
            self.target.sources = dict(backup.sources)

    # ---- the end -------------------------------------------------------------------------------------------

    def differences(self, table: SimulatedTable, gaps: Sequence[Gap]) -> Iterator[str]:
        """What it shows instead of what the table has. Shape: `gaps` are those that it was told of."""
        shown = {key: orjson.loads(image) for key, image in self.target.shown.items()}
        wanted = {key: item for key, item in table.items.items() if self.wants(item)}
        judged = {*shown, *wanted} if self.plan.is_kept else set(self._told(table, gaps))
        for key in sorted(judged):
            if shown.get(key) != wanted.get(key):
                yield (
                    f"{key[8:]!r}: {self.name} has {shown.get(key)} ({self.target.rows.get(key)}), the table "
                    f"{wanted.get(key)}"
                )

    def _told(self, table: SimulatedTable, gaps: Sequence[Gap]) -> Iterator[bytes]:
        """The items of which it was given every write, or every one that can be read since. Of a filter's the
        former: an item that comes back as what it does not want is not told to leave.
        """
        lost = {gap.shard_id for gap in gaps}
        keys = {shard.shard_id: shard.keys for shard in table.lineage}
        for key, (shard, record) in table.told.items():
            is_lost = any(key in keys.get(shard_id, (key,)) for shard_id in lost)
            is_there = shard.shard_id in keys and record.sequence > shard.gone
            if is_there and not is_lost and not (self.plan.is_filtered and key in table.untold):
                yield key


def declared(plans: Sequence[MirrorPlan]) -> tuple[App, list[SimulatedMapping]]:
    """An app with these mappings."""
    app = App(APP)
    orders = app.table(SCHEMA.name, pk="id")

    class Order(Item, table=orders):
        id: str
        n: int = 0

    for plan in plans:
        where = new(Order.n) < HALF if plan.is_filtered else None
        app.sink(Order, MirrorMemory(), id=plan.name, where=where, snapshot=plan.is_kept)
    handlers = {mapping.id: mapping for mapping in app.mappings}
    return app, [SimulatedMapping(plan, handlers[plan.name]) for plan in plans]
