"""The head of a parked key: append, claim, put back, unpark, each under the version that was read."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tailrace.deadletters.core.entry import DeadLetter
from tailrace.deadletters.core.head import (
    CLAIM_MS,
    Head,
    HeadClaims,
    claimed,
    failed_again,
    parked,
    put_back,
    read_head,
    released,
)
from tailrace.errors import StoreError
from tailrace.rows.writes import Absent, Equals, Write, holds
from tailrace.streams.version import Version
from tests.unit.mapping.records import record


def letter(sequence: int, condition: str = "KeyParked") -> DeadLetter:
    return DeadLetter(
        record=record(sequence),
        event_id=str(sequence),
        shard_id="s",
        handler="mail",
        condition=condition,
        attempts=1,
    )


def first(*sequences: int) -> tuple[Head, list[Write]]:
    writes = parked("shop", "mail", None, [letter(sequence) for sequence in sequences], 7)
    return read_head("shop", "mail", writes[0].fields or {}), writes


def test_the_first_parking_makes_a_head_only_if_there_is_none() -> None:
    head, writes = first(5, 8)
    assert (head.first, head.tail, head.count, head.version, head.parked_ms) == (
        Version(1, 5),
        Version(1, 8),
        2,
        1,
        7,
    )
    assert writes[0].condition == Absent()
    assert [write.key.rsplit("/", 1)[1][-1] for write in writes[1:]] == ["5", "8"]


def test_an_append_requires_the_version_that_was_read_and_keeps_the_first() -> None:
    head, _ = first(5)
    writes = parked("shop", "mail", head, [letter(9)], 99)
    after = read_head("shop", "mail", writes[0].fields or {})
    assert (after.first, after.tail, after.count, after.version, after.parked_ms) == (
        Version(1, 5),
        Version(1, 9),
        2,
        2,
        7,
    )
    assert writes[0].condition == Equals("stamp", f"{Version(1, 5).text}/7/1")


@pytest.mark.parametrize(("given", "fresh"), [([5], 0), ([5, 8], 0), ([8, 9], 1), ([9], 1)])
def test_parking_is_idempotent_by_version(given: list[int], fresh: int) -> None:
    head, _ = first(5, 8)
    writes = parked("shop", "mail", head, [letter(sequence) for sequence in given], 0)
    assert len(writes) == (fresh + 1 if fresh else 0)


def test_only_the_tail_unparks() -> None:
    head, _ = first(5, 8)
    after, writes = put_back(head, Version(1, 5), 1)
    assert after is not None
    assert (after.count, after.version) == (1, 2)
    assert [write.fields is None for write in writes] == [False, True]
    gone, writes = put_back(after, Version(1, 8), 2)
    assert gone is None
    assert [write.fields is None for write in writes] == [True, True]
    assert writes[0].condition == Equals("stamp", f"{Version(1, 5).text}/7/2")


def test_a_claim_keeps_others_away_until_it_has_stood_still_on_their_own_clock() -> None:
    """Whatever the wall clock of who claimed it says: here it is a year ahead."""
    taken, write = claimed(first(5)[0], "r1/one", 31_536_000_000)
    assert write.condition == Equals("stamp", f"{Version(1, 5).text}/7/1")
    claims = HeadClaims()
    assert claims.is_taken(taken, "r1/two", 1_000)
    assert claims.is_taken(taken, "r1/two", 1_000 + CLAIM_MS - 1)
    assert not claims.is_taken(taken, "r1/two", 1_000 + CLAIM_MS)


def test_a_claim_that_is_renewed_does_not_run_out() -> None:
    taken, _ = claimed(first(5)[0], "r1/one", 1)
    claims = HeadClaims()
    for round_ in range(5):
        assert claims.is_taken(taken, "r1/two", round_ * CLAIM_MS)
        taken, _ = claimed(taken, "r1/one", 1)


def test_claims_of_one_key_in_two_handlers_run_out_each_by_itself() -> None:
    taken, _ = claimed(first(5)[0], "r1/one", 1)
    other = replace(taken, mapping_id="another", parked_ms=9)
    other = replace(other, seen=other.stamp)
    claims = HeadClaims()
    for head in (taken, other):
        assert claims.is_taken(head, "r1/two", 0)
    for head in (taken, other):
        assert not claims.is_taken(head, "r1/two", CLAIM_MS)


@pytest.mark.parametrize("claimed_by", ["r1/one", "r1"])
def test_a_claim_of_ones_own_and_one_that_was_left_keep_nobody_away(claimed_by: str) -> None:
    taken, _ = claimed(first(5)[0], claimed_by, 1)
    assert not HeadClaims().is_taken(taken, "r1/one", 0)
    assert not HeadClaims().is_taken(released(taken, "r1")[0], "r2/two", 0)
    assert read_head("shop", "mail", released(taken, "r1")[1].fields or {}).tried == "r1"


def test_a_change_that_fails_again_leaves_the_key_to_the_next_redriver() -> None:
    taken, _ = claimed(first(5)[0], "me", 1)
    after, writes = failed_again(taken, msgspec.structs.replace(letter(5), attempts=4))
    assert (after.claimed_by, after.count) == ("", 1)
    fields: Any = writes[1].fields
    assert fields["attempts"] == 4


def test_a_head_of_an_unknown_format_is_refused() -> None:
    with pytest.raises(StoreError, match="format 3"):
        read_head("shop", "mail", {"v": 3})


def test_who_knows_a_head_that_is_gone_cannot_write_the_next_head_of_its_key() -> None:
    """A key that was put back and is parked anew begins with version 1 again: the old head came back over the
    new one, and nothing unparked it.
    """
    old, _ = first(30, 31)
    new, writes = first(182, 183)
    assert old.version == new.version
    _, late = claimed(old, "redriver", 9)
    assert not holds(late.condition, dict(writes[0].fields or {}))
    _, right = claimed(new, "redriver", 9)
    assert holds(right.condition, dict(writes[0].fields or {}))


def test_a_head_of_a_version_without_stamps_is_known_by_its_version_once() -> None:
    _, writes = first(30)
    row = {name: value for name, value in (writes[0].fields or {}).items() if name != "stamp"}
    old = read_head("shop", "mail", row)
    after, write = claimed(old, "redriver", 9)
    assert holds(write.condition, row)
    assert (write.fields or {})["stamp"] == after.stamp
    _, next_write = released(after)
    assert holds(next_write.condition, dict(write.fields or {}))
