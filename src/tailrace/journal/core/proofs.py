"""Proofs: one change, and two paths from it to a head, in a file that anybody can check without Tailrace.

Rules of this file: pure. A proof has all that its leaf is made of, so that whoever checks it reads the change
in the very file; examples/journal_proof/check.py is a checker of forty lines, run by the tests.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from tailrace.errors import SettingsError
from tailrace.journal.core import merkle
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.heads import ShardTree, TreeHead
from tailrace.streams.version import Version

FORM: Final = "tailrace.proof.1"


class ProvedChange(Struct, frozen=True):
    """What a leaf is made of, in JSON.

    Shape:   bytes as base64, `version` as 66 digits; None is what is absent.
    """

    shard: str
    key: str
    version: str
    created_us: int
    event: str
    old: str | None
    new: str | None
    origin: str | None
    ancestry: str | None

    @property
    def change(self) -> JournalChange:
        """The change. Raises: ValueError for what is no base64 or no version."""
        return JournalChange(
            self.shard,
            b64decode(self.key, validate=True),
            Version.from_text(self.version),
            self.created_us,
            self.event,
            _bytes(self.old),
            _bytes(self.new),
            self.origin,
            self.ancestry,
        )


class ChangeProof(Struct, frozen=True):
    """That a journal has a change.

    Shape:   `index` of the change among its shard's, from 0 on; `path` from there to the root of `tree`;
             `shard_path` from the leaf of `tree`, which is `shard_index` of `shards`, to `head`, the root of
             the head of the journal. Hashes in hexadecimal digits.
    """

    journal: str
    change: ProvedChange
    index: int
    path: tuple[str, ...]
    tree: ShardTree
    shard_index: int
    shards: int
    shard_path: tuple[str, ...]
    head: str
    form: str = FORM

    @property
    def holds(self) -> bool:
        """Whether both paths lead where they say. Whose head it is, says who kept the head."""
        try:
            path = [bytes.fromhex(step) for step in self.path]
            shard_path = [bytes.fromhex(step) for step in self.shard_path]
            root, head = bytes.fromhex(self.tree.root), bytes.fromhex(self.head)
            leaf, of_shard = self.change.change.leaf, self.tree.leaf
        except (ValueError, OverflowError):
            return False
        return merkle.is_included(leaf, self.index, self.tree.size, path, root) and merkle.is_included(
            of_shard, self.shard_index, self.shards, shard_path, head
        )


def proof_of(
    head: TreeHead, tree: ShardTree, change: JournalChange, leaves: Sequence[bytes], index: int
) -> ChangeProof:
    """The proof of a change. Shape: `leaves` of its shard, as many as the tree has; `index` of the change's.

    Raises: SettingsError when the leaves are not those of the tree, or the change is not the one there.
    """
    if merkle.root_of(leaves).hex() != tree.root or change.leaf != leaves[index]:
        raise SettingsError(
            f"the journal's changes of shard {tree.shard} are not those of its manifest\n"
            f"  next: tailrace journal verify"
        )
    place = head.shards.index(tree)
    of_shards = [shard.leaf for shard in head.shards]
    return ChangeProof(
        head.journal,
        proved_change(change),
        index,
        tuple(step.hex() for step in merkle.inclusion_proof(leaves, index)),
        tree,
        place,
        len(of_shards),
        tuple(step.hex() for step in merkle.inclusion_proof(of_shards, place)),
        head.root,
    )


def proved_change(change: JournalChange) -> ProvedChange:
    """A change in JSON, its bytes as base64."""
    return ProvedChange(
        change.shard,
        b64encode(change.key).decode(),
        change.version.text,
        change.created_us,
        change.event,
        None if change.old is None else b64encode(change.old).decode(),
        None if change.new is None else b64encode(change.new).decode(),
        change.origin,
        change.ancestry,
    )


def read_proof(data: bytes, name: str) -> ChangeProof:
    """A proof out of a file; `holds` says whether it proves anything. Raises: SettingsError naming the file
    for what is none.
    """
    try:
        proof = msgspec.json.decode(data, type=ChangeProof)
    except msgspec.DecodeError as error:
        raise SettingsError(f"{name} is no proof of a change: {error}") from error
    if proof.form != FORM:
        raise SettingsError(f"{name} is no proof of a change: its form is {proof.form!r}, not {FORM!r}")
    return proof


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text, validate=True)
