"""A journal as somebody reads it who has no Tailrace: manifests as JSON, segments by pyarrow alone.

Rules of this file: it imports nothing of Tailrace; the law of docs/formats/journal.md is written again.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


@dataclass
class ControlJournal:
    """One incarnation. Shape: `shards` by (stream, shard): (epoch, through); rows in no order."""

    shards: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    segments: dict[str, dict[str, Any]] = field(default_factory=dict)
    trees: dict[tuple[str, str], tuple[int, list[str]]] = field(default_factory=dict)
    gaps: list[tuple[str, int, int]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The rows that are changes, not of the base."""
        return [row for row in self.rows if row["shard"] != "base"]

    def of_shard(self, shard: str) -> list[dict[str, Any]]:
        """The rows of one shard, by sequence; a base has none."""
        rows = [row for row in self.rows if row["shard"] == shard]
        return sorted(rows, key=lambda row: (row["generation"], row["sequence"]))


def read_control(blobs: Mapping[str, bytes]) -> dict[str, ControlJournal]:
    """Every incarnation, by its folder."""
    folders = {name.partition("/_manifest/")[0] for name in blobs if "/_manifest/" in name}
    return {folder: _folded(blobs, folder) for folder in sorted(folders)}


def journal_of(place: Path) -> ControlJournal:
    """The one journal below a directory."""
    blobs = {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and "/." not in f"/{path.relative_to(place).as_posix()}"
    }
    (journal,) = (one for folder, one in read_control(blobs).items() if "/_tables/" not in folder)
    return journal


def _folded(blobs: Mapping[str, bytes], folder: str) -> ControlJournal:
    journal, number = _begun(blobs, f"{folder}/_manifest")
    while (data := blobs.get(f"{folder}/_manifest/delta/{number:020d}.json")) is not None:
        for part in json.loads(data)["value"]["parts"]:
            _apply(journal, part)
        number += 1
    for name in journal.segments:
        journal.rows += pq.read_table(io.BytesIO(blobs[name])).to_pylist()
    return journal


def _begun(blobs: Mapping[str, bytes], folder: str) -> tuple[ControlJournal, int]:
    """What the deltas that are there follow, and the number of the first: deltas that a whole manifest has
    folded are deleted after a time.
    """
    journal, head = ControlJournal(), blobs.get(f"{folder}/head.json")
    if head is None or f"{folder}/delta/{1:020d}.json" in blobs:
        return journal, 1
    number = json.loads(head)["value"]["full"]
    whole = json.loads(blobs[f"{folder}/full/{number:020d}.json"])["value"]
    for place, there in whole["positions"].items():
        _, stream, shard = json.loads(place)
        journal.shards[stream, shard] = (there["epoch"], there.get("through", 0))
        journal.gaps += [(shard, first, last) for first, last in there.get("gaps", [])]
        if "leaves" in there:
            journal.trees[stream, shard] = (there["leaves"], there["frontier"])
    journal.segments.update(whole["files"])
    return journal, number + 1


def _apply(journal: ControlJournal, part: dict[str, Any]) -> None:
    removed, added = part.get("removed", []), part.get("added", [])
    names = [file["name"] for file in added]
    is_void = any(name not in journal.segments for name in removed)
    is_void |= any(name in journal.segments for name in names)
    if "place" in part:
        _, stream, shard = json.loads(part["place"])
        there = journal.shards.get((stream, shard))
        epoch, after, through = part["epoch"], part.get("after", 0), part.get("through", 0)
        is_void |= there is None and after != through
        if there is not None:
            is_void |= epoch < there[0] or after != there[1] or (epoch > there[0] and after != through)
        if not is_void:
            journal.shards[stream, shard] = (epoch, through)
            journal.gaps += [(shard, first, last) for first, last in part.get("gaps", [])]
            if "leaves" in part:
                journal.trees[stream, shard] = (part["leaves"], part["frontier"])
    if not is_void:
        for name in removed:
            del journal.segments[name]
        journal.segments.update((file["name"], file) for file in added)


def root_of(leaves: list[bytes]) -> bytes:
    """The root of a tree, by RFC 9162's own definition."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


def root_of_frontier(frontier: list[str]) -> bytes:
    """The root that a frontier says."""
    root = bytes.fromhex(frontier[-1])
    for whole in reversed(frontier[:-1]):
        root = sha256(b"\x01" + bytes.fromhex(whole) + root).digest()
    return root
