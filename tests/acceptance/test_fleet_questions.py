"""Questions about a fleet from a machine that runs no worker: they reach its state and its streams, and
nothing else.
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import TERM, Fleet, fleet
from tests.patience import eventually

FAILING = """
import os

from tailrace import App, Change, Park, Retry

app = App("fleet")
orders = app.table("orders", pk="id")


@app.on(orders, retry=Retry(retries=0), on_failure=Park.key)
def note(change: Change) -> None:
    if not os.path.exists(os.environ["SEEN"] + ".mended"):
        raise ValueError("the post office is shut")
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(f"{change.new['id']} {change.new['n']} {os.getpid()}\\n")
"""


@pytest.fixture(params=["dynamodb", pytest.param("sqlite", marks=pytest.mark.slow)])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """A server with a table, and a place for state."""
    with fleet(tmp_path) as ground:
        if request.param == "dynamodb":
            ground.keep_state_in_dynamodb()
        ground.create_state()
        ground.create_table()
        yield ground


def ask(ground: Fleet, *arguments: str) -> Any:
    """The JSON that a command answers."""
    code, out, said = ground.run(
        *arguments, *ground.state, "--app", "app.py", "--endpoint", ground.endpoint, "--json"
    )
    assert code in (0, 1), said
    assert out, said
    return json.loads(out)


def test_status_tells_how_far_the_handlers_of_a_fleet_are(ground: Fleet) -> None:
    before = ground.write(3, 0, 2)
    worker = ground.worker()
    ground.wait(before)
    (handler,) = eventually(
        lambda: [
            handler for handler in ask(ground, "status")["handlers"] if handler["settled"]["handled"] == 6
        ]
    )
    assert (handler["handler"], handler["app"], handler["table"]) == ("note", "fleet", "orders")
    assert {shard["owner"] for shard in handler["shards"]} == {worker.announced["worker"]}
    assert handler["running"] is None, "what a worker runs is not known from afar"
    worker.end(TERM)
    away = ground.write(1, 2, 3)
    answer = ask(ground, "status")
    assert answer["handlers"][0]["waiting"]
    assert answer["tables"] == [
        {
            "table": "orders",
            "items": None,
            "view_type": "NEW_AND_OLD_IMAGES",
            "shards": {"open": 1, "closed": 0},
        }
    ]
    assert ask(ground, "gaps") == []
    assert away


def test_a_pause_reaches_workers_that_run_and_outlives_them(ground: Fleet) -> None:
    worker = ground.worker()
    before = ground.write(1, 0, 1)
    ground.wait(before)
    assert ask(ground, "pause", "note")["paused"]
    worker.end(TERM)
    ground.worker()
    paused = ground.write(1, 1, 2)
    eventually(lambda: ask(ground, "status")["handlers"][0]["waiting"])
    assert ask(ground, "status")["handlers"][0]["paused"]
    assert {line[:2] for line in ground.handled()} == before
    ask(ground, "resume", "note")
    ground.wait(before | paused)


def test_dead_letters_are_listed_and_put_back_from_afar(ground: Fleet) -> None:
    (ground.path / "app.py").write_text(FAILING)
    ground.worker()
    changes = ground.write(1, 0, 2)
    eventually(lambda: ask(ground, "dlq", "ls")["count"] == 2)
    listed = ask(ground, "dlq", "ls")
    assert "post office" in json.dumps(listed["letters"])
    letter = next(letter for letter in listed["letters"] if "post office" in (letter.get("error") or ""))
    assert ask(ground, "dlq", "show", letter["event_id"])["handler"] == "note"
    (ground.path / "seen.txt.mended").touch()
    ground.run("dlq", "redrive", "note", *ground.state, "--app", "app.py", "--endpoint", ground.endpoint)
    ground.wait(changes)
    assert [line.number for line in ground.handled()] == [0, 1]
    eventually(lambda: ask(ground, "dlq", "ls")["count"] == 0)


def test_positions_are_set_from_afar_beside_workers_that_run(ground: Fleet) -> None:
    worker = ground.worker()
    changes = ground.write(2, 0, 3)
    ground.wait(changes)
    (handler,) = eventually(
        lambda: [
            handler
            for handler in ask(ground, "checkpoint", "show", "note")
            if handler["shards"][0]["watermark"] is not None and handler["shards"][0]["owner"]
        ]
    )
    assert handler["shards"][0]["generation"] == 1
    eventually(lambda: not ask(ground, "status")["handlers"][0]["waiting"])
    planned = ask(ground, "checkpoint", "set", "note", "beginning", "--dry-run")
    assert (planned["repeated"], planned["skipped"], len(ground.handled())) == (6, 0, 6)
    assert ask(ground, "checkpoint", "set", "note", "beginning")["repeated"] == 6
    eventually(lambda: len(ground.handled()) == 12)
    assert [line[:2] for line in ground.handled()[6:]] == [line[:2] for line in ground.handled()[:6]]
    worker.end(TERM)
    ground.write(1, 3, 5)
    refused, _, said = ground.run(
        "checkpoint", "set", "note", "end", *ground.state, "--app", "app.py", "--endpoint", ground.endpoint
    )
    assert (refused, "--yes" in said) == (1, True)
    assert ask(ground, "checkpoint", "set", "note", "end", "--yes")["skipped"] == 2
    assert [gap["skipped"] for gap in ask(ground, "gaps", "note")] == [2]


def test_a_state_without_its_app_or_beside_a_data_directory_is_refused(tmp_path: Path) -> None:
    with fleet(tmp_path) as ground:
        code, _, said = ground.run("status", "--state", "sqlite:state.db")
        assert (code, "--app" in said) == (2, True)
        code, _, said = ground.run(
            "status", "--state", "sqlite:state.db", "--app", "app.py", "--data", "elsewhere"
        )
        assert (code, "--data" in said) == (2, True)
        code, _, said = ground.run("status", "--state", "sqlite:state.db", "--app", "app.py")
        assert (code, "tailrace state create sqlite:state.db" in said) == (1, True)


def test_what_needs_the_tables_themselves_says_so(tmp_path: Path) -> None:
    from tailrace.cli.failures import CommandFailure
    from tailrace.cli.far import run_far
    from tailrace.cli.place import StateAt

    with pytest.raises(CommandFailure, match="`shards split` cannot be asked of a fleet"):
        next(run_far(StateAt("sqlite:state.db", "app.py"), "shards.split", {}))


def test_why_and_tail_tell_changes_of_the_stream_from_afar(ground: Fleet) -> None:
    ground.worker()
    changes = ground.write(2, 0, 2)
    ground.wait(changes)
    eventually(lambda: not ask(ground, "status")["handlers"][0]["waiting"])
    story = ask(ground, "why", "orders/o1")
    assert [change["new"]["n"] for change in story["changes"]] == [{"N": "0"}, {"N": "1"}]
    assert [change["handlers"][0]["state"] for change in story["changes"]] == ["handled"] * 2
    event = story["changes"][0]["event_id"]
    assert ask(ground, "why", event)["changes"][0]["event_id"] == event
    at = (*ground.state, "--app", "app.py", "--endpoint", ground.endpoint)
    code, _, said = ground.run("why", "orders/nothing", *at)
    assert (code, "there is no such item now" in said) == (1, True)
    oldest = json.loads(ground.begin("tail", "orders", "--from-start", *at, "--json").first)
    assert (oldest["keys"], oldest["new"]["n"]) == ({"id": {"S": "o0"}}, {"N": "0"})


@pytest.mark.parametrize("options", [(), ("--from-start",)], ids=["from-now-on", "from-start"])
def test_tail_of_a_table_that_is_not_there_says_so_and_ends(ground: Fleet, options: tuple[str, ...]) -> None:
    at = (*ground.state, "--app", "app.py", "--endpoint", ground.endpoint)
    code, _, said = ground.run("tail", "order", *options, *at)
    assert (code, "The app declares no table 'order'; there are: orders." in said) == (1, True)
    (ground.path / "next.py").write_text(
        (ground.path / "app.py").read_text() + "\napp.table('sales', pk='id')\n"
    )
    next_app = [option.replace("app.py", "next.py") for option in at]
    code, _, said = ground.run("tail", "sales", *options, *next_app)
    assert (code, "There is no stream of a table 'sales'." in said) == (1, True)


def test_tail_from_now_on_tells_nothing_of_before(ground: Fleet) -> None:
    ground.write(1, 0, 3)
    reading = threading.Event()

    def go_on() -> None:  # it cannot be seen when the command has begun: writes go on until it tells one
        number = 100
        while not reading.is_set():
            ground.write(1, number, number + 1)
            number += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    at = (*ground.state, "--app", "app.py", "--endpoint", ground.endpoint)
    told = json.loads(ground.begin("tail", "orders", *at, "--json").first)
    reading.set()
    thread.join()
    assert int(told["new"]["n"]["N"]) >= 100


def test_dead_letters_are_compared_and_dropped_from_afar(ground: Fleet) -> None:
    (ground.path / "app.py").write_text(FAILING)
    ground.worker()
    ground.write(1, 0, 1)
    eventually(lambda: ask(ground, "dlq", "ls")["count"] == 1)
    (letter,) = ask(ground, "dlq", "ls")["letters"]
    assert ask(ground, "dlq", "diff", letter["event_id"])["changed"] == {}
    ground.write(1, 5, 6)
    eventually(lambda: ask(ground, "dlq", "ls")["count"] == 2)
    changed = ask(ground, "dlq", "diff", letter["event_id"])["changed"]
    assert changed == {"n": [{"N": "0"}, {"N": "5"}]}
    answer = ask(ground, "dlq", "drop", "note", "--all", "--with-waiting")
    assert (answer["state"], answer["parked_changes"]) == ("requested", 2)
    eventually(lambda: ask(ground, "dlq", "ls")["count"] == 0)
    assert ground.handled() == []


def test_what_was_noted_names_the_next_command_of_this_fleet(ground: Fleet) -> None:
    (ground.path / "app.py").write_text(FAILING)
    ground.worker()
    ground.write(1, 0, 1)
    eventually(lambda: ask(ground, "dlq", "ls")["count"] == 1)
    at = (*ground.state, "--app", "app.py", "--endpoint", ground.endpoint)
    code, out, _ = ground.run("dlq", "redrive", "note", *at)
    assert code == 0
    assert f"tailrace dlq ls --state {ground.state[1]} " in out
    assert "tailrace dev" not in out
