"""Heads: what a journal comes to at one moment, in one hash that can be kept elsewhere.

Theory of operation: each shard has a tree of its own (merkle.py), and a head has a tree over the shards: a
leaf says a shard's name, size and root. So a proof for one change is two paths, and a head commits all
shards. A journal alone proves nothing against somebody who writes all of it anew: what detects that is a head
which was saved where they cannot reach, or signed with a key that they do not have.
Rules of this file: pure. Anybody may have written a file that says it is a head: it is believed in nothing.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from tailrace.errors import SettingsError
from tailrace.journal.core import merkle

FORM: Final = "tailrace.head.1"
_SHARD: Final = b"\x00tailrace.shard.1\x00"


class ShardTree(Struct, frozen=True, order=True):
    """What a shard's changes come to. Shape: `stream` is its stream's label; `root` in hexadecimal digits."""

    stream: str
    shard: str
    size: int
    root: str

    @property
    def leaf(self) -> bytes:
        """The shard's leaf in the tree of a head: 32 bytes."""
        names = (self.stream.encode(), self.shard.encode())
        sized = b"".join(len(name).to_bytes(4, "big") + name for name in names)
        return sha256(_SHARD + sized + self.size.to_bytes(8, "big") + bytes.fromhex(self.root)).digest()


class TreeHead(Struct, frozen=True):
    """A journal at one moment.

    Shape:   `journal` is its place, `<region>/<account>/<table id>`; `number` of the last delta; `shards` in
             the order of stream and name; `root` of the tree over them. `key` and `signature` in
             hexadecimal digits where it was signed (Ed25519, over `signed`).
    """

    journal: str
    number: int
    shards: tuple[ShardTree, ...]
    root: str
    form: str = FORM
    key: str = ""
    signature: str = ""

    @property
    def signed(self) -> bytes:
        """What a signature is over: five lines, which have everything but the shards; the root has those."""
        lines = (self.form, self.journal, str(self.number), str(len(self.shards)), self.root)
        return "".join(f"{line}\n" for line in lines).encode()


class HeadDifference(Struct, frozen=True):
    """What a journal has otherwise than a head that was saved. Shape: `shard` is "" for the whole."""

    stream: str
    shard: str
    reason: str


def head_of(journal: str, number: int, shards: Sequence[ShardTree]) -> TreeHead:
    """The head of some shards' trees."""
    ordered = tuple(sorted(shards))
    return TreeHead(journal, number, ordered, merkle.root_of([shard.leaf for shard in ordered]).hex())


def read_head(data: bytes, name: str) -> TreeHead:
    """A head out of a file. Raises: SettingsError naming the file for what is none, and for one whose root is
    not that of its shards.
    """
    try:
        head = msgspec.json.decode(data, type=TreeHead)
        sound = head.form == FORM and head == msgspec.structs.replace(
            head_of(head.journal, head.number, head.shards), key=head.key, signature=head.signature
        )
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise SettingsError(f"{name} is no head of a journal: {error}") from error
    if not sound:
        raise SettingsError(f"{name} is no head of a journal: its root is not that of its shards")
    return head


def differences(
    saved: TreeHead, now: TreeHead, root_at: Callable[[ShardTree], str | None]
) -> Sequence[HeadDifference]:
    """What a journal has otherwise than a head of its own that was saved before: nothing, if it only grew.

    Shape: `root_at` answers the root of a shard's first `size` changes as they are now; None: there are
    fewer.
    """
    if saved.journal != now.journal:
        return [HeadDifference("", "", f"the head is of {saved.journal}, not of {now.journal}")]
    told: list[HeadDifference] = []
    if now.number < saved.number:
        reason = (
            f"the manifest ends with delta {now.number}; when the head was saved there were {saved.number}"
        )
        told.append(HeadDifference("", "", reason))
    for tree in saved.shards:
        match root_at(tree):
            case None:
                reason = f"{tree.size:,} changes when the head was saved, fewer now"
            case root if root != tree.root:
                reason = f"one of its first {tree.size:,} changes is not what it was when the head was saved"
            case _:
                continue
        told.append(HeadDifference(tree.stream, tree.shard, reason))
    return told
