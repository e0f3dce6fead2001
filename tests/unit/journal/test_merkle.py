"""Trees, against the definition of RFC 9162 as it stands, and proofs, against everything else."""

import random
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.journal.core.merkle import (
    NOTHING,
    Frontier,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    root_of,
)

SIZES = st.integers(0, 70)


def leaves_of(size: int) -> list[bytes]:
    return [sha256(str(number).encode()).digest() for number in range(size)]


def defined(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, for leaves that are hashes already."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\x01" + defined(leaves[:half]) + defined(leaves[half:])).digest()


def test_the_root_is_the_one_of_the_standard_at_every_size() -> None:
    for size in range(130):
        assert root_of(leaves_of(size)) == defined(leaves_of(size)), size


def test_the_trees_of_the_standard_have_the_roots_that_are_published() -> None:
    """Certificate Transparency's own eight inputs."""
    inputs = (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
    leaves = [sha256(b"\x00" + bytes.fromhex(data)).digest() for data in inputs]
    assert root_of(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root_of(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@given(st.lists(SIZES, max_size=6))
def test_a_frontier_that_grows_in_pieces_has_the_root_of_all(pieces: list[int]) -> None:
    leaves = leaves_of(sum(pieces))
    grown, first = Frontier(), 0
    for piece in pieces:
        grown = grown.extended(leaves[first : first + piece])
        first += piece
    assert (grown.size, grown.root) == (len(leaves), defined(leaves))
    assert len(grown.whole) == grown.size.bit_count()


def test_every_leaf_of_every_small_tree_is_proved() -> None:
    for size in range(1, 40):
        leaves = leaves_of(size)
        root = root_of(leaves)
        for index, leaf in enumerate(leaves):
            path = inclusion_proof(leaves, index)
            assert len(path) <= (size - 1).bit_length()
            assert is_included(leaf, index, size, path, root)


def test_every_earlier_tree_is_proved_to_be_how_a_tree_began() -> None:
    for size in range(40):
        leaves = leaves_of(size)
        for earlier in range(size + 1):
            path = consistency_proof(leaves, earlier)
            assert is_consistent(earlier, size, root_of(leaves[:earlier]), root_of(leaves), path)


@given(st.integers(1, 70), st.integers(0, 2**32))
def test_no_other_leaf_place_size_path_or_root_is_proved(size: int, seed: int) -> None:
    chance = random.Random(seed)
    leaves = leaves_of(size)
    index = chance.randrange(size)
    path, root = inclusion_proof(leaves, index), root_of(leaves)
    leaf = leaves[index]
    for other in {chance.randrange(-1, size + 2) for _ in range(6)} - {index}:
        assert not is_included(leaf, other, size, path, root)
    assert not is_included(sha256(leaf).digest(), index, size, path, root)
    assert not is_included(leaf, index, size, path, sha256(root).digest())
    assert not is_included(leaf, index, size, (*path, leaf), root)
    if path:
        assert not is_included(leaf, index, size, path[:-1], root)
        turned = chance.randrange(len(path))
        changed = (*path[:turned], sha256(path[turned]).digest(), *path[turned + 1 :])
        assert not is_included(leaf, index, size, changed, root)


@given(st.integers(0, 70), st.integers(0, 70), st.integers(0, 2**32))
def test_a_history_that_was_rewritten_is_proved_by_nothing(first: int, second: int, seed: int) -> None:
    earlier, size = sorted((first, second))
    leaves = leaves_of(size)
    path, before, now = consistency_proof(leaves, earlier), root_of(leaves[:earlier]), root_of(leaves)
    if earlier == 0:
        assert not is_consistent(0, size, sha256(before).digest(), now, path)
        return
    turned = random.Random(seed).randrange(earlier)
    rewritten = [*leaves]
    rewritten[turned] = sha256(leaves[turned]).digest()
    other = root_of(rewritten)
    assert not is_consistent(earlier, size, before, other, consistency_proof(rewritten, earlier))
    assert not is_consistent(earlier, size, root_of(rewritten[:earlier]), now, path)
    assert not is_consistent(earlier, size, before, now, (*path, before))
    if path:
        assert not is_consistent(earlier, size, before, now, path[:-1])


def test_sizes_that_cannot_be_prove_nothing() -> None:
    assert not is_included(NOTHING, 0, 0, (), NOTHING)
    assert not is_consistent(2, 1, NOTHING, NOTHING, ())
    assert not is_consistent(-1, 1, NOTHING, NOTHING, ())


def test_what_is_not_there_has_no_proof() -> None:
    with pytest.raises(IndexError, match="a tree of 3 leaves has none of index 3"):
        inclusion_proof(leaves_of(3), 3)
    with pytest.raises(IndexError, match="a tree of 3 leaves had never 4"):
        consistency_proof(leaves_of(3), 4)


def test_a_node_cannot_pass_for_a_leaf() -> None:
    """Why leaves begin with 0x00: the tree over two nodes is not the tree over what is below them."""
    leaves = leaves_of(4)
    nodes = [sha256(b"\x00" + b"\x01" + leaves[place] + leaves[place + 1]).digest() for place in (0, 2)]
    assert root_of(nodes) != root_of(leaves)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_a_tree_that_grows_in_steps_is_the_tree_of_all(leaves: list[bytes], first: int, second: int) -> None:
    one, other = sorted((first, second))
    grown = Frontier().extended(leaves[:one]).extended(leaves[one:other]).extended(leaves[other:])
    singly = Frontier()
    for leaf in leaves:
        singly = singly.extended([leaf])
    assert grown == singly == Frontier().extended(leaves)
    assert len(grown.whole) == len(leaves).bit_count()
