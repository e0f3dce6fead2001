"""A campaign of kills: a writer that never stops, a node that dies at every named point, and the
checks at the end.

Rules of this file: one seed decides points, counts and moments. A campaign is cut into rounds of a
few kills; after each round everything is read back and checked, so that a violation is found near the
kill that caused it.
"""

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tailrace.stores.checking import check_file
from tests.crash.checks import Observed, read_notes, violations
from tests.crash.node import Node, free_port
from tests.crash.progress import Progress
from tests.patience import PATIENCE_S, at_rest

ROOT = Path(__file__).parents[2]
POINTS = (
    "write.received", "write.mutated", "commit.begun", "commit.written", "commit.done", "answer.sent",
    "lease.taken", "read.done", "invoke.begun", "invoke.done", "transaction.done", "park.begun",
    "park.done", "checkpoint.begun", "checkpoint.done", "stamp.done",
)  # fmt: skip
ONCE_A_START = ("lease.taken", "stamp.done")
ANY_MOMENT = "any moment"
KILLS_A_ROUND = 16


@dataclass(slots=True)
class Report:
    """What a campaign did and found."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    writes_acknowledged: int = 0
    records: int = 0
    violations: list[str] = field(default_factory=list)

    def never_killed_at(self) -> list[str]:
        """Points that were planned and never reached: a check that did not happen."""
        return [point for point in POINTS if not self.kills[point]]


def plan(seed: int, kills: int) -> Iterator[tuple[str, int]]:
    """Every point in turn, in a new order each time around, with the count at which to die.

    >>> {point for point, _ in plan(1, 17)} == {*POINTS, ANY_MOMENT}
    True
    """
    chance = random.Random(seed)
    order: list[str] = []
    for _ in range(kills):
        if not order:
            order = chance.sample((*POINTS, ANY_MOMENT), len(POINTS) + 1)
        point = order.pop()
        yield point, 1 if point in ONCE_A_START else chance.randint(1, 40)


def run(seed: int, kills: int, tell: Callable[[str], None], resume: Path | None = None) -> Report:
    """Run a whole campaign in rounds. `resume` names a file that keeps the rounds of an interrupted one."""
    report, progress = Report(seed), Progress(resume)
    progress.into(report)
    planned = list(plan(seed, kills))
    for start in range(sum(report.kills.values()), len(planned), KILLS_A_ROUND):
        with tempfile.TemporaryDirectory(prefix="tailrace-crash-") as directory:
            run_round(Path(directory), planned[start : start + KILLS_A_ROUND], report, tell)
        if report.violations:
            break
        progress.keep(report)
    progress.forget()
    return report


def run_round(
    directory: Path, planned: list[tuple[str, int]], report: Report, tell: Callable[[str], None]
) -> None:
    """Kill one node a few times under load, then let it finish and check everything."""
    node = Node(directory, free_port())
    (directory / "port").write_text(str(node.port))
    node.start()
    node.wait_until_answering()
    writer = _start_writer(directory)
    try:
        node.kill()
        for point, count in planned:
            _kill_once(node, point, count, report)
            report.violations += damages(directory / "data" / "tailrace.db")
            tell(f"{sum(report.kills.values())} kills, last at {point}")
        node.start()
        node.wait_until_answering()
    finally:
        (directory / "stop").touch()
        writer.wait(PATIENCE_S)
    _wait_until_settled(node)
    seen = _observe(node, directory)
    report.violations += violations(seen)
    report.writes_acknowledged += sum(seen.acknowledged.values())
    report.records += sum(map(len, seen.records.values()))
    if (code := node.stop()) != 0:
        report.violations.append(f"the last node drained with exit code {code}:\n{node.tail()}")


def damages(path: Path) -> list[str]:
    """What a check of the files of a dead node says is not what was written."""
    return [f"damaged: {damage.said}" for damage in check_file(path, lambda done, total: None).damages]


def _start_writer(directory: Path) -> subprocess.Popen[bytes]:
    arguments = [str(directory / name) for name in ("port", "notes", "stop")]
    return subprocess.Popen([sys.executable, "-m", "tests.crash.writer", *arguments, "0.001"], cwd=ROOT)


def _kill_once(node: Node, point: str, count: int, report: Report) -> None:
    if point == ANY_MOMENT:
        node.start()
        node.wait_until_answering()
        time.sleep(count / 100)
        node.kill()
        report.kills[point] += 1
        return
    node.start(f"{point}:{count}")
    if node.wait_for_death(PATIENCE_S):
        report.kills[point] += 1
    else:
        report.violations.append(f"{point} was not reached {count} times in {PATIENCE_S} s:\n{node.tail()}")


def _wait_until_settled(node: Node) -> None:
    """Every effect is there, or nothing has moved for a while (the checks then say what is missing)."""

    def look() -> tuple[int, int, bool]:
        items = sum(int(item["n"]["N"]) for item in node.scan("counters"))
        effects = sum(len(item["seen"]["L"]) for item in node.scan("effects"))
        return items, effects, any(handler["waiting"] for handler in node.status()["handlers"])

    at_rest(look, lambda seen: seen[1] >= seen[0] and not seen[2])


def _observe(node: Node, directory: Path) -> Observed:
    with (directory / "notes").open() as notes:
        sent, acknowledged = read_notes(notes)
    records: dict[str, list[int]] = {}
    handlers = {handler["handler"]: handler for handler in node.status()["handlers"]}
    for record in node.records("counters"):
        image = record["dynamodb"]["NewImage"]
        records.setdefault(image["id"]["S"], []).append(int(image["n"]["N"]))
    return Observed(
        sent=sent,
        acknowledged=acknowledged,
        items={item["id"]["S"]: int(item["n"]["N"]) for item in node.scan("counters")},
        records=records,
        effects={
            item["id"]["S"]: [int(value["N"]) for value in item["seen"]["L"]] for item in node.scan("effects")
        },
        dead_letters=handlers["note"]["dead_letters"],
        accepted={
            item["id"]["S"]: [int(value["N"]) for value in item["seen"]["L"]]
            for item in node.scan("accepted")
        },
        parked=handlers["refuse"]["parked_changes"],
    )
