"""Putting a discarded change back, step by step: what must be known before it is delivered."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tailrace.deadletters.core.entry import DeadLetter, read_deadletter
from tailrace.deadletters.core.head import Head, claimed_free, freed
from tailrace.deadletters.core.passed import passed_write
from tailrace.deadletters.core.redriving import (
    Claimant,
    Deliver,
    Ended,
    HoldKey,
    ReadHead,
    ReadLetter,
    ReadOldest,
    ReadPassed,
    Redriving,
    Refusal,
    Step,
    WriteRows,
    put_back_key,
    put_back_letter,
)
from tailrace.rows.writes import Check, Equals, Write
from tailrace.streams.version import NOTHING, Version
from tests.unit.deadletters.test_redrive import letter

LETTER = letter()
FENCE = Check("checkpoint/shop/mail", Equals("epoch", 3))


def by(*, is_taken: bool = False) -> Claimant:
    """Who carries out r1 here."""
    return Claimant("r1", "one", lambda _: is_taken)


def steps(
    *answers: Any,
    even_if_overtaken: bool = False,
    drops: bool = False,
    is_taken: bool = False,
    later: Sequence[Version] = (),
) -> tuple[list[Step], Ended]:
    """The steps that are asked for with these answers, and how it ended."""
    redriving: Redriving = put_back_letter(
        "shop",
        LETTER,
        by(is_taken=is_taken),
        lambda: 1_000,
        later,
        even_if_overtaken=even_if_overtaken,
        drops=drops,
    )
    asked = [next(redriving)]
    try:
        for answer in answers:
            asked.append(redriving.send(answer))
    except StopIteration as end:
        ended: Ended = end.value
        return asked, ended
    raise AssertionError(f"it has not ended, after {asked}")


def kinds(asked: list[Step]) -> list[type[Step]]:
    return [type(step) for step in asked]


def claim(count: int = 0) -> Head:
    """The item's head while r1 puts the change back at the worker "one", with so many
    changes parked behind it.
    """
    head, _ = claimed_free(LETTER, "shop", "r1/one", 1_000)
    return replace(head, count=count, tail=Version(1, LETTER.record.sequence + count))


def test_a_change_whose_item_is_at_the_handler_is_not_delivered_beside_it() -> None:
    asked, ended = steps(None, None)
    assert (kinds(asked), ended) == ([ReadHead, HoldKey], Ended("busy"))


def test_the_item_is_claimed_under_the_epoch_of_whoever_reads_its_shards_before_anything_is_delivered() -> (
    None
):
    asked, ended = steps(None, (FENCE,), True, LETTER, NOTHING, None, True)
    assert kinds(asked) == [ReadHead, HoldKey, WriteRows, ReadLetter, ReadPassed, Deliver, WriteRows]
    assert ended == Ended("done", 1, LETTER.record.version, passed=LETTER.record.version)
    assert asked[2] == WriteRows((FENCE, claimed_free(LETTER, "shop", "r1/one", 1_000)[1]))
    last = asked[-1]
    assert isinstance(last, WriteRows)
    assert last.rows[-1] == freed(claim()), "the item is free in the transaction that says what came of it"


def test_a_change_whose_shard_another_worker_has_taken_is_not_delivered() -> None:
    asked, ended = steps(None, (FENCE,), False)
    assert (kinds(asked), ended) == ([ReadHead, HoldKey, WriteRows], Ended("taken"))


def test_a_change_that_another_living_worker_puts_back_is_left_to_it() -> None:
    asked, ended = steps(claim(), is_taken=True)
    assert (kinds(asked), ended) == ([ReadHead], Ended("taken"))
    asked, ended = steps(claim(), drops=True, is_taken=True)
    assert (kinds(asked), ended) == ([ReadHead], Ended("taken")), "nor is it dropped meanwhile"


def test_a_change_whose_item_is_parked_waits_for_what_is_parked() -> None:
    parked = replace(claim(count=2), first=Version(1, LETTER.record.sequence + 1))
    asked, ended = steps(parked)
    assert (kinds(asked), ended) == ([ReadHead], Ended("busy"))


def test_a_change_that_others_were_parked_behind_while_it_was_put_back_comes_before_them() -> None:
    after = msgspec.structs.replace(LETTER.record, sequence=LETTER.record.sequence + 1)
    later = msgspec.structs.replace(LETTER, condition="KeyParked", record=after)
    asked, ended = steps(claim(count=1), (), True, LETTER, NOTHING, None, True, later, None, None, True)
    assert [step.letter for step in asked if isinstance(step, Deliver)] == [LETTER, later]
    assert ended.how == "done"


def test_a_change_that_somebody_else_has_put_back_is_not_delivered_again() -> None:
    asked, ended = steps(None, (), True, None, True)
    assert (kinds(asked), ended) == ([ReadHead, HoldKey, WriteRows, ReadLetter, WriteRows], Ended("gone"))


def test_a_change_with_a_later_one_handled_is_delivered_only_when_it_is_asked_for() -> None:
    later = Version(1, LETTER.record.sequence + 1)
    asked, ended = steps(None, (), True, LETTER, later, True)
    assert kinds(asked) == [ReadHead, HoldKey, WriteRows, ReadLetter, ReadPassed, WriteRows]
    assert ended == Ended("overtaken")
    last = asked[-1]
    assert isinstance(last, WriteRows)
    assert last.rows[1] == passed_write("shop", "mail", LETTER.record.key, later), "no row need say so yet"
    asked, ended = steps(None, (), True, LETTER, later, None, True, even_if_overtaken=True)
    assert (kinds(asked)[-2:], ended.how) == ([Deliver, WriteRows], "done")


def test_a_change_that_fails_again_keeps_its_letter_which_names_the_request() -> None:
    asked, ended = steps(None, (), True, LETTER, NOTHING, Refusal("ValueError: no"), True)
    assert kinds(asked) == [ReadHead, HoldKey, WriteRows, ReadLetter, ReadPassed, Deliver, WriteRows]
    assert ended == Ended("failed", error="ValueError: no")
    last = asked[-1]
    assert isinstance(last, WriteRows)
    assert isinstance(last.rows[0], Write)
    assert last.rows[0].fields is not None
    assert last.rows[0].fields["tried"] == read_deadletter(last.rows[0].fields).tried == "r1"


def test_what_was_parked_behind_the_change_meanwhile_is_put_back_after_it_under_the_same_claim() -> None:
    after = msgspec.structs.replace(LETTER.record, sequence=LETTER.record.sequence + 1)
    later = msgspec.structs.replace(LETTER, condition="KeyParked", record=after)
    asked, ended = steps(
        None, (), True, LETTER, NOTHING, None, False, claim(count=1), True, later, None, None, True
    )
    assert kinds(asked)[5:] == [
        Deliver,
        WriteRows,
        ReadHead,
        WriteRows,
        ReadOldest,
        Deliver,
        ReadPassed,
        WriteRows,
    ]
    assert (ended.how, ended.passed) == ("done", after.version), (
        "older discarded ones of the item are overtaken"
    )


def test_who_was_silent_so_long_that_another_has_taken_over_writes_nothing_more() -> None:
    other = replace(claim(), claimed_by="r1/two")
    asked, ended = steps(None, (), True, LETTER, NOTHING, None, False, other)
    assert (kinds(asked)[-2:], ended) == ([WriteRows, ReadHead], Ended("taken"))


def numbered(sequence: int, **changes: Any) -> DeadLetter:
    """A letter of another change of the item."""
    return msgspec.structs.replace(
        LETTER, record=msgspec.structs.replace(LETTER.record, sequence=sequence), **changes
    )


def test_the_discarded_changes_of_an_item_come_before_what_was_parked_behind_the_first_of_them() -> None:
    gone, second, parked = Version(1, 6), numbered(7), numbered(9, condition="KeyParked")
    head = replace(claim(count=1), tail=parked.record.version)
    answers = [
        head,
        (),
        True,
        LETTER,
        NOTHING,
        None,
        None,
        second,
        True,
        second,
        NOTHING,
        None,
        True,
    ]
    later = [LETTER.record.version, gone, second.record.version]
    asked, ended = steps(*answers, parked, None, None, True, later=later)
    assert [step.letter for step in asked if isinstance(step, Deliver)] == [LETTER, second, parked]
    assert (ended.how, ended.passed) == ("done", parked.record.version)
    written = [step.rows for step in asked if isinstance(step, WriteRows)][1]
    assert [
        row.fields["first"] for row in written if isinstance(row, Write) and "first" in (row.fields or ())
    ] == [second.record.version.text], "the worker that goes on begins there"


@pytest.mark.parametrize(("even_if_overtaken", "then"), [(False, [9]), (True, [7, 9])])
def test_none_behind_one_that_failed_again_is_put_back_before_what_was_parked(
    even_if_overtaken: bool, then: list[int]
) -> None:
    second, parked = numbered(7), numbered(9, condition="KeyParked")
    others = [second, True, second, NOTHING, None, True] if even_if_overtaken else [True]
    head = replace(claim(count=1), tail=parked.record.version)
    answers = [head, (), True, LETTER, NOTHING, Refusal("no"), *others, parked, None, None, True]
    asked, ended = steps(*answers, later=[second.record.version], even_if_overtaken=even_if_overtaken)
    delivered = [step.letter.record.sequence for step in asked if isinstance(step, Deliver)]
    assert delivered == [LETTER.record.sequence, *then]
    assert (ended.how, ended.error) == ("failed", "no")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_claim_for_a_change_that_was_put_back_already_ends_and_one_for_a_change_that_is_there_stays(
    is_there: bool,
) -> None:
    """A claim is made after its change was read, and its answer may be lost."""
    redriving: Redriving = put_back_key("shop", LETTER.record.key, by(), lambda: 1_000)
    asked = [next(redriving)]
    left = claim()
    with pytest.raises(StopIteration) as end:
        for answer in (left, True, None, LETTER if is_there else None, True):
            asked.append(redriving.send(answer))
    assert kinds(asked) == [ReadHead, WriteRows, ReadOldest, ReadLetter, WriteRows]
    (last,) = asked[-1].rows  # type: ignore[union-attr]
    assert isinstance(last, Write)
    assert (last.fields is None) == (not is_there)
    assert end.value.value.how == ("stopped" if is_there else "gone")
