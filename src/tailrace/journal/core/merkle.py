"""Merkle trees over leaves that are only ever added: roots, and proofs that a leaf is in one and that one
began with another.

Theory of operation: the form is that of RFC 9162: a node is SHA-256 of 0x01 and its two children, a tree of n
leaves is split at the largest power of two below n, and no leaves have the hash of nothing. So a tree that
grows keeps its whole subtrees: a frontier, one hash for each bit of its size, is all that adding needs.
Rules of this file: pure. A leaf is a hash already (leaf.py, which puts 0x00 before what it hashes, so that no
leaf can pass for a node). What a verifier is given is nobody's friend: it answers False, and raises nothing.
Source: RFC 9162, 2.1.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct

HASH_BYTES: Final = 32
NOTHING: Final = sha256(b"").digest()
"""The root of a tree without leaves."""


def node_of(left: bytes, right: bytes) -> bytes:
    """The hash of a node with two children."""
    return sha256(b"\x01" + left + right).digest()


class Frontier(Struct, frozen=True):
    """A tree that can grow, and no more of it than that needs.

    Shape:   `size` leaves; `whole` has the root of each whole subtree, the largest first: as many as `size`
             has bits that are set.
    """

    size: int = 0
    whole: tuple[bytes, ...] = ()

    @property
    def root(self) -> bytes:
        """The root of all leaves."""
        if not self.whole:
            return NOTHING
        root = self.whole[-1]
        for left in reversed(self.whole[:-1]):
            root = node_of(left, root)
        return root

    def extended(self, leaves: Iterable[bytes]) -> "Frontier":
        """The tree with these leaves after its own."""
        nodes, rest = list(leaves), self.size
        size = self.size + len(nodes)
        smallest = list(self.whole)
        whole: list[bytes] = []
        while nodes or rest:  # level by level: what has no other beside it is the root of a whole subtree
            if rest & 1:
                nodes.insert(0, smallest.pop())
            if len(nodes) & 1:
                whole.append(nodes.pop())
            pairs = iter(nodes)
            nodes = [
                sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)
            ]
            rest >>= 1
        return Frontier(size, tuple(reversed(whole)))


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root of a tree.

    >>> root_of([]) == NOTHING, root_of([b"x" * 32]) == b"x" * 32
    (True, True)
    """
    return Frontier().extended(leaves).root


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """What proves that the leaf of this index, from 0 on, is in the tree: at most one hash for each level.

    Raises: IndexError for one that is not there.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"a tree of {len(leaves)} leaves has none of index {index}")
    path: list[bytes] = []
    first, end = 0, len(leaves)
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(root_of(leaves[middle:end]))
            end = middle
        else:
            path.append(root_of(leaves[first:middle]))
            first = middle
    return tuple(reversed(path))


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof shows that a tree with this size and root has the leaf at the index."""
    if not 0 <= index < size:
        return False
    place, last, reached = index, size - 1, leaf
    for other in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            reached = node_of(other, reached)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            reached = node_of(reached, other)
        place, last = place >> 1, last >> 1
    return last == 0 and reached == root


def consistency_proof(leaves: Sequence[bytes], earlier: int) -> tuple[bytes, ...]:
    """What proves that the tree of these leaves began as that of its first `earlier` ones.

    Raises: IndexError when there are fewer leaves.
    """
    if not 0 <= earlier <= len(leaves):
        raise IndexError(f"a tree of {len(leaves)} leaves had never {earlier}")
    if earlier in (0, len(leaves)):
        return ()
    path: list[bytes] = []
    first, end, is_whole = 0, len(leaves), True
    while earlier != end:
        middle = first + _split(end - first)
        if earlier <= middle:
            path.append(root_of(leaves[middle:end]))
            end = middle
        else:
            path.append(root_of(leaves[first:middle]))
            first, is_whole = middle, False
    if not is_whole:
        path.append(root_of(leaves[first:end]))
    return tuple(reversed(path))


def is_consistent(earlier: int, size: int, before: bytes, now: bytes, path: Sequence[bytes]) -> bool:
    """Whether a proof shows that a tree with `size` leaves and the root `now` began as one with `earlier`
    leaves and the root `before`.
    """
    if not 0 <= earlier <= size:
        return False
    if earlier == 0:
        return before == NOTHING and not path
    if earlier == size:
        return before == now and not path
    place, last, rest = earlier - 1, size - 1, list(path)
    while place & 1:
        place, last = place >> 1, last >> 1
    if place:
        if not rest:
            return False
        old = new = rest.pop(0)
    else:
        old = new = before
    for other in rest:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_of(other, old), node_of(other, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_of(new, other)
        place, last = place >> 1, last >> 1
    return last == 0 and old == before and new == now


def _split(size: int) -> int:
    """The largest power of two below a size of at least two."""
    return 1 << (size - 1).bit_length() - 1
