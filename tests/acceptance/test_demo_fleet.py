"""`tailrace demo --fleet` as a subprocess: workers are killed and replaced while flights are written, and the
figures agree.

Rules of this file: as test_demo.py.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.acceptance.test_demo import demo, sample
from tests.patience import PATIENCE_S, eventually

__all__ = ["sample"]


@pytest.mark.slow
def test_a_fleet_whose_workers_are_killed_agrees_to_the_last_flight(sample: Path) -> None:
    run = demo("--fleet", "3", "--sample", str(sample), "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(run.stdout)
    assert report["agree"] is True
    assert report["settled"] == 2 * report["writes"]
    assert report["calls"] > report["writes"]
    assert len(report["kills"]) == 6
    numbers = {1, 2, 3}
    for kill in report["kills"]:
        numbers.add(kill["came_in_its_place"])
        assert kill["killed"] in numbers
        numbers.remove(kill["killed"])
        assert sum(kill["taken_over_by"].values()) == kill["shards"] > 0
        assert {int(number) for number in kill["taken_over_by"]} <= numbers
    assert len(numbers) == 3


def test_a_fleet_is_not_killed_at_named_points() -> None:
    run = demo("--fleet", "3", "--kill")
    assert run.returncode == 2
    assert "--kill" in run.stderr


def test_a_fleet_that_is_ended_leaves_no_process_and_no_data() -> None:
    with TemporaryDirectory() as name:  # short enough for the path of a socket
        folder = Path(name)
        said = folder / "said.txt"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tailrace", "demo", "--fleet", "2"],
                stdout=output,
                stderr=output,
                env={**os.environ, "TMPDIR": name},
            )
        eventually(lambda: process.poll() is not None or len(workers_of(process.pid)) == 2)
        assert process.returncode is None, said.read_text()
        begun = children_of(process.pid)
        assert len(begun) == 3, "a server and two workers"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
        assert not [number for number in begun if Path(f"/proc/{number}").exists()]
        assert not list(folder.glob("tailrace-demo-*"))


def workers_of(parent: int) -> list[int]:
    """Those of its children that are workers."""
    return [
        number
        for number in children_of(parent)
        if b"worker" in Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    ]


def children_of(parent: int) -> list[int]:
    """The processes that a process has started."""
    return [
        int(number)
        for task in Path(f"/proc/{parent}/task").iterdir()
        for number in (task / "children").read_text().split()
    ]
