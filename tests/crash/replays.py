"""Kills anywhere in live replays of a journal: each run has handled each change of its window, and what the
handler recorded for it is applied once.

Theory of operation: a worker handles what the stream has, and leaves its marks in the state that the replays
have too. Then `tailrace replay --effects live` is killed at a call of the handler, a commit, a save, its end
or at any moment, and the same command goes on. After every kill there is one change more, behind the end of
the run. Where a run has ended, the command begins another. Each is judged at its end: by what its handler has
said in a file, by the table that it writes, the journal as others read it, and the rows of everybody else.
Rules of this file: what is judged is read by HTTP and from files. `broken` is pure.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.crash.node import Node
from tests.crash.sinks import has_delivered, set_in_environment
from tests.patience import PATIENCE_S, at_rest, eventually
from tests.unit.journal.control import journal_of

WHEN = ("before", "after")
REPLAY = (
    *(f"replay: {what}, {when}" for what in ("save", "handler", "commit", "end") for when in WHEN),
    "replay: any moment",
)
LATEST = {"save": 4, "handler": 12, "commit": 12, "end": 1}
"""A kill falls at most at this call after the start: some are within one run."""
MOST_CHANGES = 60
MOMENT_S = 0.3
TRIES = 12
"""So often a replay is begun until it comes to its kill: the one before may have left it too little."""
LIVE = "live"
STATE = "dynamodb:state"


class Called(NamedTuple):
    """The handler was called. Shape: by which run, for which change of which item."""

    run: str
    number: int
    key: str


Window = Sequence[tuple[str, int]]
"""The changes that a run is to handle, in order: item and number."""


class Replays:
    """Live replays of one journal, one after the other. Shape: `ended` counts those that were judged."""

    def __init__(self, node: Node, directory: Path, app: Path, chance: random.Random) -> None:
        self._node, self._directory, self._app, self._chance = node, directory, app, chance
        self._log = directory / "handled"
        self._words = directory / "words"
        self._since_us = 0
        self._judged = 0
        self._is_new = True
        self._late = 0
        self._ends: set[int] = set()
        self._others: list[dict[str, Any]] = []
        self.ended = 0
        self.violations: list[str] = []

    def begin(self) -> None:
        """Let a worker handle the changes that are to be replayed, and keep what is there then."""
        created = [row["created_us"] for row in journal_of(self._directory / "history").changes]
        window = sorted(created)[-MOST_CHANGES:]
        self._since_us = window[0]
        made = self._command("state", "create", STATE, "--endpoint", self._endpoint)
        assert made.wait(PATIENCE_S) == 0, self._said()
        worker = self._command(
            *("worker", str(self._app), "--state", STATE, "--endpoint", self._endpoint, "--health", "off"),
            *("--start", datetime.fromtimestamp(self._since_us // 1_000_000, UTC).isoformat()),
            role=LIVE,
        )

        def has_handled() -> bool:
            assert worker.poll() is None, self._said()
            return sum(map(len, self._applied(LIVE).values())) >= len(window)

        try:
            eventually(has_handled)
            worker.terminate()
            assert worker.wait(PATIENCE_S) == 0, self._said()
        finally:
            worker.kill()
        self._judged = len(self._calls())
        self._others = self._rows_of_others()

    def kill(self, where: str) -> bool:
        """Kill a replay there. Returns: whether one came to that."""
        what, _, when = where.partition(", ")
        for _ in range(TRIES):
            call = f"{what}:{when}:{self._chance.randint(1, LATEST[what])}" if when else ""
            code = self._replay(call, is_killed=not when)
            if self.violations:
                return False
            if code == -signal.SIGKILL:
                return True
        return False

    def end(self) -> None:
        """Let a run come to its end."""
        if not self.violations:
            self._replay("")

    # ---- one process ---------------------------------------------------------------------------------------

    def _replay(self, call: str, *, is_killed: bool = False) -> int:
        """Begin a run or go on with one, to a call, to any moment, or to its end. Returns: its exit code."""
        if self._is_new:
            at_rest(self._node.status, has_delivered)
            self._is_new = False
        since = f"{self._since_us // 1_000_000}.{self._since_us % 1_000_000:06d}"
        replay = self._command(
            *("replay", "count", "--since", since, "--app", str(self._app), "--effects", "live", "--yes"),
            *("--state", STATE, "--endpoint", self._endpoint),
            call=call,
        )
        try:
            if is_killed:
                eventually(lambda: "replay " in self._said() or replay.poll() is not None)
                time.sleep(self._chance.uniform(0, MOMENT_S))
                replay.kill()
            code = replay.wait(PATIENCE_S)
        finally:
            replay.kill()
        said = self._said()
        if code not in (0, -signal.SIGKILL):
            self.violations.append(f"replay ended with {code}: {said}")
            return code
        run = self._unfinished()
        has_called = len(self._calls()) > self._judged
        if code == 0 and (run is not None or not has_called):
            self.violations.append(f"replay ended with 0 before its end: {run}, {said}")
        elif run is not None:
            self._ends.add(run["until_us"])
            self._write_late()
        elif has_called:
            self._judge()
        return code

    def _command(self, *arguments: str, role: str = "replay", call: str = "") -> "subprocess.Popen[bytes]":
        environment = {
            "TAILRACE_CRASH_ROLE": role,
            "TAILRACE_CRASH_HANDLED": str(self._log),
            "TAILRACE_CRASH_CALL": call or ":before:0",
        }
        module = "tailrace" if arguments[0] == "state" else "tests.crash.journals_calls"
        with set_in_environment(environment), self._words.open("wb") as words:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
            )

    def _said(self) -> str:
        """What the last command has said by now."""
        return self._words.read_text(errors="replace")

    def _write_late(self) -> None:
        """A change behind the end of a run that has begun."""
        self._late += 1
        self._node.call("PutItem", {"TableName": "items", "Item": {"id": {"S": f"late|{self._late}"}}})

    # ---- what is there -------------------------------------------------------------------------------------

    @property
    def _endpoint(self) -> str:
        return f"http://127.0.0.1:{self._node.port}"

    def _calls(self) -> list[Called]:
        if not self._log.exists():
            return []
        lines = [line.split(" ", 2) for line in self._log.read_text().splitlines()]
        return [Called(run, int(number), key) for run, number, key in lines]

    def _applied(self, run: str) -> dict[str, list[int]]:
        """What is in the table that the handler writes, by the item that was changed."""
        return {
            item["id"]["S"].partition("|")[2]: [int(number["S"]) for number in item["applied"]["L"]]
            for item in self._node.scan("counts")
            if item["id"]["S"].startswith(f"{run}|")
        }

    def _unfinished(self) -> dict[str, Any] | None:
        """The row of the run that goes on."""
        rows = [item for item in self._node.scan("state") if item["pk"]["S"].startswith("replay/")]
        if len(rows) > 1:
            self.violations.append(f"{len(rows)} runs of one question are unfinished")
        return json.loads(rows[0]["fields"]["S"]) if rows else None

    def _rows_of_others(self) -> list[dict[str, Any]]:
        """The rows of the live traffic, and what it has written."""
        rows = [item for item in self._node.scan("state") if "/replay-" not in json.dumps(item)]
        written = [item for item in self._node.scan("counts") if item["id"]["S"].startswith(f"{LIVE}|")]
        return sorted([*rows, *written], key=json.dumps)

    def _window(self, until_us: int) -> list[tuple[str, int]]:
        """The changes of the journal within, in order."""
        rows = [
            row
            for row in journal_of(self._directory / "history").changes
            if self._since_us <= row["created_us"] < until_us
        ]
        return sorted(
            ((key_of(row), int.from_bytes(row["sequence"], "big")) for row in rows), key=lambda it: it[1]
        )

    # ---- its end -------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        calls = self._calls()
        told, self._judged = calls[self._judged :], len(calls)
        runs = {call.run for call in told}
        until_us = max(self._ends, default=None)
        if until_us is None:  # nobody saw its row: it ends at the last change that there was
            until_us = max(row["created_us"] for row in journal_of(self._directory / "history").changes) + 1
        if len(runs) != 1:
            self.violations.append(f"the calls of one run are of {sorted(runs)}")
        if len(self._ends) > 1:
            self.violations.append(f"its end was {sorted(self._ends)}")
        if self._rows_of_others() != self._others:
            self.violations.append("rows of the live traffic are others")
        self.violations += broken(self._window(until_us), told, self._applied(told[0].run))
        self._ends, self._is_new = set(), True
        self.ended += 1


# ---- what must hold ----------------------------------------------------------------------------------------


def broken(window: Window, calls: Sequence[Called], applied: Mapping[str, Sequence[int]]) -> list[str]:
    """What does not hold of a run that has ended: each change of its window was handled, those of an item in
    order when they were handled first, no other was; and what was recorded is applied once, in order.
    """
    first: dict[str, list[int]] = defaultdict(list)
    for call in calls:
        if call.number not in first[call.key]:
            first[call.key].append(call.number)
    wanted: dict[str, list[int]] = defaultdict(list)
    for key, number in window:
        wanted[key].append(number)
    wrong = []
    for key in sorted({*first, *wanted, *applied}):
        if sorted(first[key]) != wanted[key]:
            wrong.append(f"{key}: of {wanted[key]} it handled {sorted(first[key])}")
        elif first[key] != wanted[key]:
            wrong.append(f"{key}: it handled {first[key]}, in another order")
        if (there := [*applied.get(key, ())]) != wanted[key]:
            wrong.append(f"{key}: of {wanted[key]} it applied {there}")
    return wrong[:20]


def key_of(row: Mapping[str, Any]) -> str:
    """The item that a row of a journal is about."""
    image = json.loads(row["old"] if row["new"] is None else row["new"])
    return str(image["id"]["S"])
