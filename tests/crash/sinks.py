"""Kills anywhere in the work of sinks: in the end each target is what the table is, and each change counted
once where targets count.

Theory of operation: one application has a sink of each kind, so whatever kills the process in the work of one
strikes all others at some moment. A client writes without end. Each life of the node ends in its own way: at
any moment; before or after one call that a sink makes (a statement, a request, a blob); at a named point; or
after the server of a target has died and come back under it. When all have, the last life settles, and each
target is judged twice: by `tailrace sink verify`, and by what a client of the target reads beside what boto3
reads of the table.
Rules of this file: one seed decides what is killed, and when. Items of before the stream are in the table
when the sinks begin.
"""

import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.node import Node, free_port
from tests.crash.rounds import in_rounds
from tests.crash.sinks_client import BALLAST, Client
from tests.crash.sinks_targets import Shown, Target, differences, table_items, targets
from tests.fleet import ENVIRONMENT
from tests.patience import PATIENCE_S, at_rest
from tests.postgres import postgres

APP = Path(__file__).with_name("sinks_app.py")
SINKS = ("postgres", "duckdb", "lake", "log", "search", "redshift")
NAMES = {name: (name, "log") if name == "lake" else (name,) for name in SINKS if name != "log"}
"""What is meant by the name of one: of a lake both forms."""
POINTS = (
    "lease.taken", "stamp.done", "target.stamped", "read.done", "invoke.begun", "invoke.done",
    "checkpoint.begun", "checkpoint.done",
)  # fmt: skip
SNAPSHOT_POINTS = ("page.written", "page.saved", "sweep.begun")
"""They come first in a round, and in this order: no page is passed after the snapshot's end."""
LATEST = {
    "lease.taken": 1,
    "stamp.done": 1,
    "target.stamped": 1,
    "page.written": 2,
    "page.saved": 2,
    "sweep.begun": 1,
}
"""At which passing a point is the last one, at most."""
WAYS = ("dev", "worker")
LEASE = "2s"
KILLS_A_ROUND = 16
LONG = 100
"""In so many kills every kind happens."""
LATEST_CALL = 60
"""A kill falls at most so many calls after the start; opening a sink takes some ten."""
LATEST_POINT = 12
LONGEST_S = 0.6
"""Between the ends of servers and of nodes there is at most so much time."""
SAME_LOOKS = 60
BETWEEN_VERDICTS_S = 0.5
LIFE_S = 2.5
"""Of a node that ends at any moment; it answers after a second or two."""


@dataclass(slots=True)
class Outcome:
    """What happened, and what should not have."""

    writes: int = 0
    changes: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def never_killed(self, sinks: tuple[str, ...]) -> list[str]:
        """Kinds of kills that did not happen."""
        return [kind for way in WAYS for kind in kinds_of(sinks, way) if not self.kills[kind]]


class FarWorker(Node):
    """A `tailrace worker` beside the server that has the tables, with a state of its own."""

    def __init__(self, server: Node) -> None:
        super().__init__(server.directory, free_port())
        self._state = f"sqlite:{self.directory / 'state.db'}"
        self._tables = ("--endpoint", f"http://127.0.0.1:{server.port}")

    @property
    def place(self) -> tuple[str, ...]:
        """As Node."""
        return ("--state", self._state, "--app", str(APP), *self._tables)

    @property
    def line(self) -> tuple[str, ...]:
        """As Node."""
        health = ("--health", f"127.0.0.1:{self.port}")
        return ("worker", str(APP), "--state", self._state, *self._tables, "--lease", LEASE, *health)

    def knock(self) -> None:
        """As Node."""
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/alive", timeout=PATIENCE_S).close()

    def make_state(self) -> None:
        """Once, before the first process."""
        command = [sys.executable, "-m", "tailrace", "state", "create", self._state]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)


def kinds_of(sinks: tuple[str, ...], way: str = "dev") -> list[str]:
    """Every kind of end, of an application with these sinks."""
    calls = [f"{sink}, {moment} a call" for sink in sinks for moment in ("before", "after")]
    servers = [f"{sink}, its server" for sink in sinks if sink in ("postgres", "search")]
    own = [f"at {point}" for point in POINTS + SNAPSHOT_POINTS] if way == "dev" else ["the tables' server"]
    return [f"{way}: {kind}" for kind in ("any moment", *calls, *servers, *own)]


def place_in_round(kind: str) -> int:
    """Ends within a snapshot before others."""
    point = kind.rpartition("at ")[2]
    return SNAPSHOT_POINTS.index(point) if point in SNAPSHOT_POINTS else len(SNAPSHOT_POINTS)


def plan(seed: int, kills: int, sinks: tuple[str, ...]) -> Iterator[str]:
    """Every kind in turn, in a new order each time around; a round is of one way.

    >>> len({kind for kind in plan(1, 2 * KILLS_A_ROUND, SINKS)})
    32
    """
    chance, orders = random.Random(seed), {way: list[str]() for way in WAYS}
    for number in range(kills):
        way = WAYS[number // KILLS_A_ROUND % len(WAYS)]
        if not orders[way]:
            kinds = kinds_of(sinks, way)
            orders[way] = chance.sample(kinds, len(kinds))
        yield orders[way].pop()


def run(
    seed: int,
    kills: int,
    tell: Callable[[str], None],
    sinks: tuple[str, ...] = SINKS,
    resume: Path | None = None,
) -> Outcome:
    """Kill so often, in rounds, and compare at the end of each. `resume` names a file that keeps the rounds
    of an interrupted campaign.
    """
    return kill_at(list(plan(seed, kills, sinks)), tell, sinks, seed=seed, resume=resume)


def kill_at(
    planned: Sequence[str],
    tell: Callable[[str], None],
    sinks: tuple[str, ...],
    *,
    seed: int = 1,
    resume: Path | None = None,
    fault: str = "",
) -> Outcome:
    """Kill at each of these. Shape: `fault` is that of a sink which must be caught."""
    outcome = Outcome()
    needs_postgres = not {"postgres", "redshift"}.isdisjoint(sinks)
    database = postgres() if needs_postgres else nullcontext()
    with set_in_environment(ENVIRONMENT), database as server, targets(sinks, server) as made:

        def run_round(directory: Path, chance: random.Random, kinds: Sequence[str]) -> None:
            Round(directory, made, chance, outcome, tell, fault).run(kinds)

        return in_rounds(
            "sinks", planned, outcome, run_round, tell, a_round=KILLS_A_ROUND, seed=seed, resume=resume
        )


class Round:
    """A few kills of one directory and of targets that were empty, and what must hold then."""

    def __init__(
        self,
        directory: Path,
        targets: dict[str, Target],
        chance: random.Random,
        outcome: Outcome,
        tell: Callable[[str], None],
        fault: str,
    ) -> None:
        self._targets, self._chance, self._outcome, self._tell = targets, chance, outcome, tell
        for target in targets.values():
            target.empty(directory)
        self._environment = {
            "TAILRACE_CRASH_SINKS": json.dumps({kind: target.place for kind, target in targets.items()}),
            "TAILRACE_CRASH_FAULT": fault,
            **ENVIRONMENT,
        }
        self._server = Node(directory, free_port(), ("serve",))
        self._node = self._server
        self._client = Client(self._server, chance)

    def run(self, kinds: Sequence[str]) -> None:
        """Kill at each, then look."""
        with set_in_environment(self._environment):
            self._load()
            self._begin(kinds[0].partition(":")[0])
            self._client.start()
            try:
                for kind in sorted(kinds, key=place_in_round):
                    self._kill(kind)
                    self._tell(f"{self._outcome.kills.total()} kills, last {kind}")
                    if self._outcome.violations:
                        return
                self._settle()
            finally:
                self._client.ends.set()
                self._client.join()
                self._node.kill()
                self._server.kill()

    def _load(self) -> None:
        """A table with items that no stream has."""
        self._server.start()
        self._server.wait_until_answering()
        self._server.call(
            "CreateTable",
            {
                "TableName": "items",
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            },
        )
        for start in range(0, BALLAST, 20):
            writes = [
                {"PutRequest": {"Item": {"id": {"S": f"ballast|{number}"}, "n": {"N": str(number)}}}}
                for number in range(start, start + 20)
            ]
            self._server.call("BatchWriteItem", {"RequestItems": {"items": writes}})
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        self._server.call("UpdateTable", {"TableName": "items", "StreamSpecification": stream})

    def _begin(self, way: str) -> None:
        """From now on the node is what has the sinks: the server itself, or a worker beside it."""
        if way == "worker":
            self._node = worker = FarWorker(self._server)
            worker.make_state()
        else:
            self._server.kill()
            self._server.command = ("dev", str(APP), "--no-reload", "--quiet")

    # ---- kills ---------------------------------------------------------------------------------------------

    def _kill(self, kind: str) -> None:
        node = self._node
        where, _, how = kind.partition(": ")[2].partition(", ")
        if where == "any moment":
            node.start()
            self._wait(LIFE_S)
            node.kill()
        elif where == "the tables' server":
            self._kill_tables()
        elif how == "its server":
            self._kill_server(self._targets[where])
        else:
            if how:
                call = f"{where}:{how.split()[0]}:{self._chance.randint(1, LATEST_CALL)}"
                with set_in_environment({"TAILRACE_CRASH_CALL": call}):
                    node.start()
            else:
                point = where.removeprefix("at ")
                node.start(f"{point}:{self._chance.randint(1, LATEST.get(point, LATEST_POINT))}")
            if not node.wait_for_death(PATIENCE_S):
                self._outcome.violations.append(f"{kind}: it did not come to that:\n{node.tail()}")
                return
        self._outcome.kills[kind] += 1

    def _kill_server(self, target: Target) -> None:
        """And bring it back, below a node that lives and is killed later."""
        self._node.start()
        self._node.wait_until_answering()
        self._wait(LONGEST_S)
        target.down()
        self._wait(LONGEST_S)
        target.up()
        self._wait(LONGEST_S)
        self._node.kill()

    def _kill_tables(self) -> None:
        """And bring it back, beside a worker that lives and is killed later."""
        self._node.start()
        self._node.wait_until_answering()
        self._wait(LONGEST_S)
        self._server.kill()
        self._wait(LONGEST_S)
        self._server.start()
        self._server.wait_until_answering()
        self._wait(LONGEST_S)
        self._node.kill()

    def _wait(self, longest_s: float) -> None:
        time.sleep(self._chance.uniform(0, longest_s))

    # ---- at rest -------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        node, outcome = self._node, self._outcome
        node.start()
        node.wait_until_answering()
        self._client.ends.set()
        self._client.join()
        outcome.writes += self._client.written
        at_rest(node.status, has_delivered)
        wanted, records = table_items(self._server.port), len(self._server.records("items"))
        outcome.changes += records
        is_far = node is not self._server
        held = {"duckdb"} & self._targets.keys() if is_far else set()  # by the worker, from all others
        said = {kind: self._said(kind, wanted) for kind in self._targets.keys() - held}
        if (code := node.stop()) != 0:
            outcome.violations.append(f"the last node ended with {code}:\n{node.tail()}")
        said |= {kind: self._verified(kind) for kind in held}
        outcome.violations += [f"{kind}: {words}" for kind, words in sorted(said.items()) if words]
        for kind, target in self._targets.items():
            if wrong := differences(target.shown(), wanted):
                outcome.violations.append(f"{kind} differs in {len(wrong)} items: {'; '.join(wrong)[:1_000]}")
            if (counted := target.changes()) not in (None, records):
                outcome.violations.append(f"{kind} has counted {counted} of {records} changes")

    def _said(self, kind: str, wanted: Shown) -> str:
        """What there is to say against a target when its snapshot is over, or stands still: it may have ended
        without a word, in a process that was killed.
        """
        last, times = "", 0
        while times < SAME_LOOKS:
            is_over = f" of {kind} is done" in self._node.log.read_text(errors="replace")
            shown = self._targets[kind].shown if kind == "log" else None
            said = self._verified(kind) if shown is None else "; ".join(differences(shown(), wanted))
            if is_over or not said:
                break
            times = times + 1 if said == last else 0
            last = said
            time.sleep(BETWEEN_VERDICTS_S)
        return said[:1_000]

    def _verified(self, kind: str) -> str:
        """What `tailrace sink verify` has to say against a sink."""
        answer = subprocess.run(
            [
                sys.executable, "-m", "tailrace", "sink", "verify", kind, "--yes", "--json",
                *self._node.place,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )  # fmt: skip
        return (
            "" if answer.returncode == 0 else f"{answer.returncode}: {answer.stdout}{answer.stderr}"[:1_000]
        )


def has_delivered(status: Any) -> bool:
    """Whether every sink has every change."""
    return bool(status["handlers"]) and not any(handler["waiting"] for handler in status["handlers"])


@contextmanager
def set_in_environment(values: dict[str, str]) -> Iterator[None]:
    """For the processes that begin inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
