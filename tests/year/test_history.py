"""A day of flights with its journal: past, rebuilds and proof are as the control has them."""

from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.demo import flights_directory, load
from tests.year.control import flights_at, statuses
from tests.year.delivery import source_rows
from tests.year.history import HistoryReport, asked_then, bytes_a_change, differing, run
from tests.year.living import days_of, first_days


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the day is."""
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def report(folder: Path) -> HistoryReport:
    """The day, with a rebuild that is killed."""
    return run(folder, lambda line: None, is_week=True, days=1)


@pytest.fixture(scope="module")
def writes() -> list[Any]:
    """What was written."""
    replay: Any = load(flights_directory() / "replay.py")
    written: list[Any] = replay.replay(first_days(source_rows(is_week=True), 1))
    return written


def test_a_day_is_as_the_control_has_it(report: HistoryReport, writes: list[Any]) -> None:
    assert report.wrong == []
    assert (report.moments, report.kills, report.changes) == (10, 1, len(writes))
    assert 0 < report.bytes_a_change_merged <= report.bytes_a_change


def test_a_write_that_is_not_in_the_journal_is_found(
    report: HistoryReport, writes: list[Any], folder: Path
) -> None:
    place = str(folder / "history")
    fewer = [write for write in writes if write.flight != writes[0].flight]
    assert list(asked_then(place, fewer, 1, report, lambda line: None))
    told = HistoryReport(changes=len(fewer))
    bytes_a_change(place, told)
    assert "were written" in told.wrong[0]


def test_the_control_counts_every_write_and_every_flight(writes: list[Any]) -> None:
    assert sum(statuses(writes).values()) == len(writes)
    assert set(flights_at(writes, writes[-1].instant)) == {write.flight for write in writes}
    assert flights_at(writes, writes[0].instant - 1) == {}
    assert [write for day in days_of(writes) for write in day] == writes
    assert list(differing("a", {"x": 1}, {"x": 1})) == []
