"""The words of `tailrace demo --fleet`, and its plan of kills.

Rules of this file: nothing is started; `tests/acceptance/test_demo_fleet.py` runs it.
"""

import io
import json
from pathlib import Path

import pytest
from flights_demo import fleet_words
from flights_demo.comparing import Result
from flights_demo.fleet import ELSEWHERE, DemoFleet, environment, table_members
from flights_demo.fleet_run import KILLS_A_WORKER, FleetProgress, WorkerKill, kills_at
from rich.console import Console

from tailrace.cli.demo import loaded

CONTROL = Result(
    {"carrier UA": {"scheduled": 2}, "airport JFK": {"scheduled": 2}}, {"2013-02-04 UA 1 JFK": 61}
)
QUIET = Console(quiet=True)
KILL = WorkerKill(2, 1_200, frozenset("abc"), 4, {1: 1, 3: 2}, 2.31)


def copied() -> Result:
    """Figures that are the same."""
    return Result({name: dict(row) for name, row in CONTROL.statistics.items()}, dict(CONTROL.alerts))


def test_equal_figures_agree_through_the_kills(capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet_words.conclude(QUIET, copied(), CONTROL, FleetProgress(6, kills=[KILL]), as_json=False) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "agree: 2 flights and 1 alerts, 2 carriers and airports, to the last flight, through 1 kills of "
        "workers"
    )


def test_one_flight_too_many_disagrees_and_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    kept = copied()
    loaded("showing").plant(kept)
    assert fleet_words.conclude(QUIET, kept, CONTROL, FleetProgress(6), as_json=False) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("disagree: 1 ")


def test_json_says_who_was_killed_and_who_took_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet_words.conclude(QUIET, copied(), CONTROL, FleetProgress(6, kills=[KILL]), as_json=True) == 0
    (kill,) = json.loads(capsys.readouterr().out)["kills"]
    assert kill == {
        "killed": 2, "written": 1_200, "shards": 3, "taken_over_by": {"1": 1, "3": 2}, "seconds": 2.31,
        "came_in_its_place": 4,
    }  # fmt: skip


def test_a_kill_is_a_line_with_who_took_over() -> None:
    assert fleet_words.line(1, KILL) == (
        "kill  1  worker 2 with 3 shards, after  1,200 writes; taken over by worker 1 (1), worker 3 (2) in "
        "2.3 s; worker 4 came"
    )


def test_days_and_kills_are_told_once() -> None:
    said = io.StringIO()
    lines = fleet_words.Lines(Console(file=said, width=200, highlight=False))
    progress = FleetProgress(6, written=3, flights=2, settled=4, seconds=2.0, now_ms=1_359_936_000_000)
    lines.tell(progress)
    progress.kills.append(KILL)
    lines.tell(progress)
    lines.tell(progress)
    day, kill = said.getvalue().splitlines()
    assert day == "  2013-02-04: 2 flights, 3 writes, 1 changes/s"
    assert kill.startswith("kill  1  worker 2")


@pytest.mark.parametrize("seed", range(20))
def test_kills_come_one_after_the_other_before_the_flights_run_out(seed: int) -> None:
    planned = kills_at(seed, 1_000, 3)
    moments = [after for after, _ in planned]
    assert len(planned) == 3 * KILLS_A_WORKER
    assert moments == sorted(set(moments))
    assert all(0 < after < 1_000 and 0 <= choice < 1 for after, choice in planned)


def test_workers_are_led_nowhere_but_to_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ELSEWHERE:
        monkeypatch.setenv(name, "elsewhere")
    made = environment(tmp_path / "calls")
    assert not set(ELSEWHERE) & set(made)
    assert (made["AWS_ACCESS_KEY_ID"], made["FLIGHTS_DUCKDB"]) == ("demo", "")


def test_there_are_shards_for_every_worker_and_a_stream_for_the_flights_alone(tmp_path: Path) -> None:
    assert [DemoFleet(tmp_path, tmp_path / "app.py", size).shards for size in (2, 3, 16)] == [8, 9, 48]
    assert "StreamSpecification" in table_members("flights", has_stream=True)
    assert "StreamSpecification" not in table_members("alerts", has_stream=False)
