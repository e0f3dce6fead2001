"""What was seen of a round from outside: what the writer noted, what tables and streams hold, what workers
appended to the ledger, and every version of every row of the state.

Rules of this file: values, and how they are read out of files and rows; nothing is judged here.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote

from tests.fleets.places import RowVersion


class Delivery(NamedTuple):
    """A change that was given to the ledger. Shape: `batch` is the line of the ledger. Units: `at_s` seconds
    since the epoch, for people.
    """

    batch: int
    at_s: float
    process: int
    shard: str
    epoch: int
    counter: str
    value: int
    sequence: int


class LeaseVersion(NamedTuple):
    """A lease as it was written. Shape: `owner` "": it was given back."""

    shard: str
    owner: str
    epoch: int


class CheckpointVersion(NamedTuple):
    """A checkpoint as it was written. Shape: `ranges` above the watermark, inclusive."""

    mapping: str
    shard: str
    epoch: int
    watermark: int
    ranges: tuple[tuple[int, int], ...]
    finished: bool

    def covers(self, sequence: int) -> bool:
        """Whether a record is settled."""
        return sequence <= self.watermark or any(first <= sequence <= last for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class FleetSeen:
    """A round as it ended.

    Shape:   counter → value or values, in order; group → (changes, advance), and
             `projected` group → (counters, what they come to); process → the worker's name;
             `handled` mapping → records that its checkpoints count; `kept_aside` are keys of rows of dead
             letters, parked keys and gaps; `shards` id → whether it is closed; `live` are names of workers;
             `stranded` and `ends` are sentences.
    """

    sent: Mapping[str, int]
    acknowledged: Mapping[str, int]
    items: Mapping[str, int]
    records: Mapping[str, Sequence[int]]
    effects: Mapping[str, Sequence[int]]
    tallies: Mapping[str, tuple[int, int]]
    projected: Mapping[str, tuple[int, int]]
    deliveries: Sequence[Delivery]
    names: Mapping[int, str]
    leases: Sequence[LeaseVersion]
    checkpoints: Sequence[CheckpointVersion]
    handled: Mapping[str, int]
    kept_aside: Sequence[str]
    shards: Mapping[str, bool]
    live: frozenset[str]
    stranded: Sequence[str] = ()
    ends: Sequence[str] = ()


def read_ledger(lines: Iterable[str], first: int = 0) -> list[Delivery]:
    """The lines of the ledger; one that is being written is left out. Shape: `first` numbers them."""
    deliveries: list[Delivery] = []
    for batch, line in enumerate(lines, first):
        if line.endswith("\n"):
            at_s, process, shard, epoch, *changes = line.split()
            for change in changes:
                counter, value, sequence = change.split(":")
                deliveries.append(
                    Delivery(
                        batch,
                        float(at_s),
                        int(process),
                        shard,
                        int(epoch),
                        counter,
                        int(value),
                        int(sequence),
                    )
                )
    return deliveries


def leases_of(history: Iterable[RowVersion]) -> list[LeaseVersion]:
    """The versions of leases."""
    versions: list[LeaseVersion] = []
    for key, fields in history:
        kind, *words = map(unquote, key.split("/"))
        if kind == "lease" and fields is not None:
            versions.append(LeaseVersion(words[-1], fields["owner"], fields["epoch"]))
    return versions


def checkpoints_of(history: Iterable[RowVersion]) -> list[CheckpointVersion]:
    """The versions of checkpoints."""
    versions: list[CheckpointVersion] = []
    for key, fields in history:
        kind, *words = map(unquote, key.split("/"))
        if kind == "checkpoint" and fields is not None:
            ranges = tuple((int(first), int(last)) for first, last in fields["ranges"])
            _, mapping, _, shard = words
            versions.append(
                CheckpointVersion(
                    mapping, shard, fields["epoch"], int(fields["watermark"]), ranges, fields["finished"]
                )
            )
    return versions


def projected_of(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """What the rows of a projection's groups say, of those that have items."""
    return {
        json.loads(fields["key"])["S"]: (fields["count"], int(fields["state"]["N"]))
        for fields in groups.values()
        if fields["count"]
    }


def handled_of(checkpoints: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """How many records each mapping's checkpoints say were handled, of their rows as they are now."""
    handled: dict[str, int] = {}
    for key, fields in checkpoints.items():
        mapping = unquote(key.split("/")[2])
        handled[mapping] = handled.get(mapping, 0) + fields["ledger"]["totals"].get("handled", 0)
    return handled
