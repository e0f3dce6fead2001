"""`tailrace replay` of windows as it is typed: on trial, beside another revision, and live through kills."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.testing import World
from tests.command_line import tailrace
from tests.patience import PATIENCE_S, eventually
from tests.replaying import BEGIN, CHANGES, committed, compared, copied, create_state, journaled, live, served

APP = """
import os
import signal
from pathlib import Path

from tailrace import App, Window

app = App("shop")
orders = app.table("orders", pk="id")
app.archive(orders, "history/")


class Queue:
    async def write(self, batch):
        raise AssertionError


@app.window(orders, every="10s", by="shop", keep="1m")
def busy(window: Window):
    return {"orders": len(window)} if len(window) > 4 else None


@app.window(orders, every="10s", keep="1m", batch_size=2)
def told(window: Window):
    note("told", window)
    for second, name in ((50, "SIGKILL"), (90, "SIGINT")):
        marker = Path(name)
        if window.start.minute * 60 + window.start.second == second and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), getattr(signal, name))


@app.window(orders, every="10s", keep="366d")
def kept(window: Window):
    note("kept", window)


def note(name, window):
    with Path(name).open("a") as told:
        told.write(f"{window.start:%M:%S} {len(window)} {window.id} {window.replay_id}\\n")


app.sink(busy, Queue())
"""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an app, and a journal of an order a second, of two shops."""

    def put(world: World, number: int) -> None:
        world.put("orders", {"id": f"o{number}", "shop": "NL" if number % 3 else "BE"})

    return journaled(tmp_path_factory.mktemp("journal"), APP, ("busy", "told", "kept"), put)


@pytest.fixture
def folder(journal: Path, tmp_path: Path) -> Path:
    return copied(journal, tmp_path)


def test_a_dry_run_shows_windows_with_the_effects_of_their_handler(folder: Path) -> None:
    until = ("--until", "2026-01-01T00:00:20Z")
    told = tailrace("replay", "busy", "--since", BEGIN, *until, "--app", "app.py", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [
        '2026-01-01T00:00:00Z to 2026-01-01T00:00:10Z  "BE"  4 items',
        '2026-01-01T00:00:00Z to 2026-01-01T00:00:10Z  "NL"  6 items',
        '    output Queue NL/2026-01-01T00:00:00.000Z  {"orders":6}',
        '2026-01-01T00:00:10Z to 2026-01-01T00:00:20Z  "BE"  3 items',
        '2026-01-01T00:00:10Z to 2026-01-01T00:00:20Z  "NL"  7 items',
        '    output Queue NL/2026-01-01T00:00:10.000Z  {"orders":7}',
    ]
    assert "20 changes, 4 windows of busy: 2 effects, none of them sent; 0 unknown" in told.stderr
    before = tailrace("replay", "busy", "--since", "2025-01-01T00:00Z", "--app", "app.py", cwd=folder)
    assert "windows that began earlier are not told" in before.stderr


def test_a_dry_run_in_json_has_the_items_of_each_window(folder: Path) -> None:
    until = ("--until", "2026-01-01T00:00:10Z", "--json")
    told = tailrace("replay", "busy", "--since", BEGIN, *until, "--app", "app.py", cwd=folder)
    assert (told.returncode, told.stderr) == (0, "")
    first, second, end = map(json.loads, told.stdout.splitlines())
    assert first["window"]["key"] == "BE"
    assert first["window"]["items"] == [{"id": {"S": f"o{number}"}} for number in (0, 3, 6, 9)]
    assert second["window"]["end_ms"] - second["window"]["start_ms"] == 10_000
    assert second["effects"][0]["body"] == {"orders": 6}
    assert end["counts"] == {"changes": 10, "called": 2, "unknown": 0, "effects": 1}


@pytest.mark.parametrize("chosen", [("--keys", "orders/o1"), ("--where", '{"eventName": ["INSERT"]}')])
def test_a_choice_of_changes_is_refused_in_words(folder: Path, chosen: tuple[str, str]) -> None:
    told = tailrace("replay", "busy", "--since", BEGIN, *chosen, "--app", "app.py", cwd=folder)
    assert told.returncode == 1
    assert "a window is all of its items" in told.stderr
    assert "--since and --until choose windows" in told.stderr


# ---- two revisions -----------------------------------------------------------------------------------------


@pytest.fixture
def repository(folder: Path) -> Path:
    return committed(folder)


def test_a_changed_function_of_windows_is_caught(repository: Path) -> None:
    same = compared(repository, "busy")
    assert (same.returncode, same.stdout) == (0, "24 of 24 windows compared: no difference\n")
    text = (repository / "app.py").read_text()
    (repository / "app.py").write_text(text.replace("len(window) > 4 else", "len(window) > 3 else"))
    told = compared(repository, "busy")
    assert told.returncode == 1, told.stderr
    assert told.stdout.splitlines() == [
        "busy: output Queue: only now, 4 times",
        "    for example window BE/2026-01-01T00:00:00.000Z",
        '      now: {"orders":4}',
        "24 of 24 windows compared: 1 kind of difference",
    ]


def test_windows_that_are_cut_otherwise_are_paired_by_what_they_are(repository: Path) -> None:
    text = (repository / "app.py").read_text()
    (repository / "app.py").write_text(text.replace('every="10s", by="shop"', 'every="20s", by="shop"'))
    told = compared(repository, "busy", "--json")
    assert told.returncode == 1, told.stderr
    answer = json.loads(told.stdout)
    happened = {group["happened"]: group["count"] for group in answer["differences"]}
    assert happened == {"only before": 12, "only now": 12}
    assert (answer["windows"], answer["compared"], answer["changes"]) == (36, 36, CHANGES)


# ---- live --------------------------------------------------------------------------------------------------


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with the app's table, which is empty, and a state."""
    with served(monkeypatch, "orders") as url:
        create_state(url)
        yield url


def lines(folder: Path, name: str) -> list[list[str]]:
    file = folder / name
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


STARTS = [f"{second // 60:02d}:{second % 60:02d}" for second in range(0, CHANGES, 10)]


def test_a_live_replay_goes_on_after_kill_and_ctrl_c_in_order_and_repeats_under_the_same_ids(
    folder: Path, endpoint: str
) -> None:
    killed = live(folder, endpoint, "told", "--since", BEGIN)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    interrupted = live(folder, endpoint, "told", "--since", BEGIN)
    assert interrupted.returncode == 130, interrupted.stderr
    assert "12 windows, on from 4" in interrupted.stderr
    assert "cut off after 8 of 12; it goes on with the same command" in interrupted.stderr
    run_id = interrupted.stderr.rpartition("--resume ")[2].split()[0]
    ended = live(folder, endpoint, "told", "--resume", run_id, "--json")
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert (answer["run"], answer["changes"], answer["called"]) == (run_id, CHANGES, 12)
    told = lines(folder, "told")
    assert {run for *_, run in told} == {run_id}
    ids: dict[str, set[str]] = {}
    for start, count, name, _ in told:
        assert count == "10"
        ids.setdefault(start, set()).add(name)
    assert [*ids] == STARTS
    assert all(len(names) == 1 for names in ids.values())
    assert [start for start, *_ in told] == [*STARTS[:6], *STARTS[4:10], *STARTS[8:]]
    gone = live(folder, endpoint, "told", "--resume", run_id)
    assert gone.returncode == 1
    assert "there is no unfinished replay" in gone.stderr


def test_what_is_still_corrected_is_handed_to_the_live_handler(folder: Path, endpoint: str) -> None:
    """It is a worker elsewhere that tells it, of a table whose stream has nothing of it."""
    replayed = live(folder, endpoint, "kept", "--since", BEGIN)
    assert replayed.returncode == 0, replayed.stderr
    assert "replayed 120 changes, 0 windows told by kept" in replayed.stdout
    assert "windows that are still open or corrected are told by the live handler" in replayed.stderr
    assert lines(folder, "kept") == []
    asked = ("worker", "app.py", "--state", "dynamodb:state", "--endpoint", endpoint, "--health", "off")
    worker = subprocess.Popen(
        [sys.executable, "-m", "tailrace", *asked, "--region", "us-east-1"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: len(lines(folder, "kept")) >= 12)
    finally:
        worker.terminate()
        worker.wait(PATIENCE_S)
    kept = lines(folder, "kept")
    assert [(start, count) for start, count, *_ in kept] == [(start, "10") for start in STARTS]
    assert {run for *_, run in kept} == {"None"}
