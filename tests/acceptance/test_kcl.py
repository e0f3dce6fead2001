"""From a KCL consumer to `tailrace worker` and back: real processes, and a model of KCL that shares nothing
with tailrace but the tables.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import TERM, Fleet, fleet
from tests.kcl_model import KclModel
from tests.patience import eventually

KEYS = 12
FAILING = """
import os

from tailrace import App, Change, Park, Retry

app = App("fleet")
orders = app.table("orders", pk="id")


@app.on(orders, retry=Retry(retries=0), on_failure=Park.key)
def note(change: Change) -> None:
    if change.new["id"] == "o3":
        raise ValueError("the post office is shut")
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(f"{change.new['id']} {change.new['n']} {os.getpid()}\\n")
"""


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Fleet]:
    """A server with a table of two shards, and a place for state."""
    with fleet(tmp_path, "--memory", "--shards", "2") as ground:
        ground.create_state()
        ground.create_table()
        yield ground


def move(ground: Fleet, verb: str, *options: str, look: str = "200ms") -> tuple[int, Any]:
    """A move: exit code, and what it answers."""
    code, out, said = ground.run(
        "kcl", verb, "orders-app", "--app", "app.py", *ground.state, "--endpoint", ground.endpoint,
        "--look", look, "--json", *options,
    )  # fmt: skip
    assert out, said
    return code, json.loads(out)


def split(ground: Fleet) -> None:
    """Close every open shard, and open two after each."""
    code, _, said = ground.run("shards", "split", "orders", "--url", ground.endpoint)
    assert code == 0, said


def first(deliveries: list[tuple[str, int]]) -> dict[str, list[int]]:
    """The numbers of each item, each where it came first."""
    numbers: dict[str, list[int]] = {}
    for key, number in deliveries:
        if number not in (known := numbers.setdefault(key, [])):
            known.append(number)
    return numbers


def test_kcl_hands_over_to_workers_and_they_hand_back_and_no_change_is_skipped_or_repeated(
    ground: Fleet,
) -> None:
    kcl = KclModel(ground.port, "orders-app", form="3.5", several_streams=True)
    kcl.create()
    changes = ground.write(KEYS, 0, 2)
    kcl.run(KEYS)
    split(ground)
    changes |= ground.write(KEYS, 2, 4)
    kcl.run(KEYS)
    kcl.stop()
    code, told = move(ground, "import")
    assert (code, told["refused"], set(told["changed"])) == (0, [], {"note"})

    worker = ground.worker("--start", "end")  # it was here, so that does not hold for it
    rest = changes - set(kcl.seen)
    ground.wait(rest)
    split(ground)
    during = ground.write(KEYS, 4, 6)
    ground.wait(rest | during)
    assert worker.end(TERM)[0] == 0
    handled = [(line.key, line.number) for line in ground.handled()]

    code, told = move(ground, "export", "--kcl", "3.5", "--several-streams")
    assert (code, told["refused"], told["repeated"], told["only_here"]) == (0, [], [], [])
    after = ground.write(KEYS, 6, 8)
    again = KclModel(ground.port, "orders-app", form="3.5", several_streams=True)
    again.run()

    deliveries = [*kcl.seen, *handled, *again.seen]
    assert set(deliveries) == changes | during | after
    assert max(Counter(deliveries).values()) == 1
    assert set(again.seen) == after
    assert all(numbers == sorted(numbers) for numbers in first(deliveries).values())


def test_a_parked_item_is_handed_back_with_what_follows_and_the_rest_is_not_skipped(ground: Fleet) -> None:
    (ground.path / "app.py").write_text(FAILING)
    kcl = KclModel(ground.port, "orders-app")
    kcl.create()
    kcl.run()
    kcl.stop()
    assert move(ground, "import")[0] == 0
    worker = ground.worker()
    changes = ground.write(KEYS, 0, 2)
    ground.wait({change for change in changes if change[0] != "o3"})
    asking = (*ground.state, "--app", "app.py", "--endpoint", ground.endpoint, "--json")
    eventually(lambda: json.loads(ground.run("dlq", "ls", *asking)[1])["count"] == 2)
    assert worker.end(TERM)[0] == 0
    code, told = move(ground, "export")
    assert code == 0, told
    assert {change["item"] for change in told["repeated"]} == {"o3"}
    kcl.run()
    assert {("o3", 0), ("o3", 1)} <= set(kcl.seen)
    handled = {(line.key, line.number) for line in ground.handled()}
    assert handled | set(kcl.seen) == changes


def test_a_move_while_kcl_is_at_work_is_refused_and_writes_nothing(ground: Fleet) -> None:
    kcl = KclModel(ground.port, "orders-app")
    kcl.create()
    ground.write(2, 0, 1)
    kcl.run(1)
    has_answered = threading.Event()

    def work() -> None:
        while not has_answered.is_set():
            kcl.renew()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        code, told = move(ground, "import")
    finally:
        has_answered.set()
        worker.join()
    assert (code, told["alive"], told["changed"]) == (1, ["10.0.0.9:model"], None)
    code, told = move(ground, "import", "--dry-run")  # it stands still now, as after a kill
    assert (code, told["alive"], told["refused"]) == (0, [], [])
