"""A plan is carried out: a handler of an app, traffic, and one setting after the other.

Theory of operation: where the handler runs says how its stream is read and how many calls may run at once. In
`dev` a reader is woken by each commit. A worker reads at the pace of its own `Pacer`, a function that blocks
runs in one of its threads. Lambda looks at each shard four times a second.
Rules of this file: it joins; chance is given. Called by cli/plan.py.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.app.checking import blocks
from tailrace.app.mapping import HandlerMapping
from tailrace.mapping.settings import MappingSettings
from tailrace.planning.core.durations import ServiceTimes, Unit
from tailrace.planning.core.interpreter import EvenPace, PlannedHandler, PlannedReads, PlanRun
from tailrace.planning.core.measures import PlanFigures
from tailrace.planning.core.sweep import PlannedSetting
from tailrace.planning.core.traffic import (
    Draw,
    DrawnItems,
    KeyShares,
    PlannedTraffic,
    RateProfile,
    drawn_arrivals,
    traffic_of,
)
from tailrace.runtime.pacing import CALLS_PER_S, Pacer, PacingSettings
from tailrace.runtime.threads import threads_for

PlanPlace: TypeAlias = Literal["dev", "worker", "lambda"]
ANSWER_US: Final = 10_000
"""How long a GetRecords takes, about."""
LAMBDA_MS: Final = 250
"""How often Lambda looks at a shard: four times a second. Source: semantics §2.3."""
BEGINS_MS: Final = 1_767_225_600_000
"""When described traffic begins: any time does, and the same one tells the same."""


class PlannedPlace(Struct, frozen=True):
    """Where the handler is to run. Shape: `most_calls` what was typed, None: as the place has it."""

    kind: PlanPlace
    workers: int = 1
    most_calls: int | None = None

    def reads(self) -> PlannedReads:
        """How its stream is read."""
        if self.kind == "dev":
            return PlannedReads()
        if self.kind == "lambda":
            return PlannedReads(lambda: EvenPace(LAMBDA_MS), ANSWER_US)
        settings = PacingSettings(calls_per_s=CALLS_PER_S * self.workers)
        return PlannedReads(lambda: Pacer(settings), ANSWER_US)

    def calls(self, mapping: HandlerMapping, settings: MappingSettings) -> int | None:
        """How many calls may run at once; None: as many as there are."""
        if self.most_calls is not None:
            return self.most_calls
        if self.kind == "lambda" or not blocks(mapping.kind, mapping.target):
            return None
        return threads_for(settings.concurrency) * self.workers


def unit_of(mapping: HandlerMapping) -> Unit:
    """What the handler is called for: one change, or a batch."""
    return "change" if mapping.kind == "on" else "call"


def base_settings(mapping: HandlerMapping) -> MappingSettings:
    """The machine's settings of a handler, without its filters: traffic is what passes them."""
    return replace(mapping.settings, accepts=None, filters=())


def described(
    profile: RateProfile, keys: KeyShares, item_bytes: int, rest_us: int, chance: Draw
) -> Callable[[int], PlannedTraffic]:
    """Described traffic, over as many shards as are asked for: the same changes for any number. Raises:
    SettingsError.
    """
    rates = profile.lasting(rest_us)
    length_us = sum(lasts for _, lasts in rates)
    arrivals = drawn_arrivals(rates, keys, chance)
    items = DrawnItems(keys.count)
    text = f"{profile.text} of {keys.text}"

    def over(shards: int) -> PlannedTraffic:
        return traffic_of(text, arrivals, items, shards, BEGINS_MS, length_us, item_bytes=item_bytes)

    return over


class PlanProgress(Struct, frozen=True):
    """How far a plan is. Shape: `done` of all changes of all settings; a setting that is over has its
    figures.
    """

    done: int
    total: int
    figures: PlanFigures | None = None
    traffic: PlannedTraffic | None = None


def run_plan(
    mapping: HandlerMapping,
    settings: Sequence[PlannedSetting],
    over: Callable[[int], PlannedTraffic],
    times: ServiceTimes,
    place: PlannedPlace,
) -> Iterator[PlanProgress]:
    """One setting after the other over the same changes. Raises: SettingsError."""
    known: dict[int, PlannedTraffic] = {}
    done = total = 0
    for setting in settings:
        traffic = known.get(setting.shards) or known.setdefault(setting.shards, over(setting.shards))
        total = traffic.changes * len(settings)
        handler = PlannedHandler(times, place.calls(mapping, setting.settings))
        run = PlanRun(setting, traffic, handler, place.reads())
        for part in run.run():
            yield PlanProgress(done + int(part * traffic.changes), total)
        done += traffic.changes
        yield PlanProgress(done, total, run.figures(), traffic)
