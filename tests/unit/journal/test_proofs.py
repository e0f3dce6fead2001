"""Proofs, and the checker that knows nothing of Tailrace."""

import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tailrace.errors import SettingsError
from tailrace.journal.core import merkle
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.heads import ShardTree, TreeHead, head_of
from tailrace.journal.core.proofs import ChangeProof, proof_of, read_proof
from tailrace.streams.version import Version

CHECKER = Path(__file__).parents[3] / "examples" / "journal_proof" / "check.py"


def change(number: int, shard: str = "s1") -> JournalChange:
    old = None if number % 3 == 0 else b'{"n":{"N":"%d"}}' % number
    new = None if number % 5 == 4 else b'{"n":{"N":"%d"}}' % (number + 1)
    ancestry = "handler@1" if number % 2 else None
    return JournalChange(
        shard, b"k%d" % number, Version(1, number), number, "MODIFY", old, new, None, ancestry
    )


def journal(sizes: list[int]) -> tuple[TreeHead, list[list[JournalChange]]]:
    changes = [[change(number, f"s{shard}") for number in range(size)] for shard, size in enumerate(sizes)]
    trees = [
        ShardTree("t1", f"s{shard}", len(rows), merkle.root_of([row.leaf for row in rows]).hex())
        for shard, rows in enumerate(changes)
    ]
    return head_of("us-east-1/000000000000/7f", 9, trees), changes


def proof(sizes: list[int], shard: int, index: int) -> tuple[TreeHead, ChangeProof]:
    head, changes = journal(sizes)
    rows = changes[shard]
    return head, proof_of(head, head.shards[shard], rows[index], [row.leaf for row in rows], index)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.data())
def test_every_change_of_every_shard_is_proved(sizes: list[int], data: st.DataObject) -> None:
    shard = data.draw(st.integers(0, len(sizes) - 1))
    head, made = proof(sizes, shard, data.draw(st.integers(0, sizes[shard] - 1)))
    assert made.holds
    assert made.head == head.root
    assert read_proof(msgspec.json.encode(made), "proof.json") == made


OTHER: dict[str, Any] = {
    "shard": "s9",
    "key": b64encode(b"other").decode(),
    "version": Version(1, 77).text,
    "created_us": 77,
    "event": "REMOVE",
    "old": None,
    "new": b64encode(b"{}").decode(),
    "origin": "ttl",
    "ancestry": "another@1",
}


@pytest.mark.parametrize("field", OTHER)
def test_a_proof_of_a_change_that_was_altered_does_not_hold(field: str) -> None:
    _, made = proof([5, 7], 1, 5)
    altered = structs.replace(made.change, **{field: OTHER[field]})
    assert altered != made.change
    assert not structs.replace(made, change=altered).holds


@pytest.mark.parametrize(
    "edit",
    [
        {"index": 4},
        {"path": ()},
        {"path": ("zz",)},
        {"shard_index": 0},
        {"shards": 3},
        {"shard_path": ()},
        {"head": "0" * 64},
        {"tree": ShardTree("t1", "s1", 8, "0" * 64)},
        {"tree": ShardTree("t1", "s1", -1, "0" * 64)},
    ],
)
def test_a_proof_that_was_altered_does_not_hold(edit: dict[str, Any]) -> None:
    _, made = proof([5, 7], 1, 5)
    assert not structs.replace(made, **edit).holds


def test_leaves_that_are_not_those_of_the_manifest_are_refused() -> None:
    head, changes = journal([5])
    leaves = [row.leaf for row in changes[0]]
    with pytest.raises(SettingsError, match="next: tailrace journal verify"):
        proof_of(head, head.shards[0], changes[0][1], leaves, 2)
    with pytest.raises(SettingsError, match="shard s0 are not those of its manifest"):
        proof_of(head, head.shards[0], changes[0][1], leaves[::-1], 1)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"form":"tailrace.proof.1"}'])
def test_what_is_no_proof_is_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(SettingsError, match=r"mine\.json is no proof of a change"):
        read_proof(data, "mine.json")


def checked(folder: Path, made: ChangeProof, kept: str) -> tuple[int, str]:
    (folder / "proof.json").write_bytes(msgspec.json.encode(made))
    command = [sys.executable, "-I", str(CHECKER), "proof.json", kept]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not ended.stderr
    return ended.returncode, ended.stdout


def test_a_checker_of_python_alone_agrees(tmp_path: Path) -> None:
    head, made = proof([5, 7, 2], 1, 5)
    (tmp_path / "head.json").write_bytes(msgspec.json.encode(head))
    assert checked(tmp_path, made, "head.json") == (0, f"proved that {head.journal} has MODIFY\n")
    assert checked(tmp_path, made, head.root)[0] == 0
    assert checked(tmp_path, made, head.root)[1] == "proved that the journal of this root has MODIFY\n"
    assert checked(tmp_path, made, "0" * 64)[0] == 1
    for edit in ({"journal": "eu-west-1/000000000000/of-another-table"}, {"form": "tailrace.proof.2"}):
        assert checked(tmp_path, structs.replace(made, **edit), "head.json")[0] == 1
    altered = structs.replace(made, change=structs.replace(made.change, event="REMOVE"))
    assert checked(tmp_path, altered, head.root)[0] == 1


def test_the_checker_has_no_more_lines_than_it_says() -> None:
    code = CHECKER.read_text(encoding="utf-8").split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip() and '"""' not in line]) <= 43
