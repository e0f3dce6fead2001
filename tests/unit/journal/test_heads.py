"""Heads: what a journal comes to, read back, and compared with what was saved."""

import msgspec
import pytest
from msgspec import structs

from tailrace.errors import SettingsError
from tailrace.journal.core.heads import HeadDifference, ShardTree, TreeHead, differences, head_of, read_head
from tailrace.journal.core.merkle import inclusion_proof, is_included

JOURNAL = "us-east-1/000000000000/7f"


def tree(shard: str, size: int, mark: str = "a") -> ShardTree:
    return ShardTree("t1", shard, size, mark * 64)


def test_a_head_does_not_depend_on_the_order_in_which_shards_are_listed() -> None:
    one, two = tree("s1", 3), tree("s2", 4)
    assert head_of(JOURNAL, 7, [one, two]) == head_of(JOURNAL, 7, [two, one])


@pytest.mark.parametrize(
    "other", [tree("s1", 4), tree("s1", 3, "b"), tree("s3", 3), ShardTree("t2", "s1", 3, "a" * 64)]
)
def test_a_shard_s_name_stream_size_and_root_are_all_in_the_root(other: ShardTree) -> None:
    assert head_of(JOURNAL, 7, [other]).root != head_of(JOURNAL, 7, [tree("s1", 3)]).root


def test_a_shard_is_proved_by_a_path_to_the_root() -> None:
    head = head_of(JOURNAL, 7, [tree(f"s{number}", number) for number in range(5)])
    leaves = [shard.leaf for shard in head.shards]
    path = inclusion_proof(leaves, 3)
    assert is_included(leaves[3], 3, 5, path, bytes.fromhex(head.root))


def test_a_head_is_read_back_as_it_was_and_keeps_its_signature() -> None:
    head = structs.replace(head_of(JOURNAL, 7, [tree("s1", 3)]), key="aa", signature="bb")
    assert read_head(msgspec.json.encode(head), "head.json") == head


def test_a_signature_is_over_all_but_itself() -> None:
    head = head_of(JOURNAL, 7, [tree("s1", 3)])
    assert structs.replace(head, key="aa", signature="bb").signed == head.signed
    others = (head_of("else", 7, head.shards), head_of(JOURNAL, 8, head.shards), head_of(JOURNAL, 7, []))
    assert all(other.signed != head.signed for other in others)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"journal":"a","number":1,"shards":[],"root":"00"}'])
def test_what_is_no_head_is_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(SettingsError, match=r"saved\.json is no head of a journal"):
        read_head(data, "saved.json")


def test_a_head_whose_shards_were_changed_is_refused() -> None:
    head = head_of(JOURNAL, 7, [tree("s1", 3)])
    damaged: list[TreeHead] = [
        structs.replace(head, shards=(tree("s1", 4),)),
        structs.replace(head, shards=(structs.replace(tree("s1", 3), root="zz"),)),
        structs.replace(head, shards=(structs.replace(tree("s1", 3), size=-1),)),
        structs.replace(head, form="tailrace.head.2"),
    ]
    for other in damaged:
        with pytest.raises(SettingsError, match="is no head"):
            read_head(msgspec.json.encode(other), "saved.json")


def test_a_journal_that_only_grew_differs_in_nothing() -> None:
    saved = head_of(JOURNAL, 7, [tree("s1", 3), tree("s2", 4)])
    now = head_of(JOURNAL, 9, [tree("s1", 30), tree("s2", 4), tree("s3", 1)])
    assert differences(saved, now, lambda shard: shard.root) == []


def test_what_was_removed_or_rewritten_is_named() -> None:
    saved = head_of(JOURNAL, 7, [tree("s1", 3), tree("s2", 4), tree("s3", 5)])
    now = head_of(JOURNAL, 6, [tree("s1", 3), tree("s2", 2), tree("s3", 5)])
    roots = {"s1": "b" * 64, "s2": None, "s3": "a" * 64}
    told = differences(saved, now, lambda shard: roots[shard.shard])
    assert told == [
        HeadDifference("", "", "the manifest ends with delta 6; when the head was saved there were 7"),
        HeadDifference("t1", "s1", "one of its first 3 changes is not what it was when the head was saved"),
        HeadDifference("t1", "s2", "4 changes when the head was saved, fewer now"),
    ]


def test_another_journal_s_head_compares_with_nothing() -> None:
    told = differences(head_of("else", 1, []), head_of(JOURNAL, 1, []), lambda shard: shard.root)
    assert [difference.reason for difference in told] == [f"the head is of else, not of {JOURNAL}"]
