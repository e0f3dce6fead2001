"""Data streams under hard kills: what was acknowledged is there once, in its place, and in its order.

Rules of this file: one client that puts records and changes shards, and asks again until it is answered; the
process is killed at points of its writes. A record that was not acknowledged is put again under another name,
so both may be there. Imports of tailrace only the names of points. Called by test_data_streams.py.
"""

import base64
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tailrace.telemetry import WRITE_POINTS
from tests.crash.node import Node, Refused, free_port
from tests.crash.rounds import in_rounds

POINTS = tuple(point for point in WRITE_POINTS if point != "write.mutated")
"""Of a put nothing is decided before the group: it passes all points but one."""
SERVICE = "Kinesis_20131202"
HASHES = 1 << 128
KEYS = "abcdefgh"


@dataclass
class Outcome:
    """What a campaign has come to."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    reshards: int = 0
    violations: list[str] = field(default_factory=list)


class Ledger:
    """What one client knows: what it sent, in order, and what was answered."""

    def __init__(self) -> None:
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.acknowledged: dict[str, tuple[str, str]] = {}
        self.closed: set[str] = set()
        self._number = 0

    def next(self, key: str) -> str:
        """A record that was never sent."""
        self._number += 1
        name = f"{key}{self._number}"
        self.sent[key].append(name)
        return name


class Client:
    """Asks a node for data streams. Raises: OSError when it has died."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def ask(self, operation: str, **members: Any) -> Any:
        """One request."""
        return self._node.call(operation, members, SERVICE)

    def shards(self) -> list[dict[str, Any]]:
        """Every shard of the stream, parents first."""
        shards: list[dict[str, Any]] = self.ask("ListShards", StreamName="orders")["Shards"]
        return shards

    def records(self) -> list[tuple[str, str, str, str]]:
        """Every record: shard, number, key and name; parents first."""
        return [record for shard in self.shards() for record in self._of(shard["ShardId"])]

    def _of(self, shard: str) -> list[tuple[str, str, str, str]]:
        records: list[tuple[str, str, str, str]] = []
        token = self.ask(
            "GetShardIterator", StreamName="orders", ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while token:
            page = self.ask("GetRecords", ShardIterator=token)
            records += [
                (shard, one["SequenceNumber"], one["PartitionKey"], base64.b64decode(one["Data"]).decode())
                for one in page["Records"]
            ]
            token = page["NextShardIterator"] if page["Records"] else None
        return records


def run(
    seed: int, kills: int, tell: Callable[[str], None], resume: Path | None = None, a_round: int = 5
) -> Outcome:
    """Kill a server so often, at every point in turn."""
    planned = [POINTS[number % len(POINTS)] for number in range(kills)]
    outcome = Outcome()
    return in_rounds(
        "data-streams",
        planned,
        outcome,
        lambda directory, chance, points: _round(directory, chance, points, outcome, tell),
        tell,
        a_round=a_round,
        seed=seed,
        resume=resume,
    )


def _round(
    directory: Path,
    chance: random.Random,
    points: Any,
    outcome: Outcome,
    tell: Callable[[str], None],
) -> None:
    node = Node(directory, free_port(), ("serve",))
    client, ledger = Client(node), Ledger()
    try:
        for point in points:
            node.start(f"{point}:{chance.randint(20, 60)}")
            try:
                node.wait_until_answering()
                _begin(client)
                outcome.violations += differences(ledger, client.records(), client.shards())
                while True:
                    _move(client, ledger, chance, outcome)
            except (OSError, HTTPException, AssertionError):
                if not node.wait_for_death(10):
                    raise
            outcome.kills[point] += 1
            tell(f"{outcome.kills.total()} kills, {outcome.acknowledged} records acknowledged")
        node.start()
        node.wait_until_answering()
        _begin(client)
        outcome.violations += differences(ledger, client.records(), client.shards())
    finally:
        node.kill()


def _begin(client: Client) -> None:
    """The stream, if it is not there yet."""
    if client.ask("ListStreams")["StreamNames"] == []:
        client.ask("CreateStream", StreamName="orders", ShardCount=2)


def _move(client: Client, ledger: Ledger, chance: random.Random, outcome: Outcome) -> None:
    """A put, or now and then a change of the shards."""
    if chance.random() < 0.8:
        keys = chance.choices(KEYS, k=chance.randint(1, 4))
        names = [ledger.next(key) for key in keys]
        entries = [
            {"PartitionKey": key, "Data": base64.b64encode(name.encode()).decode()}
            for key, name in zip(keys, names, strict=True)
        ]
        answer = client.ask("PutRecords", StreamName="orders", Records=entries)
        for name, told in zip(names, answer["Records"], strict=True):
            ledger.acknowledged[name] = told["ShardId"], told["SequenceNumber"]
            outcome.acknowledged += 1
        return
    shards = [
        shard for shard in client.shards() if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
    ]
    shards.sort(key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
    try:
        if chance.random() < 0.6 or len(shards) == 1:
            chosen = chance.choice(shards)
            first, last = (int(key) for key in chosen["HashKeyRange"].values())
            middle = str(chance.randrange(first + 2, last))
            client.ask(
                "SplitShard", StreamName="orders", ShardToSplit=chosen["ShardId"], NewStartingHashKey=middle
            )
            ledger.closed.add(chosen["ShardId"])
        else:
            place = chance.randrange(len(shards) - 1)
            lower, upper = (shard["ShardId"] for shard in shards[place : place + 2])
            client.ask("MergeShards", StreamName="orders", ShardToMerge=lower, AdjacentShardToMerge=upper)
            ledger.closed |= {lower, upper}
        outcome.reshards += 1
    except Refused as error:
        outcome.violations.append(str(error))


def differences(
    ledger: Ledger, records: list[tuple[str, str, str, str]], shards: list[dict[str, Any]]
) -> list[str]:
    """What is not as it was acknowledged."""
    wrong: list[str] = []
    places = {name: (shard, number) for shard, number, _, name in records}
    counts = Counter(name for _, _, _, name in records)
    wrong += [f"{name} is there {count} times" for name, count in counts.items() if count > 1]
    wrong += [
        f"{name} was acknowledged as {told}, and is at {places.get(name)}"
        for name, told in ledger.acknowledged.items()
        if places.get(name) != told
    ]
    for key in KEYS:
        there = [name for _, _, of, name in records if of == key]
        if there != [name for name in ledger.sent[key] if name in places]:
            wrong.append(f"the records of {key} are not in the order in which they were put: {there}")
    wrong += [
        f"{name} was never put" for name in places.keys() - {n for sent in ledger.sent.values() for n in sent}
    ]
    is_open = {
        shard["ShardId"]: tuple(
            int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey")
        )
        for shard in shards
        if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
    }
    wrong += [f"{shard} was closed, and is open" for shard in ledger.closed & is_open.keys()]
    ranges = sorted(is_open.values())
    if [first for first, _ in ranges] != [0, *(last + 1 for _, last in ranges[:-1])] or ranges[-1][
        1
    ] != HASHES - 1:
        wrong.append(f"the open shards do not part the hash space: {ranges}")
    return wrong
