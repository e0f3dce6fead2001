"""Plans: how long a million changes take, with full batches and where every change is a call of its own.

Rules of this file: one setting each, over the same traffic, as `tailrace plan` runs it; drawing the traffic
is a figure of its own.
"""

import time
from collections.abc import Iterator
from random import Random

from tailrace.mapping.settings import MappingSettings
from tailrace.planning.core.durations import read_service
from tailrace.planning.core.interpreter import PlannedHandler, PlannedReads, PlanRun
from tailrace.planning.core.sweep import PlannedSetting
from tailrace.planning.core.traffic import KeyShares, PlannedTraffic, RateProfile
from tailrace.planning.run.planned import PlannedPlace, described

RATE = 5_000


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """Each as it is measured. Units: seconds for a million changes, also where fewer were tried."""
    changes = 100_000 if quick else 1_000_000
    started = time.perf_counter()
    keys = KeyShares.read("zipf:1.1")
    lasts_us = changes * 1_000_000 // RATE
    traffic = described(RateProfile.read(f"{RATE}/s"), keys, 1_000, lasts_us, Random(1).random)(4)
    scale = 1_000_000 / traffic.changes
    yield "a plan: drawing a million changes", (time.perf_counter() - started) * scale
    lanes = MappingSettings.for_lambda("tally", ParallelizationFactor=2)
    reads = PlannedPlace("lambda").reads()
    yield "a plan over a million changes, on Lambda", _run(lanes, traffic, "50ms", reads) * scale
    single = MappingSettings("receipt", concurrency=8, batch_size=1)
    reads = PlannedPlace("worker").reads()
    yield "a plan over a million changes, a call each", _run(single, traffic, "1ms", reads) * scale


def _run(settings: MappingSettings, traffic: PlannedTraffic, duration: str, reads: PlannedReads) -> float:
    started = time.perf_counter()
    times = read_service(duration, "call")
    run = PlanRun(PlannedSetting({}, settings, len(traffic.shards)), traffic, PlannedHandler(times), reads)
    for _ in run.run():
        pass
    run.figures()
    return time.perf_counter() - started
