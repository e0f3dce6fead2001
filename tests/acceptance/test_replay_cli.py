"""`tailrace replay` as it is typed: on trial, beside another revision, and live through kills."""

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest

from tailrace.app.loading import load_app
from tailrace.errors import SettingsError
from tailrace.testing import World
from tests.command_line import tailrace
from tests.replaying import (
    BEGIN,
    CHANGES,
    committed,
    compared,
    copied,
    create_state,
    git,
    journaled,
    live,
    live_words,
    served,
)
from tests.terminal import on_terminal

APP = """
import os
import socket
from pathlib import Path

from tailrace import App, Change

app = App("shop")
orders = app.table("orders", pk="id")
counts = app.table("counts", pk="id")
app.archive(orders, "history/")


class Queue:
    async def write(self, batch):
        raise AssertionError


def rate(currency):
    return len(socket.create_connection(("127.0.0.1", 9)).recv(9))


@app.on(orders.inserted)
def receipt(change: Change):
    return {"to": change.key, "total": change.new["n"]}


@app.on(orders)
def priced(change: Change):
    return change.new["n"] * rate("USD")


@app.on(orders, batch_size=10)
def count(change: Change):
    n = int(change.new["n"])
    change.transaction.update(counts, {"id": change.key}, "ADD n :n", values={":n": 1})
    with Path("calls").open("a") as calls:
        calls.write(f"{change.key} {n} {change.replay_id}\\\\n")
    for number, name in ((57, "SIGKILL"), (93, "SIGINT")):
        marker = Path(name)
        if n == number and not marker.exists():
            marker.touch()
            import signal

            os.kill(os.getpid(), getattr(signal, name))


app.sink(receipt, Queue())
app.sink(priced, Queue())
""".replace("\\\\n", "\\n")
KEYS = 7


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an app, and a journal of its orders."""

    def put(world: World, number: int) -> None:
        world.put("orders", {"id": f"o{number % KEYS}", "n": Decimal(number)})

    return journaled(tmp_path_factory.mktemp("journal"), APP, ("receipt", "priced", "count"), put)


@pytest.fixture
def folder(journal: Path, tmp_path: Path) -> Path:
    return copied(journal, tmp_path)


# ---- on trial ----------------------------------------------------------------------------------------------


def test_a_dry_run_tells_its_effects_and_what_the_journal_does_not_have(folder: Path) -> None:
    until = "2026-01-01T00:00:02Z"
    told = tailrace("replay", "receipt", "--since", BEGIN, "--until", until, "--app", "app.py", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [
        "2026-01-01T00:00:00Z  INSERT  orders/o0",
        '    output Queue o0  {"to":"o0","total":0}',
        "2026-01-01T00:00:01Z  INSERT  orders/o1",
        '    output Queue o1  {"to":"o1","total":1}',
    ]
    assert "2 changes, 2 reached receipt: 2 effects, none of them sent; 0 unknown" in told.stderr
    later = tailrace("replay", "receipt", "--since", "2025-01-01T00:00Z", "--app", "app.py", cwd=folder)
    assert "not known before 2026-01-01T00:00:00Z" in later.stderr
    assert "changes that the journal does not have yet" in later.stderr


def test_a_state_in_the_environment_is_not_meant_for_a_dry_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_STATE", "sqlite:state.db")
    until = "2026-01-01T00:00:01Z"
    told = tailrace("replay", "receipt", "--since", BEGIN, "--until", until, "--app", "app.py", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert "1 change, 1 reached receipt: 1 effect, none of them sent" in told.stderr
    assert not (folder / "state.db").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals of this kind")
def test_a_terminal_shows_how_far_a_dry_run_is_and_a_file_gets_the_effects(folder: Path) -> None:
    typed = ["-m", "tailrace", "replay", "receipt", "--since", BEGIN, "--app", "app.py"]
    with (folder / "effects").open("wb") as effects:
        code, shown = on_terminal(typed, cwd=folder, stdout=effects)
    assert code == 0, shown
    assert "replaying on trial" in shown
    assert f"1 of {CHANGES} changes" in shown
    assert "output" not in shown
    assert (folder / "effects").read_text().count("    output Queue ") == KEYS
    code, shown = on_terminal([*typed, "--json"], cwd=folder)
    assert (code, "replaying" in shown) == (0, False)


def test_a_dry_run_in_json_is_a_line_a_change_and_a_last_one(folder: Path) -> None:
    pattern = '{"dynamodb": {"NewImage": {"n": {"N": ["113"]}}}}'
    chosen = ("--keys", "orders/o1", "--where", pattern, "--json")
    told = tailrace("replay", "count", "--since", BEGIN, *chosen, "--app", "app.py", cwd=folder)
    assert (told.returncode, told.stderr) == (0, "")
    change, end = map(json.loads, told.stdout.splitlines())
    assert change["key"] == {"id": {"S": "o1"}}
    assert change["unknown"] == "the file calls, called in count"
    assert change["effects"] == []
    assert end["counts"]["changes"] == 17
    assert end["counts"]["called"] == 1


def test_stubs_answer_what_nothing_else_does(folder: Path) -> None:
    asked = ("replay", "priced", "--since", BEGIN, "--until", "2026-01-01T00:00:02Z", "--app", "app.py")
    unknown = tailrace(*asked, cwd=folder)
    assert unknown.stdout.count("unknown after 127.0.0.1:9, called in rate") == 2
    assert "--stubs FILE" in unknown.stderr
    (folder / "stubs.py").write_text('stubs = {"app.rate": lambda currency: 3}\n')
    told = tailrace(*asked, "--stubs", "stubs.py", cwd=folder)
    assert "unknown after 127" not in told.stdout
    assert '    call app.rate  {"arguments":["USD"],"named":{}}' in told.stdout
    assert "    output Queue o1  3" in told.stdout
    (folder / "wrong.py").write_text("stubs = 3\n")
    assert "has no mapping 'stubs'" in tailrace(*asked, "--stubs", "wrong.py", cwd=folder).stderr
    (folder / "wrong.py").write_text("stubs = (\n")
    refused = tailrace(*asked, "--stubs", "wrong.py", cwd=folder).stderr
    assert "wrong.py cannot be loaded: SyntaxError: '(' was never closed" in refused


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("receipt", "Missing option '--since'"),
        ("receipt --since 2026-01-01", "no zone"),
        ("nobody --since 86400", "is no handler of app"),
        ("receipt --since 86400 --rate 3", "--rate is of --effects live"),
        ("receipt --since 86400 --resume r", "--resume is of --effects live"),
        ("receipt --since 86400 --anew", "--anew is of --effects live"),
        ("receipt --since 86400 --state sqlite:s", "--state is of --effects live"),
        ("receipt --since 86400 --endpoint http://localhost:8000", "--endpoint is of --effects live"),
        (
            "receipt --since 86400 --effects live --stubs s.py --state sqlite:s",
            "--stubs is of --effects dry-run",
        ),
        ("receipt --since 86400 --effects live", "needs --state"),
        ("receipt --since 86400 --effects live --state sqlite:s.db", "with --yes"),
        ("receipt --since 86400 --keys counts/x", "There is no table 'counts'"),
        ("receipt --since 86400 --compare-with HEAD", "git rev-parse"),
        ("orders.archive --since 86400", "a journal is what is replayed"),
    ],
)
def test_what_cannot_be_is_refused_in_words(folder: Path, typed: str, words: str) -> None:
    told = tailrace("replay", *typed.split(), "--app", "app.py", cwd=folder)
    assert told.returncode != 0
    assert words in told.stderr


def test_a_program_asks_without_a_world_and_awaits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    app = load_app("app.py")
    monkeypatch.delitem(sys.modules, "app")
    asked: dict[str, Any] = {"since": BEGIN, "until": "2026-01-01T00:00:02Z"}
    report = app.replay("receipt", **asked)
    assert [effect.value["to"] for effect in report.effects] == ["o0", "o1"]
    assert asyncio.run(app.async_replay("receipt", **asked)) == report

    async def in_a_loop() -> None:
        app.replay("receipt", **asked)

    with pytest.raises(SettingsError, match="a loop runs here"):
        asyncio.run(in_a_loop())
    with pytest.raises(SettingsError, match="not connected"):
        app.replay("receipt", effects="live", **asked)


# ---- two revisions -----------------------------------------------------------------------------------------


@pytest.fixture
def repository(folder: Path) -> Path:
    (folder / "requirements.txt").write_text("tailrace\n")
    return committed(folder)


def test_what_differs_is_grouped_and_what_is_unknown_counted(repository: Path) -> None:
    text = (repository / "app.py").read_text()
    text = text.replace('"total": change.new["n"]', '"total": change.new["n"] + 1, "by": "us"')
    (repository / "app.py").write_text(text)
    told = compared(repository, "receipt", "--json")
    assert told.returncode == 1, told.stderr
    answer = json.loads(told.stdout)
    (group,) = answer["differences"]
    assert (group["happened"], group["attributes"], group["count"]) == ("changed", ["by", "total"], KEYS)
    assert group["example"]["key"] == {"id": {"S": "o0"}}
    assert group["example"]["before"] == {"to": "o0", "total": 0}
    assert group["example"]["now"] == {"to": "o0", "total": 1, "by": "us"}
    assert (answer["compared"], answer["unknown"]) == (CHANGES, {})
    until = ("--until", "2026-01-01T00:00:02Z")
    unknown = compared(repository, "priced", *until)
    assert unknown.returncode == 0
    assert "unknown after 127.0.0.1:9, called in rate: 2 changes, not compared" in unknown.stdout
    assert "0 of 2 changes compared: no difference" in unknown.stdout
    assert "nothing reached" not in unknown.stderr
    nothing = compared(repository, "receipt", *until, "--where", '{"eventName": ["INSRT"]}')
    assert "nothing reached receipt in either revision" in nothing.stderr
    assert git(repository, "worktree", "list").count("\n") == 1


def test_another_environment_is_refused(repository: Path) -> None:
    (repository / "requirements.txt").write_text("tailrace\nboto3\n")
    told = compared(repository, "receipt")
    assert told.returncode == 1
    assert "HEAD asks for another environment than this one: requirements.txt" in told.stderr


def test_a_revision_that_cannot_be_loaded_says_so_and_leaves_nothing(repository: Path) -> None:
    text = (repository / "app.py").read_text()
    (repository / "app.py").write_text(
        text.replace("def receipt", "def mailed").replace("app.sink(receipt", "app.sink(mailed")
    )
    told = compared(repository, "mailed")
    assert told.returncode == 1
    assert "replay of HEAD: replay: 'mailed' is no handler" in told.stderr
    assert git(repository, "worktree", "list").count("\n") == 1
    assert git(repository, "status", "--short") == " M app.py\n"


def test_an_app_outside_of_the_repository_is_refused(repository: Path, tmp_path: Path) -> None:
    shutil.copy(repository / "app.py", tmp_path / "elsewhere.py")
    asked = ("replay", "receipt", "--since", BEGIN, "--app", str(tmp_path / "elsewhere.py"))
    told = tailrace(*asked, "--compare-with", "HEAD", cwd=repository)
    assert told.returncode == 1
    assert "is not in the repository" in told.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals of this kind")
def test_a_terminal_shows_how_far_a_comparison_is(repository: Path) -> None:
    typed = ["-m", "tailrace", "replay", "receipt", "--since", BEGIN, "--app", "app.py"]
    code, shown = on_terminal([*typed, "--compare-with", "HEAD"], cwd=repository)
    assert code == 0, shown
    assert "replaying both" in shown
    assert f"{CHANGES} of {CHANGES} changes compared: no difference" in shown


def test_a_program_compares_too(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.syspath_prepend(repository)
    text = (repository / "app.py").read_text()
    (repository / "app.py").write_text(text.replace("orders.inserted", "orders"))
    app = load_app("app.py")
    asked: dict[str, Any] = {"since": BEGIN, "compare_with": "HEAD", "until": "2026-01-01T00:00:09Z"}
    report = app.replay("receipt", **asked)
    (group,) = report.differences
    assert (group.name.happened, group.count) == ("only now", 2)
    with pytest.raises(SettingsError, match="event pattern"):
        app.replay("receipt", where=lambda change: True, **asked)
    del sys.modules["app"]


# ---- live --------------------------------------------------------------------------------------------------


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with the app's tables, and credentials for it."""
    with served(monkeypatch, "orders", "counts") as url:
        yield url


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals of this kind")
def test_a_terminal_shows_how_far_a_live_replay_is(folder: Path, endpoint: str) -> None:
    create_state(endpoint)
    for name in ("SIGKILL", "SIGINT"):
        (folder / name).touch()
    typed = ["-m", "tailrace", *live_words(endpoint, "count", "--since", BEGIN)]
    code, shown = on_terminal(typed, cwd=folder)
    assert code == 0, shown
    assert f": {CHANGES} changes" in shown
    assert f"0 of {CHANGES} changes" in shown
    assert f"replayed {CHANGES} changes, {CHANGES} reached count" in shown


def test_a_live_replay_goes_on_after_kill_and_ctrl_c_in_order_and_with_nothing_twice(
    folder: Path, endpoint: str
) -> None:
    create_state(endpoint)
    killed = live(folder, endpoint, "count", "--since", BEGIN)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    interrupted = live(folder, endpoint, "count", "--since", BEGIN)
    assert interrupted.returncode == 130, interrupted.stderr
    assert "120 changes, on from 50" in interrupted.stderr
    assert "cut off after 90 of 120; it goes on with the same command" in interrupted.stderr
    run_id = interrupted.stderr.rpartition("--resume ")[2].split()[0]
    ended = live(folder, endpoint, "count", "--resume", run_id, "--json")
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert (answer["run"], answer["changes"], answer["called"]) == (run_id, CHANGES, CHANGES)
    calls = [line.split() for line in (folder / "calls").read_text().splitlines()]
    assert {run for _, _, run in calls} == {run_id}
    numbers = [int(number) for _, number, _ in calls]
    drops = [place for place, pair in enumerate(pairwise(numbers), 1) if pair[0] > pair[1]]
    first, second, third = (numbers[i:j] for i, j in pairwise([0, *drops, len(numbers)]))
    assert first == [*range(58)]
    assert second == [*range(50, second[-1] + 1)]
    assert 93 <= second[-1] <= 99  # a thread goes on to the end of its batch
    assert third == [*range(90, CHANGES)]
    client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=endpoint)
    items = {item["id"]["S"]: int(item["n"]["N"]) for item in client.scan(TableName="counts")["Items"]}
    assert items == {f"o{key}": len(range(key, CHANGES, KEYS)) for key in range(KEYS)}
    gone = live(folder, endpoint, "count", "--resume", run_id)
    assert gone.returncode == 1
    assert "there is no unfinished replay" in gone.stderr
