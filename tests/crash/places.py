"""Kills where a process does more than to write and deliver: start-up, shut-down,
trim, split, back-fill, redrive.

Theory of operation: one data directory is served by `tailrace dev` and `tailrace serve` in turn, each life
under a manual clock that the client moves. A life goes to a place (it begins to trim, to split, …) and is
ended there by SIGKILL or SIGTERM, at a moment of the seed. A kill counts only when the process was alive
for it. At the end of a round everything is redriven, settled and read back. Rules of this file: the client
is a thread of this process; an unanswered write is sent again, unchanged, so counters only ever move from n
to n + 1.
"""

import http.client
import itertools
import json
import os
import random
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.node import Node, free_port
from tests.crash.rounds import in_rounds
from tests.patience import BETWEEN_LOOKS_S, at_rest, eventually

APP = Path(__file__).with_name("places_app.py")
COMMANDS = {
    "dev": ("dev", str(APP), "--no-reload", "--quiet", "--clock", "manual"),
    "serve": ("serve", "--clock", "manual"),
}
SIGNALS = ("SIGKILL", "SIGTERM")
PLACES = ("start-up", "shut-down", "trim", "split", "back-fill", "redrive")
KINDS = tuple(" ".join(kind) for kind in itertools.product(COMMANDS, SIGNALS, PLACES))
MENDED = "TAILRACE_CRASH_MENDED"
KILLS_A_ROUND = 12
COUNTERS = 24
BALLAST = 3_000
"""Items of the table that an index is made of: fifteen slices of a back-fill."""
LONGEST_S = {"start-up": 0.4, "shut-down": 0.05, "trim": 0.1, "split": 0.1, "back-fill": 0.1, "redrive": 0.2}
"""A kill falls at most so long after the place was reached; sooner when the process was through by then."""
ENDS = {0, 3, 130, -signal.SIGTERM, -signal.SIGKILL}
"""Drained; drained but for what was left; ended at once by a second signal; ended before it
listened to signals; killed.
"""
INDEX = {
    "IndexName": "byN",
    "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "ALL"},
}


@dataclass(slots=True)
class Outcome:
    """What happened, and what should not have."""

    acknowledged: int = 0
    records: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def never_killed_at(self) -> list[str]:
        """Kinds of kills that did not happen."""
        return [kind for kind in KINDS if not self.kills[kind]]


class Client(threading.Thread):
    """Counts up its counters and moves the clock, as long as there is a server; quiet while
    `may_write` is not set.
    """

    def __init__(self, node: Node) -> None:
        super().__init__(daemon=True)
        self._node = node
        self.acknowledged = {f"counter-{number:02}": 0 for number in range(COUNTERS)}
        self.may_write, self.is_quiet, self.ends = threading.Event(), threading.Event(), threading.Event()

    def run(self) -> None:
        """Until it ends."""
        for counter in itertools.cycle(self.acknowledged):
            if self.may_write.is_set():
                self.is_quiet.clear()
                self._count(counter)
            else:
                self.is_quiet.set()
                self.ends.wait(BETWEEN_LOOKS_S)
            with suppress(OSError, ValueError):
                ask(self._node, "clock.advance", ms=100)
            if self.ends.is_set():
                return

    def _count(self, counter: str) -> None:
        value = {":n": {"N": str(self.acknowledged[counter] + 1)}}
        payload = {
            "TableName": "counters",
            "Key": {"id": {"S": counter}},
            "UpdateExpression": "SET n = :n",
            "ExpressionAttributeValues": value,
        }
        while not self.ends.is_set():
            try:
                self._node.call("UpdateItem", payload)
            except (OSError, http.client.HTTPException, ValueError, AssertionError):
                self.ends.wait(BETWEEN_LOOKS_S)
            else:
                self.acknowledged[counter] += 1
                return

    def pause(self) -> None:
        """Return when nothing is being written; there must be a server."""
        self.may_write.clear()
        self.is_quiet.wait()


def ask(node: Node, verb: str, **arguments: object) -> Any:
    """The last answer of a question over the control socket. Raises: OSError while no process listens."""
    with begin(node, verb, **arguments) as connection, connection.makefile("rb") as lines:
        last: Any = None
        for line in lines:
            answer = json.loads(line)
            if "error" in answer:
                raise ValueError(answer["error"]["message"])
            if "value" not in answer:
                break
            last = answer["value"]
        return last


def begin(node: Node, verb: str, **arguments: object) -> socket.socket:
    """Ask, and do not wait for the answer."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(node.directory / "data" / "control.sock"))
        connection.sendall(json.dumps({"v": 1, "verb": verb, "arguments": arguments}).encode() + b"\n")
    except OSError:
        connection.close()
        raise
    return connection


def run(seed: int, kills: int, tell: Callable[[str], None], resume: Path | None = None) -> Outcome:
    """Every kind of kill in turn, in a new order each time around. `resume` names a file that
    keeps what is done.
    """
    outcome, chance = Outcome(), random.Random(seed)
    planned = [kind for _ in range(-(-kills // len(KINDS))) for kind in chance.sample(KINDS, len(KINDS))][
        :kills
    ]

    def run_round(directory: Path, chance: random.Random, kinds: Sequence[str]) -> None:
        Round(directory, chance, outcome, tell).run(kinds)

    return in_rounds(
        "places", planned, outcome, run_round, tell, a_round=KILLS_A_ROUND, seed=seed, resume=resume
    )


class Round:
    """A few kills of one directory, and what must hold then."""

    def __init__(
        self, directory: Path, chance: random.Random, outcome: Outcome, tell: Callable[[str], None]
    ) -> None:
        self._chance, self._outcome, self._tell = chance, outcome, tell
        self._mended = directory / "mended"
        os.environ[MENDED] = str(self._mended)  # for the app, in every process of this round
        self._node = Node(directory, free_port(), COMMANDS["dev"])
        self._client = Client(self._node)

    def run(self, kinds: Sequence[str]) -> None:
        """Kill at each, then look."""
        self._start("dev")
        self._client.start()
        try:
            self._client.may_write.set()
            eventually(lambda: min(self._client.acknowledged.values()) > 5)
            self._load()
            self._node.kill()
            for kind in kinds:
                self._kill(kind)
                self._tell(f"{self._outcome.kills.total()} kills, last at {kind}")
            self._finish()
        finally:
            self._client.ends.set()
            self._client.join()
            del os.environ[MENDED]

    def _load(self) -> None:
        """A table of some size, to make indexes of."""
        self._node.call(
            "CreateTable",
            {
                "TableName": "ballast",
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            },
        )
        for start in range(0, BALLAST, 25):
            writes = [
                {"PutRequest": {"Item": {"id": {"S": f"{number:04}"}, "n": {"N": str(number)}}}}
                for number in range(start, start + 25)
            ]
            self._node.call("BatchWriteItem", {"RequestItems": {"ballast": writes}})

    def _start(self, command: str) -> None:
        self._node.command = COMMANDS[command]
        self._node.start()
        self._node.wait_until_answering()
        eventually(self._is_heard)

    def _is_heard(self) -> bool:
        try:
            return ask(self._node, "clock.show") is not None
        except OSError:
            return False

    def _kill(self, kind: str) -> None:
        """Until one has struck: a process that was quicker has ended, and the next moment
        is an earlier one.
        """
        command, name, place = kind.split(" ", 2)
        longest = LONGEST_S[place]
        while True:
            moment = self._chance.uniform(0, longest)
            longest *= 0.8
            questions = self._go(command, place)
            struck = self._strike(getattr(signal, name), moment, place)
            for question in questions:
                question.close()
            self._mended.unlink(missing_ok=True)
            self._client.may_write.set()
            if struck:
                self._outcome.kills[kind] += 1
                return

    def _go(self, command: str, place: str) -> list[socket.socket]:
        """Start a process and bring it to a place. Returns: the questions that are still open."""
        node = self._node
        if place == "start-up":
            node.command = COMMANDS[command]
            node.start()
            return []
        if place == "trim":  # what is trimmed must have been handled, or it would be a gap, rightly
            self._start("dev")
            self._client.pause()
            self._settle()
            if command != "dev":
                node.stop()
        if place != "trim" or command != "dev":
            self._start(command)
        match place:
            case "shut-down":
                node.send(signal.SIGTERM)
                return []
            case "trim":
                return [begin(node, "clock.advance", ms=25 * 3_600_000)]
            case "split":
                return [begin(node, "shards.split", table="counters", shard=None, dry_run=False)]
            case "back-fill":
                self._back_fill()
                return []
            case _:
                self._mended.touch()
                return [begin(node, "dlq.redrive", handler="picky", where={})]

    def _back_fill(self) -> None:
        """Begin an index; one that is there from another time is waited for and removed before."""
        change: dict[str, Any] = {"TableName": "ballast"}
        if self._indexes():
            eventually(lambda: self._indexes() == ["ACTIVE"])
            self._node.call(
                "UpdateTable", {**change, "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "byN"}}]}
            )
            eventually(lambda: not self._indexes())
        change["AttributeDefinitions"] = [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "n", "AttributeType": "N"},
        ]
        self._node.call("UpdateTable", {**change, "GlobalSecondaryIndexUpdates": [{"Create": INDEX}]})

    def _indexes(self) -> list[str]:
        table = self._node.call("DescribeTable", {"TableName": "ballast"})["Table"]
        return [index["IndexStatus"] for index in table.get("GlobalSecondaryIndexes", [])]

    def _strike(self, number: signal.Signals, moment: float, place: str) -> bool:
        """Whether the process was alive, and at its place, for the signal; it is gone afterwards."""
        threading.Event().wait(moment)
        is_late = (place == "start-up" and self._listens()) or (
            place == "back-fill" and self._indexes() == ["ACTIVE"]
        )
        struck = self._node.send(number) and not is_late
        code = self._node.wait()
        if code not in ENDS:
            self._outcome.violations.append(
                f"{place}: ended with {code} at {number.name}:\n{self._node.tail()}"
            )
        return struck

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._node.port)) == 0

    def _settle(self) -> None:
        """Every effect of what never fails is there."""
        wanted = sum(self._client.acknowledged.values())
        at_rest(lambda: sum(map(len, self._seen("effects").values())), lambda seen: seen >= wanted)
        eventually(lambda: not any(handler["waiting"] for handler in self._node.status()["handlers"]))

    def _seen(self, table: str) -> dict[str, list[int]]:
        return {
            item["id"]["S"]: [int(value["N"]) for value in item["seen"]["L"]]
            for item in self._node.scan(table)
        }

    def _finish(self) -> None:
        self._start("dev")
        self._client.pause()
        self._settle()
        self._mended.touch()
        wanted = self._client.acknowledged
        every = {counter: list(range(1, value + 1)) for counter, value in wanted.items()}
        at_rest(self._redriven, lambda seen: seen == every)
        self._outcome.acknowledged += sum(wanted.values())
        items = {item["id"]["S"]: int(item["n"]["N"]) for item in self._node.scan("counters")}
        self._differ("the items", items, wanted)
        for table in ("effects", "accepted"):
            self._differ(table, self._seen(table), every)
        self._check_records(items)
        if self._indexes():
            eventually(lambda: self._indexes() == ["ACTIVE"])
            entries = self._node.scan("ballast", IndexName="byN", ConsistentRead=False)
            self._differ(
                "the index",
                sorted(item["id"]["S"] for item in entries),
                [f"{number:04}" for number in range(BALLAST)],
            )
        if (code := self._node.stop()) != 0:
            self._outcome.violations.append(f"the last node ended with {code}:\n{self._node.tail()}")

    def _redriven(self) -> dict[str, list[int]]:
        with suppress(ValueError):  # a redrive is still under way
            ask(self._node, "dlq.redrive", handler="picky", where={})
        return self._seen("accepted")

    def _check_records(self, items: dict[str, int]) -> None:
        """What is not trimmed of a counter's changes is the last ones, each once, in order."""
        records: dict[str, list[int]] = {}
        for record in self._node.records("counters"):
            image = record["dynamodb"]["NewImage"]
            records.setdefault(image["id"]["S"], []).append(int(image["n"]["N"]))
        self._outcome.records += sum(map(len, records.values()))
        for counter, values in records.items():
            wanted = list(range(items[counter] - len(values) + 1, items[counter] + 1))
            self._differ(f"the stream of {counter}", values, wanted)

    def _differ(self, what: str, seen: Any, wanted: Any) -> None:
        if seen != wanted:
            if isinstance(seen, dict):
                seen, wanted = (
                    {key: value for key, value in one.items() if value != other.get(key)}
                    for one, other in ((seen, wanted), (wanted, seen))
                )
            self._outcome.violations.append(f"{what}: {str(seen)[:600]} instead of {str(wanted)[:600]}")
