"""Why a setting has the lag that it has, where more concurrency stops helping, and what to do.

Theory of operation. A setting is judged by what was measured while it ran: into which part of the lag the
time went, and in which state the busiest shard was while changes waited. An item's changes are handled one
after the other, so how often the hottest item was at the handler says whether it is the bound. Where a sweep
tries several widths (how many batches of a shard may run at once), the width from which on no larger one is
better by a tenth is where it stops helping, and the reason is that width's own.
Rules of this file: pure; words for people, numbers beside them. Read by the command line.
"""

from collections.abc import Sequence
from math import ceil
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.planning.core.durations import ServiceTimes
from tailrace.planning.core.measures import WAITING, PlanFigures, ShardState
from tailrace.planning.core.quantities import shown_us
from tailrace.planning.core.sweep import width_name
from tailrace.planning.core.traffic import PlannedTraffic

Cause: TypeAlias = Literal[
    "handler", "batch", "concurrency", "calls", "lanes", "hot key", "keys", "order", "window", "reading"
]
BETTER: Final = 0.9
"""A lag, or a backlog, is better when it is below this part of another."""
ALWAYS: Final = 0.9
"""What is at work for such a part of the time has no more to give."""
SPARE: Final = 1.25
"""So much more than the mean is advised: changes come in bursts."""
FEW: Final = 1.5
"""Changes of a batch that do not make it longer by much."""
MOST_FACTOR: Final = 10
"""Source: semantics §2.1, ParallelizationFactor."""


class Bottleneck(Struct, frozen=True):
    """Why a setting is as it is. Shape: `cause` is what more of would help; `advice` what to do, "" where
    nothing needs to be done.
    """

    cause: Cause
    reason: str
    advice: str = ""


class Knee(Struct, frozen=True):
    """Where a sweep over the width stops helping. Shape: `value` the least width that no larger one betters;
    `is_last` when it is the largest that was tried, so that more may still help.
    """

    name: str
    value: int
    beside: str
    is_last: bool
    verdict: Bottleneck


class PlannedCase(Struct, frozen=True):
    """What is known of a plan besides its figures. Shape: `most_calls` as of PlannedHandler; `is_paced`
    whether a stream is read at a worker's pace.
    """

    traffic: PlannedTraffic
    times: ServiceTimes
    most_calls: int | None = None
    is_paced: bool = True

    @property
    def hot_per_second(self) -> float:
        """Changes a second of the hottest item."""
        return self.traffic.hottest_count * 1_000_000 / self.traffic.length_us


def judge(figures: PlanFigures, case: PlannedCase) -> Bottleneck:
    """Why this setting has its lag."""
    reading, waiting, handling = figures.parts
    if not figures.grows and handling >= max(reading, waiting):
        return _handling(figures, case)
    if not figures.grows and reading >= waiting:
        return _reading(figures, case)
    waits = figures.waits
    state = max(WAITING, key=lambda state: waits.get(state, 0.0))
    return _waiting(state, figures, case)


def _handling(figures: PlanFigures, case: PlannedCase) -> Bottleneck:
    handling, size = figures.parts[2], figures.batches[0]
    if size > FEW and handling > FEW * case.times.mean_us(1):
        return Bottleneck(
            "batch",
            f"a change is settled with its batch: {size:,.0f} changes that take {shown_us(handling)}",
            "smaller batches, where lag matters more than calls and checkpoints",
        )
    return Bottleneck("handler", f"nothing waits for long: a change is handled for {shown_us(handling)}")


def _waiting(state: ShardState, figures: PlanFigures, case: PlannedCase) -> Bottleneck:
    """By what changes were doing while they waited, in the busiest shard."""
    settings = figures.setting.settings
    most = case.most_calls
    if most is not None and figures.peak >= most and figures.concurrency >= ALWAYS * most:
        return Bottleneck(
            "calls",
            f"all {most} calls that may run at once do",
            "more workers (--workers), a coroutine in place of a function that blocks, or a larger account "
            "limit",
        )
    if figures.hot_busy >= ALWAYS and state in ("behind", "full") and figures.setting.allowed > 1:
        return _hot_key(figures, case)
    match state:
        case "window":
            window = shown_us(settings.batching_window_ms * 1_000)
            return Bottleneck(
                "window",
                f"changes wait for a batching window of {window}",
                "a shorter window; a full batch never waits for it",
            )
        case "unread":
            return _reading(figures, case)
        case "behind":
            return _behind(figures, case)
    return _full(figures)


def _reading(figures: PlanFigures, case: PlannedCase) -> Bottleneck:
    delay = shown_us(figures.parts[0])
    if not case.is_paced:
        return Bottleneck(
            "reading",
            f"changes wait {delay} until they are read: the buffer is full",
            "a larger buffer_records, or a handler that keeps up",
        )
    return Bottleneck(
        "reading",
        f"changes wait {delay} until they are read: a shard is read at most 5 times a second, idle ones "
        "less often",
        "more shards, or Kinesis with enhanced fan-out; no setting of the handler reads faster",
    )


def _hot_key(figures: PlanFigures, case: PlannedCase) -> Bottleneck:
    settings, rate = figures.setting.settings, case.hot_per_second
    most = settings.batch_size
    capacity = most * 1_000_000 / max(case.times.mean_us(most), 1.0)
    share = case.traffic.hottest_count / case.traffic.changes
    return Bottleneck(
        "hot key",
        f"item {case.traffic.hottest_name} has {share:.1%} of the changes ({rate:,.0f}/s), which are handled "
        f"one after the other: at most {capacity:,.0f}/s",
        "a faster handler, larger batches that are handled as a whole, or an item that is split; no "
        "concurrency makes it faster",
    )


def _behind(figures: PlanFigures, case: PlannedCase) -> Bottleneck:
    settings = figures.setting.settings
    busiest, mean = figures.lanes
    if settings.order == "lane":
        return Bottleneck(
            "lanes",
            f"the busiest lane is at work {min(busiest, 1):.0%} of the time, lanes on average {mean:.0%}: "
            "what waits is of busy lanes, for items are put into lanes by their hashes",
            "more lanes (ParallelizationFactor up to 10) or shards spread them further; app.on lets each "
            "item go on alone",
        )
    return Bottleneck(
        "keys",
        "what was read waits behind other changes of its item, and the buffer holds little else",
        "a larger buffer_records (and max_per_key), or a faster handler",
    )


def _full(figures: PlanFigures) -> Bottleneck:
    setting = figures.setting
    settings, shards = setting.settings, setting.shards
    width, name = settings.at_once, width_name(settings)
    if settings.order == "shard":
        return Bottleneck(
            "order",
            "order='shard' has one batch of a shard at the handler, and that is always there",
            "larger batches, a faster handler, or more shards",
        )
    needed = needed_at_once(figures)
    advised = max(width + 1, ceil(needed * SPARE / shards))
    reason = (
        f"all {width} batches that a shard may have at the handler are there"
        if width > 1
        else "the one batch that a shard may have at the handler is there"
    )
    if settings.order == "lane" and advised > MOST_FACTOR:
        wanted = ceil(needed * SPARE / MOST_FACTOR)
        return Bottleneck(
            "concurrency" if width < MOST_FACTOR else "order",
            f"{reason}; the traffic keeps {needed:,.1f} busy",
            f"{name} ends at {MOST_FACTOR}: larger batches, a faster handler, or {wanted:,} shards",
        )
    return Bottleneck("concurrency", f"{reason}; the traffic keeps {needed:,.1f} busy", f"{name}={advised}")


def needed_at_once(figures: PlanFigures) -> float:
    """How many batches at once would handle everything that is written, on average, as full as they were."""
    if not figures.handled:
        return float(figures.setting.allowed)
    return figures.busy_us / figures.handled * figures.changes / figures.length_us


def knees(figures: Sequence[PlanFigures], case: PlannedCase) -> list[Knee]:
    """Where more width stops helping, for each combination of the other settings of a sweep."""
    groups: dict[tuple[tuple[str, int], ...], list[PlanFigures]] = {}
    for one in figures:
        name = width_name(one.setting.settings)
        if name in one.setting.values:
            rest = tuple((key, value) for key, value in one.setting.values.items() if key != name)
            groups.setdefault(rest, []).append(one)
    told: list[Knee] = []
    for rest, group in groups.items():
        if len(group) < 2:
            continue
        name = width_name(group[0].setting.settings)
        ordered = sorted(group, key=lambda one: one.setting.values[name])
        place = next(
            place
            for place, one in enumerate(ordered)
            if not any(is_better(wider, one) for wider in ordered[place + 1 :])
        )
        beside = " ".join(f"{key}={value}" for key, value in rest)
        knee = ordered[place]
        told.append(
            Knee(name, knee.setting.values[name], beside, place == len(ordered) - 1, judge(knee, case))
        )
    return told


def is_better(one: PlanFigures, other: PlanFigures) -> bool:
    """Whether a setting is better than another by a tenth: in what it handles where one falls behind, else in
    its lag.
    """
    if one.grows or other.grows:
        return one.handled * BETTER > other.handled
    return one.lag_p99 < other.lag_p99 * BETTER


def recommended(figures: Sequence[PlanFigures]) -> PlanFigures | None:
    """The setting with the fewest batches at once, then the fewest calls, among those that keep up and whose
    lag is near the best; None: none keeps up.
    """
    steady = [one for one in figures if not one.grows]
    if not steady:
        return None
    best = min(one.lag_p99 for one in steady)
    near = [one for one in steady if one.lag_p99 * BETTER <= best]
    return min(near, key=lambda one: (one.setting.allowed, one.invocations, one.lag_p99))
