"""Draws the plan of a simulated run from its seed: the same for ever, on every machine.

Rules of this file: every choice is the seed's, in the order of the calls: a new one is drawn behind those of
before, or all seeds play other runs. Called by simulation.py.
"""

from itertools import pairwise
from random import Random
from typing import Any, Final

from msgspec.structs import replace

from tailrace.mapping.filters import read_filter_criteria
from tailrace.mapping.outcomes import FailureKind
from tailrace.mapping.settings import INFINITE, Backoff, BreakerSettings, MappingSettings
from tailrace.streams.record import MILLISECOND, ChangeRecord
from tailrace.streams.shards import HASHES
from tailrace.testing.simulation_plan import (
    FAULTS,
    FLEET_FAULTS,
    MAPPING,
    MEMBER_FAULTS,
    WALL_MS,
    Fault,
    MappingPlan,
    ShardPlan,
    SimulationPlan,
    Style,
    count,
)

RETENTIONS: Final = 5
"""Records are written for at most so many times as long as a stream keeps one: some wait for longer."""
BESIDE_IT: Final = "beside"
BESIDE: Final = 1 / 3
"""So many runs have a second mapping."""
TRANSACTIONAL: Final = 0.15
"""So many mappings have a target that owns the checkpoint."""
STYLES: Final[tuple[Style, ...]] = ("vector", "whole", "partial")
TROUBLES: Final = (FailureKind.RECORD, FailureKind.RECORD, FailureKind.TIMEOUT)
FILTERS: Final = read_filter_criteria({
    "Filters": [
        {"Pattern": '{"eventName": ["MODIFY"], "dynamodb": {"SizeBytes": [{"numeric": ["<", 700]}]}}'},
        {"Pattern": '{"dynamodb": {"Keys": {"id": {"N": [{"anything-but": ["0", "1", "2"]}]}}}}'},
    ]
})  # fmt: skip
"""Asks the head of a record, its size and its key. `is_wanted` says so without patterns, for checkers."""


def plan(seed: int) -> SimulationPlan:
    """The plan of a seed: the same for ever, on every machine."""
    random = Random(seed)
    span_ms = random.choice((3_000, 30_000, 120_000))
    settings = _settings(random, MAPPING)
    shards, troubles = _shards(random, span_ms)
    style: Style = random.choice(STYLES)
    faults = [
        Fault(
            random.randrange(span_ms),
            random.choice((*FAULTS[:-1], "redrive", "redrive")),
            random.randrange(100, span_ms // 2),
        )
        for _ in range(random.choice((0, 2, 4, 8)))
    ]
    if random.random() < 0.05:
        faults.append(Fault(random.randrange(span_ms), "trim"))
    mapping = MappingPlan(settings, style, troubles, random.choice(TROUBLES))
    made = SimulationPlan(
        seed,
        [mapping],
        shards,
        sorted(faults, key=lambda fault: fault.at_ms),
        heal_ms=3 * span_ms,
        latency_ms=random.choice((1, 20, 400)),
        port_failures=random.choice((0.0, 0.0, 0.05, 0.2)),
    )
    if len(shards) > 1 and random.random() < 0.5:
        _split(random, shards)
    retention_ms = random.choice((0, 0, random.choice((4_000, 12_000, 60_000))))
    made.retention_ms = max(retention_ms, span_ms // RETENTIONS) if retention_ms else 0
    if random.random() < BESIDE:
        troubles = _troubles(random, [record for shard in shards for _, record in shard.writes])
        made.mappings.append(
            MappingPlan(
                _settings(random, BESIDE_IT), random.choice(STYLES), troubles, random.choice(TROUBLES)
            )
        )
    for mapping in made.mappings:
        _shape(random, made, mapping)
    _with_a_fleet(random, made, span_ms)
    for mapping in made.mappings:
        if random.random() < TRANSACTIONAL and not mapping.settings.tumbling_window_ms:
            _with_a_target(random, made, mapping, span_ms)
    count(made)
    return made


def _shape(random: Random, made: SimulationPlan, mapping: MappingPlan) -> None:
    """Some mappings have windows, a broken handler, or the order of the whole shard."""
    if mapping.settings.order == "lane" and random.random() < 0.3:
        _with_windows(random, mapping)
    if mapping.settings.order == "key" and random.random() < 0.15:
        _broken(random, made, mapping)
    elif not mapping.settings.tumbling_window_ms and random.random() < 0.2:
        _whole_shard(random, mapping)


def _split(random: Random, shards: list[ShardPlan]) -> None:
    """Two children in place of one, each with its part of the keys."""
    child = shards.pop()
    border = random.choice((1, 1, 2, 5))
    for number, (first, last) in enumerate(((0, border - 1), (border, HASHES - 1)), 1):
        writes = [write for write in child.writes if first <= write[1].partition <= last]
        shards.append(
            ShardPlan(f"shard-{number}", writes, child.closed_ms, child.parents, first, last, child.begins)
        )


def _with_a_fleet(random: Random, made: SimulationPlan, span_ms: int) -> None:
    """Several workers on one state store, several shards at once, and what befalls them."""
    made.workers = random.choice((1, 1, 1, 2, 2, 3, 5, 8))
    if random.random() < (0.5 if made.workers > 1 else 0.15):
        _several_roots(random, made.shards)
    faults = [
        Fault(random.randrange(span_ms), random.choice(FLEET_FAULTS), random.randrange(100, 2 * span_ms))
        for _ in range(random.choice((0, 1, 3)) if made.workers > 1 else random.choice((0, 0, 1)))
    ]
    made.is_upgraded = random.random() < 0.2
    made.has_earlier_stream = random.random() < 0.2
    made.new_yield_crashes = random.choice((0.0, 0.1, 0.4)) if not made.counts["fault broken"] else 0.5
    made.races = random.choice((0.0, 0.0, 0.02, 0.2)) if made.workers > 1 else 0.0
    if made.workers > 1:
        faults += [
            Fault(random.randrange(span_ms), random.choice(MEMBER_FAULTS), random.randrange(100, 2 * span_ms))
            for _ in range(random.choice((0, 0, 1, 3)))
        ]
    made.faults = sorted([*made.faults, *faults], key=lambda fault: fault.at_ms)


def _several_roots(random: Random, shards: list[ShardPlan]) -> None:
    """Several shards in place of the first; what continued it merges them."""
    root = shards.pop(0)
    borders = sorted({0, *(random.choice((1, 2, 4, 8)) for _ in range(random.choice((1, 2, 4)))), HASHES})
    roots = [
        ShardPlan(
            f"{root.shard_id}-{number}",
            [write for write in root.writes if first <= write[1].partition < end],
            root.closed_ms,
            (),
            first,
            end - 1,
        )
        for number, (first, end) in enumerate(pairwise(borders))
    ]
    for shard in shards:
        shard.parents = tuple(
            parent.shard_id for parent in roots if parent.first <= shard.last and shard.first <= parent.last
        )
    shards[:0] = roots


def _broken(random: Random, made: SimulationPlan, mapping: MappingPlan) -> None:
    """A handler with a bug: every record fails until the faults stop, and few keys may be parked."""
    mapping.troubles = {record.sequence: -1 for shard in made.shards for _, record in shard.writes}
    mapping.trouble_kind = FailureKind.RECORD
    mapping.settings = replace(
        mapping.settings,
        on_failure="park",
        max_keys=random.choice((2, 4)),
        maximum_retry_attempts=random.choice((0, 1)),
    )
    made.counts["fault broken"] += 1


def _whole_shard(random: Random, mapping: MappingPlan) -> None:
    """The order of the whole shard: of sinks, which leave a refused record out, or archives, which stop."""
    stops = random.random() < 0.3
    mapping.settings = replace(
        mapping.settings,
        order="shard",
        on_failure="block" if stops else "discard",
        concurrency=1,
        parallelization_factor=1,
        maximum_record_age_ms=INFINITE,
        bisect_batch_on_function_error=True,
        report_batch_item_failures=False,
        filters=() if stops else mapping.settings.filters,
        accepts=None if stops else mapping.settings.accepts,
    )
    mapping.are_final = random.random() < 0.3


def _with_a_target(random: Random, made: SimulationPlan, mapping: MappingPlan, span_ms: int) -> None:
    """A target that owns the checkpoint, perhaps with a past; perhaps it loses what it has."""
    if mapping.settings.order != "shard" or mapping.settings.on_failure != "discard":
        _whole_shard(random, mapping)
        mapping.settings = replace(mapping.settings, on_failure="discard")
    mapping.settings = replace(mapping.settings, is_transactional=True)
    before = random.choice(("", "", "renamed", "set back"))
    if before and not made.is_upgraded:
        mapping.target_before = before
        made.counts["fault target-renamed" if before == "renamed" else "fault target-set-back"] += 1
    if random.random() < 0.5:
        made.faults.append(Fault(random.randrange(span_ms), "target-emptied"))
        made.faults.sort(key=lambda fault: fault.at_ms)
    if random.random() < 0.5:
        made.new_yield_crashes = 0.5


def _with_windows(random: Random, mapping: MappingPlan) -> None:
    """Tumbling windows: one lane, no filters, and a function that says from where on it failed."""
    mapping.settings = replace(
        mapping.settings,
        tumbling_window_ms=random.choice((1_000, 5_000, 60_000)),
        tumbling_idle_ms=random.choice((0, 2_000)),
        parallelization_factor=1,
        filters=(),
        accepts=None,
    )
    if mapping.style == "vector":
        mapping.style = "partial"


def _settings(random: Random, mapping_id: str) -> MappingSettings:
    return _drawn(random, mapping_id).reading("arn:simulated", "NEW_AND_OLD_IMAGES", "us-east-1")


def _drawn(random: Random, mapping_id: str) -> MappingSettings:
    base = random.choice((0, 10, 500))
    common: dict[str, Any] = {
        "batch_size": random.choice((1, 2, 5, 10, 100)),
        "batching_window_ms": random.choice((0, 0, 200, 5_000)),
        "maximum_retry_attempts": random.choice((INFINITE, 0, 1, 2, 5)),
        "maximum_record_age_ms": random.choice((INFINITE, INFINITE, 60_000, 90_000)),
        "bisect_batch_on_function_error": random.random() < 0.6,
        "batch_bytes": random.choice((6_000_000, 3_000)),
        "buffer_records": random.choice((1, 10, 50, 2_000)),
        "buffer_bytes": random.choice((1, 2_000, *5 * (1 << 27,))),
        "checkpoint_interval_ms": random.choice((0, 0, 100, 1_000)),
        "backoff": Backoff(base, random.choice((1.0, 2.0)), random.choice((1_000, 5_000))),
        "breaker": random.choice((None, BreakerSettings(Backoff(200, 2.0, 2_000)), BreakerSettings())),
        "filters": random.choice(((), (), FILTERS)),
        "max_ranges": random.choice((1, 5, 4_096)),
    }
    if random.random() < 0.5:
        return MappingSettings(
            mapping_id,
            order="lane",
            parallelization_factor=random.choice((1, 2, 3, 10)),
            report_batch_item_failures=True,
            **common,
        )
    return MappingSettings(
        mapping_id,
        order="key",
        on_failure=random.choice(("park", "park", "park", "discard", "block", "drop")),
        concurrency=random.choice((1, 1, 2, 5)),
        max_keys=random.choice((1, 2, 4, 1_024)),
        max_per_key=random.choice((1, 3, 1_024)),
        **common,
    )


def _shards(random: Random, span_ms: int) -> tuple[list[ShardPlan], dict[int, int]]:
    keys = random.choice((1, 3, 8, 30))
    shards = []
    sequence = 0
    for number in range(random.choice((1, 1, 2))):
        begins = sequence + 1
        times = sorted(random.randrange(span_ms) for _ in range(random.choice((0, 1, 20, 60, 120))))
        writes = []
        for at_ms in times:
            sequence += random.choice((1, 1, 1, 7))
            key = min(random.randrange(keys), random.randrange(keys))
            record = ChangeRecord(
                sequence=sequence,
                shard=number,
                event_name="MODIFY",
                created_us=(WALL_MS + at_ms) * MILLISECOND,
                partition=key // 2,
                size_bytes=random.randrange(100, 999),
                key=b"%d" % key,
                keys=b'{"id":{"N":"%d"}}' % key,
                new=b"x" * random.choice((10, 900)),
            )
            writes.append((at_ms, record))
        parents = (f"shard-{number - 1}",) if number else ()
        shards.append(ShardPlan(f"shard-{number}", writes, span_ms + number * 10, parents, begins=begins))
    return shards, _troubles(random, [record for shard in shards for _, record in shard.writes])


def _troubles(random: Random, records: list[ChangeRecord]) -> dict[int, int]:
    poison, flaky = random.choice((0.0, 0.0, 0.03, 0.2)), random.choice((0.0, 0.05, 0.3))
    troubles: dict[int, int] = {}
    for record in records:
        drawn = random.random()
        if drawn < poison:
            troubles[record.sequence] = -1
        elif drawn < poison + flaky:
            troubles[record.sequence] = random.choice((1, 2, 3))
    return troubles
