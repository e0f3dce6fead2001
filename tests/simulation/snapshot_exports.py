"""What a simulated table was before a world begins, and the exports that were made of it meanwhile.

Theory of operation: hours of writes are played on a clock of their own, so that exports have the windows that
AWS makes. A seed draws when the stream was switched on, when the full export was made, how many incremental
ones follow, and whether one of them is not there. What must be accepted is known here without the code that
decides it.
Rules of this file: exports are bytes as DynamoDB writes them. Called by snapshot_surroundings.py.
"""

from random import Random
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.exports.core.exported import ExportedItem
from tailrace.testing.exporting import ExportForm, MemoryFiles, full_export, incremental_export
from tests.simulation.snapshot_table import SimulatedTable

MINUTE_MS: Final = 60_000
PAST_MS: Final = 180 * MINUTE_MS
CLOCKS_MS: Final = 5 * MINUTE_MS
"""By so much exports reach further than they would have to."""


class ExportPlan(Struct, frozen=True):
    """Units: ms before the world begins; `windows` ms each; `retention_ms` of the stream. Shape: `lacks` is
    which incremental export is not there, None: all are.
    """

    on_ms: int
    full_ms: int
    windows: tuple[int, ...]
    lacks: int | None
    retention_ms: int

    @property
    def told_ms(self) -> int:
        """Up to when the exports that join tell the table, before the world begins."""
        windows = self.windows if self.lacks is None else self.windows[: self.lacks]
        end_ms = self.full_ms
        for window in windows:
            end_ms = _whole_s(end_ms) - window
        return end_ms

    @property
    def needed_ms(self) -> int:
        """Up to when they have to, before the world begins."""
        return min(self.on_ms, self.retention_ms) - CLOCKS_MS


def draw_exports(seed: int) -> ExportPlan | None:
    """What a seed has of exports; None: nothing."""
    if seed % 4 != 3:
        return None
    random = Random(seed ^ 0xE8)
    full_ms = random.choice((170, 90, 50, 40, 20)) * MINUTE_MS + random.randrange(2_000)
    plan = ExportPlan(
        random.choice((175, 175, 60, 30, 2)) * MINUTE_MS, full_ms, (), None,
        random.choice((240, 240, 45)) * MINUTE_MS,
    )  # fmt: skip
    most = random.choice((0, 1, 12, 12))
    while len(plan.windows) < most and plan.told_ms > plan.needed_ms:
        window_ms = random.choice((15, 20, 60)) * MINUTE_MS
        if _whole_s(plan.told_ms) < window_ms:
            break
        plan = replace(plan, windows=(*plan.windows, window_ms))
    if plan.windows and random.random() < 0.25:
        return replace(plan, lacks=random.randrange(len(plan.windows)))
    return plan


def play_past(table: SimulatedTable, plan: ExportPlan, random: Random) -> None:
    """Write what was written before the world begins; the stream is on at its end."""
    now = table.clock
    began_ms = now.now().wall_ms - PAST_MS
    past = table.clock = ManualClock(began_ms)
    moments = sorted(random.randrange(PAST_MS) for _ in range(len(table.keys) * 6))
    for moment in moments:
        if not table.is_on and moment >= PAST_MS - plan.on_ms:
            past.set(began_ms + PAST_MS - plan.on_ms)
            table.switch_on()
        past.set(began_ms + moment)
        value: dict[str, Any] = {"n": {"N": str(random.randrange(99))}}
        table.put(random.randrange(len(table.keys)), None if random.random() < 0.4 else value)
    if not table.is_on:
        past.set(began_ms + PAST_MS - plan.on_ms)
        table.switch_on()
    table.clock = now
    table.trim(now.now().wall_ms - plan.retention_ms)


def exports_of(table: SimulatedTable, plan: ExportPlan) -> MemoryFiles:
    """The exports, as they lie somewhere."""
    now_ms = table.clock.now().wall_ms
    form = ExportForm(table_id=table.table_id)
    end_us = (now_ms - plan.full_ms) * 1_000
    blobs = full_export(_items(table, end_us).values(), end_us, form)
    for number, window_ms in enumerate(plan.windows):
        begin_us = end_us - end_us % 1_000_000
        end_us = begin_us + window_ms * 1_000
        if number != plan.lacks:
            changes = _changes(table, begin_us, end_us)
            blobs |= incremental_export(changes, (begin_us, end_us), form, number=number + 2)
    return MemoryFiles(blobs)


def _items(table: SimulatedTable, before_us: int) -> dict[int, dict[str, Any]]:
    last = {place: new for wall_us, place, new in table.written if wall_us < before_us}
    return {place: new for place, new in last.items() if new is not None}


def _changes(table: SimulatedTable, begin_us: int, end_us: int) -> list[ExportedItem]:
    before = _items(table, begin_us)
    last = {place: (wall_us, new) for wall_us, place, new in table.written if begin_us <= wall_us < end_us}
    return [
        ExportedItem(table.keys[place].keys, new, before.get(place), wall_us)
        for place, (wall_us, new) in last.items()
    ]


def _whole_s(before_ms: int) -> int:
    """A moment before the world begins, at the beginning of its second: worlds begin at a whole one."""
    return -(-before_ms // 1_000) * 1_000
