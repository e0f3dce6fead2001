"""One week of flights into every place at once, by processes that are killed; and what is wrong is found."""

import shutil
from pathlib import Path

import duckdb
import pytest

from tests.year.campaign import PlaceReport, control_figures, differences, run, spoken, wrong_at
from tests.year.delivery import source_rows
from tests.year.places import KINDS, Figures, Log, place_of

FLIGHTS = 6_104
ONE = "id = (SELECT min(id) FROM flights WHERE arrival_delay IS NOT NULL)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the places are."""
    return tmp_path_factory.mktemp("week")


@pytest.fixture(scope="module")
def reports(folder: Path) -> dict[str, PlaceReport]:
    """The week at each place, after a kill within a commit."""
    kills = [("begun", 0.4)]
    return run(folder, lambda line: None, is_week=True, batch_size=3_000, at_once=True, kills=kills)


@pytest.fixture(scope="module")
def control() -> Figures:
    """What the source file says."""
    return control_figures(source_rows(is_week=True))


def test_the_control_figures_are_of_every_flight(control: Figures) -> None:
    assert sum(counts["scheduled"] for counts in control.values()) == FLIGHTS
    assert sum(counts["arrived"] + counts["cancelled"] for counts in control.values()) < FLIGHTS


@pytest.mark.parametrize("kind", KINDS)
def test_each_place_has_the_figures_of_the_source_file_after_a_kill(
    reports: dict[str, PlaceReport], kind: str
) -> None:
    assert reports[kind].wrong == ()
    assert reports[kind].lives == 2
    assert reports[kind].counted == (None if kind == "lake" else reports[kind].changes)
    assert min(reports[kind].rate, reports[kind].raw_rate) > 0


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("DELETE FROM flights_all WHERE id = (SELECT min(id) FROM flights)", "scheduled is"),
        (f"UPDATE flights_all SET arrival_delay = arrival_delay + 1 WHERE {ONE}", "mean delay is"),
        ("UPDATE tailrace_positions SET changes = changes + 1", "changes were counted"),
    ],
)
def test_one_row_or_one_change_that_is_wrong_is_told(
    reports: dict[str, PlaceReport], folder: Path, control: Figures, tmp_path: Path, damage: str, words: str
) -> None:
    shutil.copy(folder / "duckdb" / "flights.duckdb", tmp_path)
    with duckdb.connect(str(tmp_path / "flights.duckdb")) as file:
        file.execute(damage)
    seen = wrong_at(place_of("duckdb", str(tmp_path)), reports["duckdb"].changes, control)
    assert any(words in text for text in seen), seen


def test_a_change_that_stands_twice_in_the_log_is_told(
    reports: dict[str, PlaceReport], folder: Path, control: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = Log._rows
    monkeypatch.setattr(Log, "_rows", lambda self: f"{twice(self)} UNION ALL ({twice(self)} LIMIT 1)")
    seen = wrong_at(place_of("log", str(folder / "log")), reports["log"].changes, control)
    assert any("changes were counted" in text for text in seen), seen


def test_a_carrier_that_one_side_lacks_is_told(control: Figures) -> None:
    shown = {carrier: counts for carrier, counts in control.items() if carrier != "UA"}
    assert any(text.startswith("UA: ") for text in differences(shown, control))
    assert any(text.startswith("UA: ") for text in differences(control, shown))


def test_a_process_that_fails_is_no_end(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no directory")
    with pytest.raises(AssertionError, match="ended with"):
        list(spoken("deliver", tmp_path / "data", f"--duckdb={tmp_path}"))
