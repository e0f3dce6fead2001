"""Kills anywhere in the work of a journal: in the end it is what was written, verifies, and restores.

Theory of operation: a client writes to a table that is archived, without end. Lives of the node end at a call
of the archiver (a segment, a delta, a whole manifest, its head), at a named point, or at any moment; beside
it lives of `tailrace journal merge` end at theirs, deletions among them. When all have, the last life
settles, and the journal is judged five times: change by change against what any client reads of the stream;
by `journal verify` against a head that was kept before the last kills; by `as-of`, which is the table; by
restores that are killed at an item, repeated, and then are the table too; and by live replays that are killed
and go on (replays.py).
Rules of this file: one seed decides what is killed, and when. The journal's files are read by
tests/unit/journal/control.py, which knows nothing of Tailrace.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.node import Node, free_port
from tests.crash.replays import REPLAY, Replays
from tests.crash.rounds import in_rounds
from tests.crash.sinks import has_delivered, set_in_environment
from tests.crash.sinks_client import Client
from tests.fleet import ENVIRONMENT
from tests.patience import PATIENCE_S, at_rest, eventually
from tests.unit.journal.control import ControlJournal, journal_of

APP = Path(__file__).with_name("journals_app.py")
POINTS = (
    "lease.taken", "stamp.done", "target.stamped", "read.done", "invoke.begun",
    "checkpoint.begun", "checkpoint.done", "commit.written",
)  # fmt: skip
WHEN = ("before", "after")
ARCHIVER = (
    *(f"archiver: {what}, {when}" for what in ("segment", "delta", "full", "head") for when in WHEN),
    *(f"archiver: at {point}" for point in POINTS),
    "archiver: any moment",
)
MERGE = tuple(f"merge: {what}, {when}" for what in ("segment", "delta", "deletion") for when in WHEN)
RESTORE = tuple(f"restore: item, {when}" for when in WHEN)
AT_REST = (*RESTORE, *REPLAY)
KINDS = (*ARCHIVER, *MERGE, *AT_REST)
LATEST = {"segment": 6, "delta": 8, "full": 1, "head": 1, "deletion": 2, "item": 12}
"""A kill falls at most at this call after the start."""
LATEST_POINT = {"lease.taken": 1, "stamp.done": 1, "target.stamped": 1}
MOST_POINTS = 10
KILLS_A_ROUND = 13
LIFE_S = 2.5
TRIES = 12
"""So often a merge is begun until it comes to its kill."""
BETWEEN_S = 0.4
LEAST_WRITTEN = 100
"""Writes of a round."""
ON_THE_WIRE = 10**21
"""The engine's first number as clients read it: numbers have as many digits as AWS's there."""


@dataclass(slots=True)
class Outcome:
    """What happened, and what should not have."""

    writes: int = 0
    changes: int = 0
    replays: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def never_killed(self, kinds: Sequence[str]) -> list[str]:
        """Kinds of kills that did not happen."""
        return [kind for kind in kinds if not self.kills[kind]]


def kinds_of(work: str | None) -> tuple[str, ...]:
    """The kinds of kills in one work: `archiver`, `merge`, `restore`, `replay`; None: all."""
    return KINDS if work is None else tuple(kind for kind in KINDS if kind.startswith(f"{work}: "))


def plan(seed: int, kills: int, kinds: Sequence[str] = KINDS) -> list[str]:
    """What is killed in turn: every kind, again and again."""
    chance = random.Random(seed)
    planned: list[str] = []
    while len(planned) < kills:
        planned += chance.sample(kinds, len(kinds))
    return planned[:kills]


def run(
    seed: int,
    kills: int,
    tell: Callable[[str], None],
    kinds: Sequence[str] = KINDS,
    resume: Path | None = None,
) -> Outcome:
    """Kill so often, in rounds, and compare at the end of each. `resume` names a file that keeps the rounds
    of an interrupted campaign.
    """
    return kill_at(plan(seed, kills, kinds), tell, seed=seed, resume=resume)


def kill_at(
    planned: Sequence[str],
    tell: Callable[[str], None],
    *,
    seed: int = 1,
    resume: Path | None = None,
    fault: str = "",
) -> Outcome:
    """Kill at each of these. Shape: `fault` is one that must be caught."""
    outcome = Outcome()

    def run_round(directory: Path, chance: random.Random, kinds: Sequence[str]) -> None:
        environment = {
            "TAILRACE_CRASH_JOURNAL": str(directory / "history"),
            "TAILRACE_CRASH_FAULT": fault,
            "PYTHONPATH": os.pathsep.join(sys.path),
            **ENVIRONMENT,
        }
        with set_in_environment(environment):
            Round(directory, chance, outcome, tell).run(kinds)

    return in_rounds(
        "journals", planned, outcome, run_round, tell, a_round=KILLS_A_ROUND, seed=seed, resume=resume
    )


class Round:
    """A few kills of one directory, and what must hold then."""

    def __init__(
        self, directory: Path, chance: random.Random, outcome: Outcome, tell: Callable[[str], None]
    ) -> None:
        self._directory, self._chance, self._outcome, self._tell = directory, chance, outcome, tell
        self._place = directory / "history"
        self._node = Node(directory, free_port(), ("dev", str(APP), "--no-reload", "--quiet"))
        self._client = Client(self._node, chance)

    def run(self, kinds: Sequence[str]) -> None:
        """Kill at each, then look."""
        self._client.start()
        try:
            head = None
            for place, kind in enumerate(kind for kind in kinds if kind not in AT_REST):
                if place == len(kinds) // 2:
                    head = self._keep_head()
                self._kill(kind)
                if self._outcome.violations:
                    return
            self._settle(head, [kind for kind in kinds if kind in AT_REST])
        finally:
            self._client.ends.set()
            self._client.join()
            self._node.kill()

    # ---- kills ---------------------------------------------------------------------------------------------

    def _kill(self, kind: str) -> None:
        whose, _, where = kind.partition(": ")
        if whose == "merge":
            self._node.start()
            self._node.wait_until_answering()
            is_killed = self._kill_merge(where)
            self._node.kill()
        elif where == "any moment":
            self._node.start()
            time.sleep(self._chance.uniform(0, LIFE_S))
            self._node.kill()
            is_killed = True
        elif where.startswith("at "):
            point = where.removeprefix("at ")
            self._node.start(f"{point}:{self._chance.randint(1, LATEST_POINT.get(point, MOST_POINTS))}")
            is_killed = self._node.wait_for_death(PATIENCE_S)
        else:
            with set_in_environment({"TAILRACE_CRASH_CALL": self._call(where)}):
                self._node.start()
            is_killed = self._node.wait_for_death(PATIENCE_S)
        self._note(kind, is_killed)

    def _note(self, kind: str, is_killed: bool) -> None:
        if not is_killed:
            self._outcome.violations.append(f"{kind}: it did not come to that:\n{self._node.tail()}")
            return
        self._outcome.kills[kind] += 1
        self._tell(f"{self._outcome.kills.total()} kills, last {kind}")

    def _call(self, where: str) -> str:
        what, _, when = where.partition(", ")
        return f"{what}:{when}:{self._chance.randint(1, LATEST[what])}"

    def _kill_merge(self, where: str) -> bool:
        """There may be nothing to be merged or deleted yet."""
        what, _, when = where.partition(", ")
        for _ in range(TRIES):
            with set_in_environment({"TAILRACE_CRASH_CALL": f"{what}:{when}:1"}):
                code, said = self._command("journal", "merge", str(self._place), counts=True)
            if code == -signal.SIGKILL:
                return True
            if code:
                self._outcome.violations.append(f"journal merge ended with {code}: {said}")
                return False
            time.sleep(BETWEEN_S)
        return False

    def _command(self, *arguments: str, counts: bool = False) -> tuple[int, str]:
        """A command of `tailrace`. Shape: one that `counts` may be killed at a call. Returns: its exit code,
        and what it has printed.
        """
        module = "tests.crash.journals_calls" if counts else "tailrace"
        answer = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return answer.returncode, answer.stdout if answer.returncode == 0 else answer.stdout + answer.stderr

    # ---- at rest -------------------------------------------------------------------------------------------

    def _keep_head(self) -> Path | None:
        head = self._directory / "head.json"
        code, _ = self._command(
            "journal", "verify", str(self._place), "--table", "items", "--head", str(head)
        )
        return head if code == 0 else None  # there may be no journal yet

    def _settle(self, head: Path | None, kinds: Sequence[str]) -> None:
        node, outcome = self._node, self._outcome
        node.start()
        node.wait_until_answering()
        eventually(lambda: self._client.written >= LEAST_WRITTEN)
        self._client.ends.set()
        self._client.join()
        outcome.writes += self._client.written
        at_rest(node.status, has_delivered)
        records, items = node.records("items"), node.scan("items")
        outcome.changes += len(records)
        journal = journal_of(self._place)
        outcome.violations += differences(records, journal)
        against = () if head is None else ("--against", str(head))
        code, said = self._command("journal", "verify", str(self._place), "--table", "items", *against)
        if code:
            outcome.violations.append(f"journal verify ended with {code}: {said}")
        moment = last_moment(journal)
        code, said = self._command("as-of", moment, "items", "--app", str(APP), "--json")
        if code or by_id(read_as_of(said)) != by_id(items):
            outcome.violations.append(f"as-of is not the table: {code}: {said[:1_000]}")
        if not outcome.violations:
            self._restore(moment, [kind for kind in kinds if kind in RESTORE], items)
        replays = [kind for kind in kinds if kind in REPLAY]
        if replays and not outcome.violations:
            self._replay(replays)
        if (code := node.stop()) != 0:
            outcome.violations.append(f"the last node ended with {code}:\n{node.tail()}")

    def _restore(self, moment: str, kinds: Sequence[str], items: Sequence[Any]) -> None:
        """Kill restores, and let the last one end."""
        endpoint = f"http://127.0.0.1:{self._node.port}"
        asked = ("restore", moment, "--from", "items", "--into", "copies", "--app", str(APP))
        for kind in kinds:
            with set_in_environment({"TAILRACE_CRASH_CALL": self._call(kind.partition(": ")[2])}):
                code, _ = self._command(*asked, "--yes", "--endpoint", endpoint, counts=True)
            # What was restored by the one before may be all.
            is_killed = code == -signal.SIGKILL or (code == 0 and self._outcome.kills[kind] > 0)
            self._note(kind, is_killed)
        code, said = self._command(*asked, "--yes", "--endpoint", endpoint)
        if code or by_id(self._node.scan("copies")) != by_id(items):
            self._outcome.violations.append(f"what was restored is not the table: {code}: {said[:1_000]}")

    def _replay(self, kinds: Sequence[str]) -> None:
        """Kill live replays, and let the last one end."""
        replays = Replays(self._node, self._directory, APP, self._chance)
        replays.begin()
        for kind in kinds:
            self._note(kind, replays.kill(kind.partition(": ")[2]))
        replays.end()
        self._outcome.replays += replays.ended
        self._outcome.violations += replays.violations


# ---- what must hold ----------------------------------------------------------------------------------------


def differences(records: Sequence[dict[str, Any]], journal: ControlJournal) -> list[str]:
    """Where a journal is not what clients read of the stream, in whose shards numbers rise."""
    wanted = {int(record["dynamodb"]["SequenceNumber"]) - ON_THE_WIRE: record for record in records}
    there = [int.from_bytes(row["sequence"], "big") for row in journal.changes]
    wrong = [f"{one} is there {times} times" for one, times in Counter(there).items() if times > 1]
    wrong += [f"{one} is lost" for one in sorted(wanted.keys() - set(there))]
    wrong += [f"{one} was never written" for one in sorted(set(there) - wanted.keys())]
    wrong += [f"{shard} has a gap, {first} to {last}" for shard, first, last in journal.gaps]
    for number, row in zip(there, journal.changes, strict=True):
        record = wanted.get(number)
        if record is not None and told(row) != (
            record["eventName"],
            record["dynamodb"].get("OldImage"),
            record["dynamodb"].get("NewImage"),
        ):
            wrong.append(f"{number} is another change")
    return wrong[:20]


def told(row: dict[str, Any]) -> tuple[Any, Any, Any]:
    """A row as clients read a record."""
    images = (None if row[name] is None else json.loads(row[name]) for name in ("old", "new"))
    return (row["event"], *images)


def last_moment(journal: ControlJournal) -> str:
    """When its last change was made, in seconds: from then on the table is as it is."""
    last_us = max(row["created_us"] for row in journal.changes)
    return f"{last_us // 1_000_000}.{last_us % 1_000_000:06d}"


def by_id(items: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Items by their key."""
    return {item["id"]["S"]: item for item in items}


def read_as_of(said: str) -> list[dict[str, Any]]:
    """The items that `as-of --json` prints, a line each."""
    return [json.loads(line) for line in said.split("\n") if line]
