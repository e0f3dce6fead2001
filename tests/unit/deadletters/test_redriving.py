"""Putting a discarded change back, step by step: what must be known before it is delivered."""

from typing import Any

from tailrace.deadletters.redriving import (
    Deliver,
    Ended,
    Hold,
    ReadLetter,
    ReadPassed,
    Redriving,
    Refusal,
    Step,
    WriteRows,
    put_back_letter,
)
from tailrace.streams.version import NOTHING, Version
from tests.unit.deadletters.test_redrive import letter

LETTER = letter()


def steps(*answers: Any, even_if_overtaken: bool = False) -> tuple[list[type[Step]], Ended]:
    """The steps that are asked for with these answers, and how it ended."""
    redriving: Redriving = put_back_letter("shop", LETTER, lambda: 1_000, even_if_overtaken=even_if_overtaken)
    asked = [type(next(redriving))]
    try:
        for answer in answers:
            asked.append(type(redriving.send(answer)))
    except StopIteration as end:
        ended: Ended = end.value
        return asked, ended
    raise AssertionError(f"it has not ended, after {asked}")


def test_a_change_whose_item_is_at_the_handler_is_not_delivered_beside_it() -> None:
    assert steps(False) == ([Hold], Ended("busy"))


def test_a_change_that_somebody_else_has_put_back_is_not_delivered_again() -> None:
    assert steps(True, None) == ([Hold, ReadLetter], Ended("gone"))


def test_a_change_with_a_later_one_handled_is_delivered_only_when_it_is_asked_for() -> None:
    later = Version(1, LETTER.record.sequence + 1)
    assert steps(True, LETTER, later) == ([Hold, ReadLetter, ReadPassed], Ended("overtaken"))
    asked, ended = steps(True, LETTER, later, None, True, even_if_overtaken=True)
    assert (asked[-2:], ended) == ([Deliver, WriteRows], Ended("done", 1))


def test_a_change_that_fails_again_keeps_its_letter() -> None:
    asked, ended = steps(True, LETTER, NOTHING, Refusal("ValueError: no"), True)
    assert asked == [Hold, ReadLetter, ReadPassed, Deliver, WriteRows]
    assert ended == Ended("failed", error="ValueError: no")
