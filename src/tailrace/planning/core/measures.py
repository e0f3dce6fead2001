"""What is counted while a plan runs, and what it comes to.

Theory of operation. Lag is the time from a change's being written to its being handled; of what was never
handled it is its age at the end, which is the least that it will be. It has three parts: until the change was
read, until its batch began, until that ended. What a shard does is kept as lengths of time by its state, so
that the reason for waiting is measured and not guessed: all places at the handler taken, changes that wait
behind others of their lane or key, a batching window, records that are there and not read.
Rules of this file: pure; microseconds from the beginning of the plan, milliseconds in what records say.
Filled by interpreter.py, read by bottlenecks.py and costs.py.
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.mapping.commands import Invoke
from tailrace.planning.core.sweep import PlannedSetting
from tailrace.streams.record import MILLISECOND

ShardState: TypeAlias = Literal["idle", "working", "full", "behind", "window", "unread"]
"""Nothing to do; something is handled and nothing waits; every place at the handler is taken and more waits;
a place is free and what waits is behind others of its lane or key; a window is open; records are there that
were not read.
"""
WAITING: Final[tuple[ShardState, ...]] = ("full", "behind", "window", "unread")
SAMPLES: Final = 64
"""How often the lag is looked at, evenly over the plan."""
GROWS: Final = 0.005
"""Lag that grows by so many seconds a second over the second half does not stand still: 18 s an hour."""
MOSTLY: Final = 0.67
"""A rise is the growth of a lag when it is so large a part of its spread."""


class PlannedCall(Struct, frozen=True):
    """One call of the handler. Shape: `sequences` of its records. Units: microseconds from the beginning."""

    shard: int
    lane: int
    sequences: tuple[int, ...]
    begun_us: int
    ended_us: int


class PlanFigures(Struct, frozen=True):
    """What one setting comes to.

    Shape:   `batches` are the mean, the median and the largest; `lag_series` the lag at even times;
             `parts` how long changes waited on average until they were read, until their batch began and
             while it was handled; `waits` by state the share of the busiest shard's time; `hot` is of the
             item with the most changes, `others` of all but it; `lanes` the share of its time that the
             busiest lane, and lanes on average, were at work; `reads`, `checkpoints` how many there were;
             `handled_lags` of what was handled, ascending.
    Units:   microseconds; growth in seconds a second.
    """

    setting: PlannedSetting
    length_us: int
    changes: int
    handled: int
    invocations: int
    lag_p50: int
    lag_p99: int
    lag_end: int
    growth: float
    grows: bool
    lag_series: tuple[int, ...]
    parts: tuple[float, float, float]
    concurrency: float
    peak: int
    batches: tuple[float, int, int]
    waits: Mapping[ShardState, float]
    lanes: tuple[float, float]
    hot_p99: int
    others_p99: int
    hot_busy: float
    reads: int
    checkpoints: int
    busy_us: int
    left: int
    handled_lags: Sequence[int]

    @property
    def per_second(self) -> float:
        """Changes handled a second."""
        return self.handled * 1_000_000 / self.length_us


class Meter:
    """What is counted of one setting. Shape: `hottest` is the key of the item with the most changes."""

    def __init__(self, setting: PlannedSetting, length_us: int, begins_ms: int, hottest: bytes) -> None:
        self.setting = setting
        self._length_us = length_us
        self._begins_us = begins_ms * MILLISECOND
        self._hottest = hottest
        self.lags = array("q")
        """Of all items but the hottest."""
        self.handled = array("q")
        """Sequence numbers, in the order in which they were handled."""
        self.hot_lags = array("q")
        self.sizes = array("q")
        self.series: list[int] = []
        self.read_us = self.waited_us = self.handled_us = 0
        self.read_count = 0
        self.in_flight = self.peak = 0
        self._flown_us = self._since_us = 0
        self.reads = self.checkpoints = self.invocations = 0
        self.busy_us = self._hot_us = 0
        self._lanes: dict[tuple[int, int], int] = {}
        self.states: list[dict[ShardState, int]] = [{} for _ in range(setting.shards)]

    # ---- what happens --------------------------------------------------------------------------------------

    def was_read(self, created: Sequence[int], now_us: int) -> None:
        """Records have come, which were created then. Units: created in milliseconds from the beginning."""
        self.read_count += len(created)
        self.read_us += len(created) * now_us - sum(created) * 1_000

    def begun(self, now_us: int) -> None:
        """A call begins."""
        self._fly(now_us)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)

    def ended(self, shard: int, invoke: Invoke, begun_us: int, now_us: int) -> None:
        """It has ended, and its records are handled."""
        self._fly(now_us)
        self.in_flight -= 1
        took_us = now_us - begun_us
        self.invocations += 1
        self.busy_us += took_us
        lane = (shard, invoke.lane)
        self._lanes[lane] = self._lanes.get(lane, 0) + took_us
        records = invoke.records
        if not records:
            return
        self.sizes.append(len(records))
        base, hottest = self._begins_us + now_us, self._hottest
        self.handled.extend([record.sequence for record in records])
        lags = [base - record.created_us for record in records if record.key != hottest]
        self.lags.extend(lags)
        self.handled_us += took_us * len(records)
        self.waited_us += sum(lags)
        if len(lags) < len(records):
            hot = [base - record.created_us for record in records if record.key == hottest]
            self.hot_lags.extend(hot)
            self.waited_us += sum(hot)
            self._hot_us += took_us

    def spent(self, shard: int, state: ShardState, length_us: int) -> None:
        """A shard was in a state for so long."""
        states = self.states[shard]
        states[state] = states.get(state, 0) + length_us

    def _fly(self, now_us: int) -> None:
        self._flown_us += self.in_flight * (now_us - self._since_us)
        self._since_us = now_us

    # ---- what it comes to ----------------------------------------------------------------------------------

    def figures(self, left: Sequence[int], changes: int) -> PlanFigures:
        """What it came to at the end. Shape: `left` are the ages of the changes that were not handled. Units:
        microseconds.
        """
        length = self._length_us
        self._fly(length)
        handled = len(self.handled)
        others, hot = sorted(self.lags), sorted(self.hot_lags)
        of_handled = sorted([*others, *hot])
        lags = sorted([*of_handled, *left])
        growth, grows = trend(self.series[len(self.series) // 2 :], length / SAMPLES)
        waited = self.waited_us / handled if handled else 0.0
        handling = self.handled_us / handled if handled else 0.0
        reading = self.read_us / self.read_count if self.read_count else 0.0
        sizes = sorted(self.sizes)
        busiest = max(self.states, key=lambda states: sum(states.get(state, 0) for state in WAITING))
        lanes = [busy / length for busy in self._lanes.values()]
        end = self.series[-1] if self.series else 0
        return PlanFigures(
            self.setting,
            length,
            changes,
            handled,
            self.invocations,
            percentile(lags, 50),
            percentile(lags, 99),
            end,
            growth,
            grows and bool(left),
            tuple(self.series),
            (reading, max(0.0, waited - reading - handling), handling),
            self._flown_us / length,
            self.peak,
            (handled / len(sizes) if sizes else 0.0, percentile(sizes, 50), sizes[-1] if sizes else 0),
            {state: spent / length for state, spent in busiest.items()},
            (max(lanes, default=0.0), sum(lanes) / max(1, self.setting.allowed)),
            percentile(hot, 99),
            percentile(others, 99),
            self._hot_us / length,
            self.reads,
            self.checkpoints,
            self.busy_us,
            len(left),
            of_handled,
        )


def percentile(ascending: Sequence[int], percent: int) -> int:
    """The nearest rank. Shape: 0 of nothing.

    >>> percentile([1, 2, 3, 4], 50), percentile([1, 2, 3, 4], 99), percentile([], 50)
    (2, 4, 0)
    """
    if not ascending:
        return 0
    return ascending[max(0, -(-len(ascending) * percent // 100) - 1)]


def trend(series: Sequence[int], apart_us: float) -> tuple[float, bool]:
    """How fast a series grows, and whether that is what it does: it rises by most of what it spreads, so a
    lag that goes up and down does not.

    >>> trend([0, 10, 20, 30], 10), trend([0, 30, 1, 31], 10)[1], trend([7, 7], 10)
    ((1.0, True), False, (0.0, False))
    """
    growth = slope(series, apart_us)
    rise_us = growth * apart_us * (len(series) - 1)
    spread_us = max(series, default=0) - min(series, default=0)
    return growth, growth >= GROWS and rise_us > spread_us * MOSTLY


def slope(series: Sequence[int], apart_us: float) -> float:
    """How fast a series grows, by least squares: microseconds a microsecond.

    >>> slope([0, 10, 20, 30], 10), slope([5, 5], 10), slope([], 10)
    (1.0, 0.0, 0.0)
    """
    count = len(series)
    if count < 2:
        return 0.0
    middle, mean = (count - 1) / 2, sum(series) / count
    spread = sum((place - middle) ** 2 for place in range(count))
    return sum((place - middle) * (lag - mean) for place, lag in enumerate(series)) / spread / apart_us
