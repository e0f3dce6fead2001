"""A shard leaves a worker that lives because an operator asks for it: real processes, seen from outside."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import TERM, Command, Fleet, fleet
from tests.patience import eventually

HANGING = """
import os
import time

from tailrace import App, Change

app = App("fleet")
orders = app.table("orders", pk="id")


@app.on(orders)
def note(change: Change) -> None:
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(f"{change.new['id']} {change.new['n']} {os.getpid()}\\n")
    while os.path.exists(os.environ["SEEN"] + ".hang"):
        time.sleep(0.02)
"""

WATCH = "5s"
"""A worker says every two seconds that it lives; the machine may be busy."""


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, "--memory", "--shards", "4") as ground:
        (ground.path / "app.py").write_text(HANGING)
        ground.create_state()
        ground.create_table()
        yield ground


def run(ground: Fleet, *arguments: str) -> tuple[int, Any, str]:
    code, out, said = ground.run(
        *arguments, *ground.state, "--app", "app.py", "--endpoint", ground.endpoint, "--json"
    )
    return code, json.loads(out or "null"), said


def leases(ground: Fleet) -> dict[str, dict[str, Any]]:
    """By shard who has it. Whether an owner lives takes long to see, so it is left out."""
    listed = run(ground, "leases", "ls", "--watch", "1ms")[1]
    return {lease.pop("shard"): {**lease, "state": None} for lease in listed}


def begin(ground: Fleet) -> Command:
    return ground.worker("--lease", "6s")


def spread(ground: Fleet) -> dict[str, dict[str, Any]]:
    """The leases when two workers have two each."""

    def both() -> dict[str, dict[str, Any]] | None:
        there = leases(ground)
        owners = [lease["owner"] for lease in there.values()]
        return there if None not in owners and [*map(owners.count, owners)] == [2] * 4 else None

    return eventually(both)


def test_a_shard_is_drained_and_handed_over_and_stays_there_as_long_as_that_worker_lives(
    ground: Fleet,
) -> None:
    first, second = begin(ground), begin(ground)
    before = spread(ground)
    written = ground.write(40, 0, 1)
    ground.wait(written)
    shard, lease = next(iter(before.items()))
    other = next(name for worker in (first, second) if (name := worker.announced["worker"]) != lease["owner"])
    code, planned, _ = run(ground, "leases", "release", shard, "--dry-run", "--watch", WATCH)
    assert (code, [(asked["owner"], asked["successor"]) for asked in planned["released"]]) == (
        0, [(lease["owner"], other)]
    )  # fmt: skip
    assert leases(ground) == before
    code, answer, said = run(ground, "leases", "release", shard, "--watch", WATCH)
    assert (code, [(moved["state"], moved["now"]) for moved in answer["released"]]) == (
        0,
        [("moved", other)],
    ), said
    after = leases(ground)
    moved = {name for name in after if after[name]["owner"] != before[name]["owner"]}
    assert (moved, after[shard]["epoch"]) == ({shard}, lease["epoch"] + 1)
    ground.wait(ground.write(40, 1, 2))
    assert leases(ground) == after, "it does not come back by itself"
    assert len(ground.handled()) == 80, "nothing was repeated"
    assert len({line.process for line in ground.handled()[40:]}) == 2
    (first if first.announced["worker"] == other else second).end(TERM)
    eventually(lambda: leases(ground)[shard]["owner"] == lease["owner"])


def test_a_worker_that_hangs_is_waited_for_and_forced_and_one_that_is_alone_refused(ground: Fleet) -> None:
    first = begin(ground)
    ground.wait(ground.write(1, 0, 1))
    shard = next(iter(leases(ground)))
    code, _, said = run(ground, "leases", "release", shard, "--watch", WATCH)
    assert (code, "is the only worker" in said) == (1, True)
    second = begin(ground)
    spread(ground)
    (ground.path / "seen.txt.hang").touch()
    ground.write(40, 1, 2)
    name = first.announced["worker"]
    eventually(lambda: {line.process for line in ground.handled()} >= {first.process.pid, second.process.pid})
    mine = {shard for shard, lease in leases(ground).items() if lease["owner"] == name}
    code, answer, said = run(ground, "leases", "release", "--worker", name, "--watch", WATCH, "--wait", "3s")
    assert answer, said
    states = {asked["shard"]: asked["state"] for asked in answer["released"]}
    assert (code, states.keys()) == (3, mine), said
    hanging = [shard for shard, state in states.items() if state == "draining"]
    assert hanging, states
    code, _, said = run(ground, "leases", "release", hanging[0], "--force", "--watch", WATCH)
    assert (code, "--yes" in said) == (1, True)
    code, answer, said = run(ground, "leases", "release", hanging[0], "--force", "--yes", "--watch", WATCH)
    assert (code, [freed["state"] for freed in answer["released"]]) == (0, ["held"]), said
    other = second.announced["worker"]
    eventually(lambda: leases(ground)[hanging[0]]["owner"] == other)
    (ground.path / "seen.txt.hang").unlink()
    eventually(lambda: {lease["owner"] for lease in leases(ground).values()} == {other})
    ground.wait({(f"o{key}", 1) for key in range(40)})
