"""`make services`: real servers on loopback, started once, told, and stopped by id."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest

from tests.patience import PATIENCE_S
from tests.services.kinds import SERVICES

SLEEPING = [sys.executable, "-c", "import time; time.sleep(600)"]


def services(place: Path, *arguments: str) -> dict[str, Any]:
    """What runs after a verb."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.services", *arguments, "--place", str(place), "--json"],
        capture_output=True, text=True, timeout=PATIENCE_S * 2, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "services.json"
    services(tmp_path / "services.json", "stop")


def test_services_are_started_once_answer_on_loopback_and_end_when_they_are_stopped(place: Path) -> None:
    running = services(place, "start")
    assert set(running) == set(SERVICES)
    assert all("127.0.0.1" in there["url"] for there in running.values())
    with psycopg.connect(running["postgres"]["url"], autocommit=True) as connection:
        assert connection.execute("SELECT 7").fetchone() == (7,)
    for name in ("moto", "search"):
        with urlopen(running[name]["url"], timeout=PATIENCE_S) as answer:
            assert answer.status == 200
    assert services(place, "start") == running
    assert set(services(place, "stop", "moto")) == set(SERVICES) - {"moto"}
    assert services(place, "stop") == {}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(running["postgres"]["url"])


def test_a_later_process_of_the_same_id_is_not_taken_for_a_service(place: Path) -> None:
    stranger = subprocess.Popen(SLEEPING)
    try:
        place.write_text(json.dumps({"moto": {"id": stranger.pid, "began": "long ago", "url": "-"}}))
        assert services(place, "status") == {}
        assert services(place, "stop") == {}
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_service_that_was_killed_is_told_and_started_again(place: Path) -> None:
    running = services(place, "start", "moto")
    os.kill(running["moto"]["id"], 9)
    assert services(place, "status") == {}
    assert services(place, "start", "moto")["moto"]["id"] != running["moto"]["id"]


def test_an_unknown_service_is_refused_by_its_name(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.services", "start", "redshift", "--place", str(tmp_path / "services")],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "there is no service 'redshift'" in ran.stderr
