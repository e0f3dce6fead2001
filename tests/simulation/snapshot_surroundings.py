"""What a seed draws of a world of snapshots, and what its workers stand on.

Rules of this file: no worker is known here. Called by snapshot_workers.py and snapshot_worlds.py.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.snapshots.run.forgetting import DeletionsKept
from tailrace.sources.export_scan import ExportScan
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import ChangeRecord
from tailrace.testing.exporting import MemoryFiles
from tests.simulation.snapshot_exports import ExportPlan, draw_exports, exports_of, play_past
from tests.simulation.snapshot_mirrors import MOST, MirrorPlan, SimulatedMapping, declared, draw_mirrors
from tests.simulation.snapshot_table import EXPIRES, SimulatedScan, SimulatedTable

WALL_MS: Final = 1_767_225_600_000
TROUBLE_MS: Final = 15_000
"""For so long things happen; then everything is left alone."""
PATIENCE_MS: Final = 400_000
LEASE_MS: Final = 2_000
FORGETTING: Final = DeletionsKept(keep_ms=TROUBLE_MS, margin_ms=1_000, every_ms=2_500)
"""A worker that stands still holds a batch for less."""


class WorldPlan(Struct, frozen=True):
    """What a seed draws. Shape: `segments` of a scan; `expiring` is the share of writes with a time to live.
    Units: of time ms.
    """

    seed: int
    is_exact: bool
    keys: int
    workers: int
    segments: int
    slow_ms: int
    write_ms: int
    retention_ms: int
    fails: float
    lag_ms: int
    parks: float
    happenings: tuple[tuple[int, str], ...]
    is_empty_at_first: bool
    exports: ExportPlan | None
    mirrors: tuple[MirrorPlan, ...]
    expiring: float


HAPPENINGS: Final = (
    "crash", "crash", "freeze", "freeze", "split", "split", "merge", "off", "table", "pause", "asked", "late",
    "outage", "set_back", "set_ahead", "restored", "part", "part",
)  # fmt: skip
HAPPENED: Final = (*dict.fromkeys(HAPPENINGS), "parked", "forgotten", "trimmed", "gap", "swept",
    "exact", "first", "reset", "partial", "stale", "exported", "incremental", "refused", "ttl", "expired",
    "left", "paused", "several", "changes")  # fmt: skip
"""What must have happened in a campaign, or it has judged nothing."""
MAKES_DUE: Final = ("asked", "off", "table", "set_ahead", "restored", "part")
"""After these a scan is due, or somebody asks for one."""


def draw(seed: int) -> WorldPlan:
    """The plan of a seed: the same for ever."""
    random = Random(seed)
    count = random.choice((2, 5, 9, 14))
    exports = draw_exports(seed)
    happenings = sorted((random.randrange(500, TROUBLE_MS), random.choice(HAPPENINGS)) for _ in range(count))
    plan = WorldPlan(
        seed,
        random.random() < 0.4,
        random.choice((4, 9, 20)),
        random.choice((1, 2, 3)),
        random.choice((1, 1, 2)),
        random.choice((0, 20, 100, 600)),
        random.choice((40, 200, 800)),
        random.choice((PATIENCE_MS * 4, PATIENCE_MS * 4, 5_000)),
        random.choice((0.0, 0.0, 0.05)),
        random.choice((0, 0, 0, 1_500)),
        random.choice((0.0, 0.01, 0.1)),
        tuple(happenings),
        random.random() < 0.5,
        exports,
        draw_mirrors(seed, TROUBLE_MS),
        random.choice((0.0, 0.0, 0.2, 0.6)),
    )
    if exports is None:
        return plan
    if seed % 8 == 3:  # nothing makes another snapshot due
        happenings = [happening for happening in happenings if happening[1] not in MAKES_DUE]
    return replace(
        plan, is_empty_at_first=True, retention_ms=exports.retention_ms, happenings=tuple(happenings)
    )


class Surroundings:
    """A plan, and everything that it makes: what workers ask and reach."""

    def __init__(self, plan: WorldPlan, clock: ManualClock) -> None:
        self.plan = plan
        self.random = Random(plan.seed ^ 0x5A)
        self.clock = clock
        self.app, self.mappings = declared(plan.mirrors)
        self.state = MemoryStateStore()
        names = [f"item-{number}" for number in range(plan.keys)]
        self.table = SimulatedTable(self.random, self.clock, names, is_exact=plan.is_exact)
        self.scan = SimulatedScan(self.table, plan.slow_ms)
        exported = MemoryFiles({})
        if plan.exports is not None:
            play_past(self.table, plan.exports, self.random)
            exported = exports_of(self.table, plan.exports)
        self.exported = ExportScan(self.app.tables.values(), lambda place: exported, page_items=2)
        self.fails = self.table.fails = plan.fails
        self.table.slow_ms = plan.slow_ms // 4
        self.began_ms = clock.now().wall_ms
        self.forgetting = FORGETTING
        if plan.exports is not None or any(name == "set_back" for _, name in plan.happenings):
            # Deletions are known for as long as their records can be read.
            self.forgetting = replace(FORGETTING, keep_ms=max(TROUBLE_MS, plan.retention_ms))
        self.outage_until_ms = 0
        self.parked_until_ms = 0
        self.alive: Callable[[str], bool] = lambda name: False
        """Whether a worker's heartbeat moves."""
        self.counts: Counter[str] = Counter()
        self.steps = 0

    # ---- what workers ask ----------------------------------------------------------------------------------

    def is_parked(self, mapping: SimulatedMapping, record: ChangeRecord) -> bool:
        """Whether a change goes behind what is parked of its item, or fails itself."""
        if record.key in mapping.parked:
            return True
        return self.clock.now().monotonic_ms < TROUBLE_MS and self.random.random() < self.plan.parks

    # ---- what is written -----------------------------------------------------------------------------------

    def value(self) -> dict[str, Any] | None:
        """What an item becomes; None: it is deleted."""
        if self.random.random() < 0.4:
            return None
        value: dict[str, Any] = {"n": {"N": str(self.random.randrange(MOST))}}
        if self.random.random() < self.plan.expiring:
            end_s = self.clock.now().wall_ms // 1_000 + self.random.randrange(8)
            value[EXPIRES] = {"N": str(end_s)}
        return value
