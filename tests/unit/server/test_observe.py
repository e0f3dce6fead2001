"""Metrics and readiness: views of one snapshot."""

import asyncio

import orjson
import pytest
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families

from tailrace.engine.destinations.destinations import DestinationStanding
from tailrace.runtime.attempts import Tally
from tailrace.server.observe import (
    Durations,
    HandlerTotals,
    Limits,
    Observed,
    ShardProgress,
    metrics,
    ready,
    samples,
)
from tailrace.server.scrape import routes
from tailrace.telemetry import METRICS

QUIET = Observed("1.2.3")
LIMITS = Limits(age_ms=60_000, still_ms=30_000)
BUSY = Observed(
    "1.2.3",
    progress=(
        ShardProgress("mail", "shop", "shardId-1", 5_000, 700),
        ShardProgress("mail", "shop", "shardId-2", 9_000, 300),
        ShardProgress("mail", "shop", "shardId-3", None, 900_000),
        ShardProgress("audit", "shop", "shardId-1", None, 80_000),
        ShardProgress("audit", "shop", "shardId-2", None, 4_000),
    ),
    handlers=(
        HandlerTotals(
            "mail",
            "shop",
            {"handled": 7, "filtered": 2},
            1,
            3,
            Durations((("0.1", 4), ("+Inf", 7)), 1.5),
            gap_records=6,
            unbalanced=1,
            tally=Tally(unsaved=4),
        ),
        HandlerTotals("audit", "shop", {"handled": 9}),
    ),
    snapshots=(
        {
            "handler": "copy",
            "state": "scanning",
            "share": 0.25,
            "items": 250,
            "read_units": 61.5,
            "left_ms": 15_000,
            "still_ms": 700,
            "ended_ms": None,
        },
        {"handler": "old", "state": "waiting", "still_ms": 9_000},
        {"handler": "full", "state": "done", "share": 1.0, "items": 9, "still_ms": 0, "ended_ms": 1_699_500},
    ),
    requests={("PutItem", "200"): 12, ("PutItem", "400"): 1},
    shards={("shop", "open"): 2, ("shop", "closed"): 1},
    destinations=[DestinationStanding("shop", "arn:copies", "ACTIVE", 2_500, 7, 3, 2)],
    commits=5,
    retention_ms=10_000,
    wall_ms=1_700_000,
    leases={"held": 3, "draining": 1, "wanted": 0},
    calls={("get_records", "ok"): 8, ("get_records", "ThrottlingException"): 1},
    lease_changes={"taken over": 2},
    away_ms={"state": 61_000},
    cost_usd=0.25,
)


def exposed(observed: Observed) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    status, content_type, body = metrics(observed)
    assert (status, content_type.partition(";")[0]) == (200, "text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("tailrace_lag_seconds", {"table": "shop", "handler": "mail"}, 9.0),
        ("tailrace_lag_seconds", {"table": "shop", "handler": "audit"}, 0.0),
        ("tailrace_last_progress_timestamp_seconds", {"table": "shop", "handler": "mail"}, 1_699.3),
        ("tailrace_last_progress_timestamp_seconds", {"table": "shop", "handler": "audit"}, 1_696.0),
        ("tailrace_retention_left_seconds", {"table": "shop", "handler": "mail"}, 1.0),
        ("tailrace_changes_total", {"handler": "mail", "outcome": "filtered"}, 2.0),
        ("tailrace_duplicates_suppressed_total", {"handler": "mail"}, 1.0),
        ("tailrace_dead_letters", {"handler": "mail"}, 3.0),
        ("tailrace_handler_seconds_bucket", {"handler": "mail", "le": "0.1"}, 4.0),
        ("tailrace_handler_seconds_sum", {"handler": "mail"}, 1.5),
        ("tailrace_requests_total", {"operation": "PutItem", "status": "400"}, 1.0),
        ("tailrace_commits_total", {}, 5.0),
        ("tailrace_leases", {"state": "held"}, 3.0),
        ("tailrace_source_calls_total", {"operation": "get_records", "result": "ok"}, 8.0),
        ("tailrace_shards", {"table": "shop", "state": "closed"}, 1.0),
        ("tailrace_lease_changes_total", {"reason": "taken over"}, 2.0),
        ("tailrace_unreachable_seconds", {"what": "state"}, 61.0),
        ("tailrace_source_cost_usd_total", {}, 0.25),
        ("tailrace_gap_records_total", {"handler": "mail"}, 6.0),
        ("tailrace_unbalanced_changes", {"handler": "mail"}, 1.0),
        ("tailrace_checkpoint_failures_total", {"handler": "mail"}, 4.0),
        ("tailrace_snapshot_done_ratio", {"handler": "copy"}, 0.25),
        ("tailrace_snapshot_items", {"handler": "copy"}, 250.0),
        ("tailrace_snapshot_rcu", {"handler": "copy"}, 61.5),
        ("tailrace_snapshot_left_seconds", {"handler": "copy"}, 15.0),
        ("tailrace_snapshot_still_seconds", {"handler": "old"}, 9.0),
        ("tailrace_snapshot_state", {"handler": "copy", "state": "scanning"}, 1.0),
        ("tailrace_snapshot_state", {"handler": "copy", "state": "done"}, 0.0),
        ("tailrace_snapshot_end_timestamp_seconds", {"handler": "full"}, 1_699.5),
        ("tailrace_kinesis_destination_oldest_seconds", {"table": "shop", "stream": "arn:copies"}, 2.5),
        (
            "tailrace_kinesis_destination_throttled_records_total",
            {"table": "shop", "stream": "arn:copies"},
            7.0,
        ),
        (
            "tailrace_kinesis_destination_failed_records_total",
            {"table": "shop", "stream": "arn:copies", "reason": "too large"},
            3.0,
        ),
        (
            "tailrace_kinesis_destination_failed_records_total",
            {"table": "shop", "stream": "arn:copies", "reason": "lost"},
            2.0,
        ),
        ("tailrace_build_info", {"version": "1.2.3"}, 1.0),
    ],
)
def test_a_scrape_says_what_the_snapshot_says(name: str, labels: dict[str, str], value: float) -> None:
    assert exposed(BUSY)[name, tuple(sorted(labels.items()))] == value


def test_what_is_not_known_of_a_snapshot_is_absent() -> None:
    for name in ("tailrace_snapshot_left_seconds", "tailrace_snapshot_done_ratio", "tailrace_snapshot_rcu"):
        assert (name, (("handler", "old"),)) not in exposed(BUSY)
    assert ("tailrace_snapshot_end_timestamp_seconds", (("handler", "copy"),)) not in exposed(BUSY)


def test_every_metric_has_samples_and_no_other_is_exposed() -> None:
    names = {name for name, _ in exposed(BUSY)}
    for metric in METRICS:
        assert any(name.startswith(metric.name) for name in names), metric.name
    assert all(any(name.startswith(metric.name) for metric in METRICS) for name in names)


def test_the_labels_of_every_sample_are_those_that_telemetry_lists() -> None:
    for metric in METRICS:
        for labels, _ in samples(metric, BUSY):
            assert len(labels) == len(metric.labels), metric.name


def test_a_node_without_handlers_is_ready_and_can_be_scraped() -> None:
    assert ready(QUIET)[0] == 200
    assert exposed(QUIET)["tailrace_commits_total", ()] == 0.0


@pytest.mark.parametrize(
    ("age_ms", "still_ms", "is_ready"),
    [
        (None, 900_000, True),  # nothing to do since long
        (900_000, 30_000, True),  # far behind, and moving
        (60_000, 900_000, True),  # still, but the change is young
        (60_001, 30_001, False),
        (900_000, 900_000, False),
    ],
)
def test_readiness_fails_only_when_an_old_change_waits_and_nothing_moves(
    age_ms: int | None, still_ms: int, is_ready: bool
) -> None:
    observed = Observed("1", progress=(ShardProgress("mail", "shop", "shardId-1", age_ms, still_ms),))
    status, content_type, body = ready(observed, LIMITS)
    answer = orjson.loads(body)
    assert (status, content_type, answer["ready"]) == (200 if is_ready else 503, "application/json", is_ready)
    assert [reason["handler"] for reason in answer["reasons"]] == ([] if is_ready else ["mail"])


def test_one_stuck_shard_is_enough_and_is_named() -> None:
    stuck = ShardProgress("mail", "shop", "shardId-9", 70_000, 70_000)
    observed = structs.replace(BUSY, progress=(*BUSY.progress, stuck))
    reasons = orjson.loads(ready(observed, LIMITS)[2])["reasons"]
    assert [(reason["shard"], reason["hint"]) for reason in reasons] == [("shardId-9", "tailrace status")]
    assert "70 s" in reasons[0]["message"]


def test_a_failed_commit_ends_readiness() -> None:
    status, _, body = ready(structs.replace(QUIET, commit_error="disk is full"))
    assert (status, orjson.loads(body)["reasons"][0]["reason"]) == (503, "commit")
    assert b"disk is full" in body


def test_routes_take_a_new_snapshot_for_every_request() -> None:
    snapshots = iter([structs.replace(QUIET, commit_error="gone"), QUIET, BUSY])

    async def look() -> Observed:
        return next(snapshots)

    paths = routes(look)
    assert [asyncio.run(paths["/ready"]())[0] for _ in range(2)] == [503, 200]
    assert b'version="1.2.3"' in asyncio.run(paths["/metrics"]())[2]
