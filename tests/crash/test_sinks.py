"""Processes that are killed in the work of sinks: targets become the table, and faulty sinks are caught."""

from decimal import Decimal

import pytest

from tailrace.telemetry import SINK_POINTS
from tests.crash.sinks import LONG, SINKS, WAYS, Outcome, kill_at, kinds_of, plan
from tests.crash.sinks_targets import InParquet, differences, same


def quiet(text: str) -> None:
    """Nothing is shown."""


QUICK = ("postgres", "duckdb", "lake")
"""One with a server, one with a file, one with files that nobody locks."""


def test_a_target_of_each_shape_is_the_table_after_kills_in_calls_of_its_sink() -> None:
    planned = ["dev: at page.written", "dev: duckdb, after a call", "dev: postgres, its server"]
    outcome = kill_at(planned, quiet, QUICK)
    assert outcome.violations == []
    assert outcome.kills.total() == len(planned)
    assert outcome.changes > 20


@pytest.mark.slow
def test_each_target_is_the_table_after_kills_in_the_calls_of_its_sink() -> None:
    planned = ["dev: at page.written", *(f"dev: {sink}, after a call" for sink in SINKS)]
    outcome = kill_at([*planned, "dev: postgres, its server"], quiet, SINKS)
    assert outcome.violations == []
    assert outcome.kills.total() == len(planned) + 1
    assert outcome.changes > 20


# Kills in a sink's calls are above; that a worker outlives the tables' server is in acceptance/test_worker.
@pytest.mark.slow
def test_a_worker_beside_the_tables_goes_on_where_it_was_killed() -> None:
    outcome = kill_at(["worker: the tables' server"], quiet, ("postgres",))
    assert outcome.violations == []
    assert outcome.changes > 20


@pytest.mark.slow
def test_a_sink_that_saves_the_position_before_the_rows_is_caught() -> None:
    planned = ["dev: at sweep.begun", "dev: at read.done"]
    outcome = kill_at(planned, quiet, ("duckdb",), fault="position first")
    assert any("duckdb differs" in text for text in outcome.violations), outcome.violations


@pytest.mark.slow
def test_a_sink_that_forgets_deletions_is_caught_by_pages_of_a_snapshot_that_come_late() -> None:
    outcome = kill_at(["dev: at sweep.begun"], quiet, ("duckdb",), fault="no deletions")
    assert any("duckdb differs" in text for text in outcome.violations), outcome.violations


def test_a_long_campaign_has_every_kind_of_kill() -> None:
    assert set(plan(7, LONG, SINKS)) == {kind for way in WAYS for kind in kinds_of(SINKS, way)}


def test_the_campaign_knows_every_named_point_of_sinks() -> None:
    assert {f"dev: at {point}" for point in SINK_POINTS} <= set(kinds_of(SINKS, "dev"))


def test_a_kind_of_kill_that_never_happened_is_named() -> None:
    outcome = Outcome()
    outcome.kills.update(kinds_of(("duckdb",), "worker"))
    outcome.kills.update(kinds_of(("duckdb",), "dev")[1:])
    assert outcome.never_killed(("duckdb",)) == [kinds_of(("duckdb",), "dev")[0]]


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (Decimal(1), "1"), (True, Decimal(1)), ("1.50", Decimal("1.51")), ("AAE=", b"\0\1\2"), (None, ""),
        ({"a": "x"}, {"a": "x", "b": "y"}), (["a"], ["a", "b"]), (InParquet('["a"]'), ["b"]),
    ],
)  # fmt: skip
def test_values_that_are_not_those_of_the_table_differ(shown: object, wanted: object) -> None:
    assert not same(shown, wanted)
    assert len(differences({"o1": {"id": "o1", "v": shown}}, {"o1": {"id": "o1", "v": wanted}})) == 1


def test_an_item_that_is_missing_or_left_over_differs() -> None:
    item = {"id": "o1"}
    assert len(differences({}, {"o1": item})) == len(differences({"o1": item}, {})) == 1
    assert differences({"o1": item}, {"o1": item}) == []
