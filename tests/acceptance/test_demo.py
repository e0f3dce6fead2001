"""`tailrace demo` as a subprocess, on real flights: it agrees, it disagrees when it must,
and kills change nothing.

Rules of this file: the sample is cut out of the week so that it has every outcome; nothing is read but what
the command prints and its exit code.
"""

import csv
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tailrace
from tailrace import telemetry
from tailrace.cli.demo import flights_directory, load, loaded
from tests.patience import PATIENCE_S
from tests.started import tests_stay_on_loopback
from tests.started.tests_stay_on_loopback import python_path

ROOT = Path(tailrace.__file__).parents[2]
PLANT: str = loaded("showing").PLANT
STARTED = Path(tests_stay_on_loopback.__file__).with_name("sitecustomize.py").read_text(encoding="utf-8")
WITHOUT_DUCKDB = f"""{STARTED}
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *package: None if name == "duckdb" else find(name, *package)
sys.modules["duckdb"] = None
"""
EACH = 40
"""Flights of each outcome in the sample."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few flights of each outcome, and a few that left late."""
    program: Any = load(flights_directory() / "replay.py")
    rows, zones = program.week_rows(), program.read_zones()
    chosen: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        flight = program.read_flight(row, zones)
        kind = "late" if (flight.departure_delay or 0) > 60 else flight.outcome
        if len(chosen.setdefault(kind, [])) < EACH:
            chosen[kind].append(row)
    assert set(chosen) == {"arrived", "cancelled", "diverted", "unreported", "late"}
    path = tmp_path_factory.mktemp("flights") / "sample.csv.gz"
    write(path, [row for kind in chosen.values() for row in kind])
    return path


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first flights of the week, in a row: changes that are minutes apart overtake one another."""
    program: Any = load(flights_directory() / "replay.py")
    path = tmp_path_factory.mktemp("morning") / "morning.csv.gz"
    write(path, program.week_rows()[: 5 * EACH])
    return path


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """A file of flights as the demo reads them."""
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "tailrace", "demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env={**os.environ, **environment},
    )


def test_the_handlers_agree_with_the_data(sample: Path) -> None:
    run = demo("--sample", str(sample))
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1].startswith("agree: ")
    for question in loaded("asking").QUESTIONS[:2]:  # no destination of the sample has flights enough
        _, _, chart = run.stdout.partition(f"· {question.title}\n{question.sql}\n")
        assert "█" in chart.partition("·")[0]


def test_without_duckdb_the_demo_says_so_in_one_line_and_agrees(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_DUCKDB)
    run = demo("--sample", str(sample), PYTHONPATH=python_path(tmp_path))
    assert run.returncode == 0, run.stdout + run.stderr
    assert [line for line in run.stdout.splitlines() if "DuckDB" in line] == [
        "· no DuckDB table: pip install '.[duckdb]' adds one that `tailrace sql` asks"
    ]
    assert run.stdout.splitlines()[-1].startswith("agree: ")


def test_a_planted_disagreement_is_told_and_exits_1(sample: Path) -> None:
    run = demo("--sample", str(sample), **{PLANT: "1"})
    assert run.returncode == 1, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1].startswith("disagree: 1 ")


def test_over_a_data_stream_with_changes_late_and_twice_the_handlers_agree(morning: Path) -> None:
    run = demo("--sample", str(morning), "--kinesis", "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(run.stdout)
    assert report["agree"] is True
    way = report["data_stream"]
    assert way["changes"] == report["writes"]
    assert way["records"] == way["changes"] + way["twice"]
    assert way["twice"] > 0
    assert way["late"] > 0


def test_over_a_data_stream_a_planted_disagreement_is_told_and_exits_1(morning: Path) -> None:
    run = demo("--sample", str(morning), "--kinesis", **{PLANT: "1"})
    assert run.returncode == 1, run.stdout + run.stderr
    *_, way, verdict = run.stdout.splitlines()
    assert "came twice" in way
    assert "late" in way
    assert verdict.startswith("disagree: 1 ")


@pytest.mark.parametrize("other", [("--kill",), ("--fleet", "2"), ("--all",)])
def test_a_data_stream_on_the_way_goes_with_no_other_kind_of_demo(other: tuple[str, ...]) -> None:
    run = demo("--kinesis", *other)
    assert run.returncode == 2
    assert "leave --kill, --fleet and --all out" in run.stderr


@pytest.mark.slow
def test_kills_at_every_point_change_no_figure(sample: Path) -> None:
    run = demo("--sample", str(sample), "--kill", "--seed", "7", "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(run.stdout)
    assert report["agree"] is True
    assert [len(answer["rows"]) > 3 for answer in report["answers"]][:2] == [True, True]
    assert report["settled"] == 3 * report["writes"], "two handlers and a DuckDB table"
    assert len(report["kills"]) >= 20
    assert {kill["point"] for kill in report["kills"]} >= set(telemetry.FLOW_POINTS)
    for kill in report["kills"]:
        assert kill["repeated"]["calls"] <= kill["in_flight"]["calls"], kill
        assert kill["repeated"]["writes"] <= kill["in_flight"]["writes"], kill
    assert sum(kill["repeated"]["calls"] for kill in report["kills"]) > 0, "no kill hit a handler at work"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the wheel, and nothing of the checkout."""
    built, place = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(place)
    return place


def test_the_demo_runs_from_the_wheel(sample: Path, installed: Path, tmp_path: Path) -> None:
    where = {"PYTHONPATH": python_path(installed), "TAILRACE_TRACEBACK": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", "from tailrace.cli.demo import loaded; print(loaded('showing').__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, **where},
    )
    assert Path(ran.stdout.strip()) == installed / "tailrace/examples/flights/demo/showing.py"
    run = demo("--sample", str(sample), **where)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1].startswith("agree: ")


def test_a_wheel_without_its_example_says_so(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(installed / "tailrace", tmp_path / "tailrace", ignore=shutil.ignore_patterns("flights"))
    run = demo(PYTHONPATH=python_path(tmp_path))
    assert run.returncode == 1
    assert "not installed" in run.stderr


def test_the_year_says_how_to_get_it() -> None:
    program: Any = load(flights_directory() / "replay.py")
    try:
        program.year_path()
    except program.YearNotInstalled:
        run = demo("--all")
        assert run.returncode == 1
        assert "make year" in run.stderr
        assert "Traceback" not in run.stderr


def test_a_directory_with_something_in_it_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    run = demo("--keep", str(tmp_path))
    assert run.returncode == 1
    assert "is not empty" in run.stderr


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory in which a socket's path fits, however many runs pytest has counted in its own."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_ended_leaves_neither_node_nor_data(number: signal.Signals, short_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tailrace", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(short_path)},
    )
    assert process.stdout is not None
    with process.stdout:
        while "writes/s" not in process.stdout.readline():
            assert process.poll() is None
        (node,) = nodes(short_path)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 128 + number
    assert not Path(f"/proc/{node}").exists()
    kept = (
        short_path / f"tailrace-{os.getuid()}"
    )  # of every node of this user: it stays, what this one wrote there does not
    assert [file for file in short_path.iterdir() if file != kept] == []
    assert not kept.exists() or list(kept.iterdir()) == []


def nodes(directory: Path) -> list[int]:
    """Processes that own a data directory below this one."""
    return [int(lock.read_text()) for lock in directory.glob("*/data/lock")]
