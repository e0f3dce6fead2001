"""Choosing, grouping and judging dead letters."""

import msgspec
import pytest
from msgspec import structs

from tailrace.deadletters.core.entry import DeadLetter
from tailrace.deadletters.core.redrive import (
    Choice,
    Groups,
    fingerprint,
    interval_ms,
    item_words,
    judge,
    read_choice,
)
from tailrace.errors import SettingsError
from tailrace.streams.version import Version
from tests.unit.mapping.records import record

TRACE = (
    'Traceback (most recent call last):\n  File "/srv/app/mail.py", line 17, in send\n    '
    "raise\nSMTPError: x\n"
)


def letter(
    error: str = "SMTPError: 550 no",
    trace: str = "",
    condition: str = "RetryAttemptsExhausted",
    generation: int = 1,
) -> DeadLetter:
    return DeadLetter(
        record=structs.replace(record(5), generation=generation),
        event_id="e",
        shard_id="s",
        handler="mail",
        condition=condition,
        attempts=6,
        error=error,
        traceback=trace,
        first_failure_ms=100,
        last_failure_ms=200,
    )


@pytest.mark.parametrize(
    ("choice", "takes"),
    [
        (Choice(), True), (Choice(error="SMTP*"), True), (Choice(error="smtp*"), False),
        (Choice(since_ms=200), True), (Choice(since_ms=201), False), (Choice(until_ms=200), False),
        (Choice(until_ms=201), True), (Choice(event_id="e"), True), (Choice(event_id="f"), False),
    ],
)  # fmt: skip
def test_a_choice_takes_what_fits_at_its_bounds(choice: Choice, takes: bool) -> None:
    assert choice.takes(letter()) is takes


def test_what_only_waits_is_chosen_by_its_key_alone() -> None:
    waiting = letter(error="", condition="KeyParked")
    assert Choice().takes_waiting(waiting)
    assert not Choice(since_ms=0).takes_waiting(waiting)


@pytest.mark.parametrize("fields", [{"colour": "red"}, {"since_ms": "today"}, {"error": 7}])
def test_an_unknown_choice_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="where"):
        read_choice(fields)


def test_a_choice_survives_json() -> None:
    choice = Choice(error="SMTP*", since_ms=3)
    assert read_choice(choice.fields()) == choice


def test_a_fingerprint_leaves_out_what_varies_and_names_the_place() -> None:
    assert fingerprint(letter("SMTPError: 550 mailbox 'ann'")) == "SMTPError: # mailbox #"
    assert (
        fingerprint(letter("SMTPError: 551 mailbox 'bob'", TRACE)) == "SMTPError: # mailbox # @mail.py:send"
    )


def test_the_largest_group_comes_first_and_what_waits_is_in_none() -> None:
    groups = Groups([letter("A: 1"), letter("B: 1"), letter("B: 2"), letter("", condition="KeyParked")])
    assert [(words, group.count, group.error) for words, group in groups.largest_first()] == [
        ("B: #", 2, "B: 1"),
        ("A: #", 1, "A: 1"),
    ]
    assert groups.letters == 4


@pytest.mark.parametrize(
    ("last", "anyway", "verdict"),
    [(0, False, "redrive"), (5, False, "redrive"), (6, False, "overtaken"), (6, True, "redrive")],
)
def test_a_change_is_overtaken_by_a_later_one_of_its_item(last: int, anyway: bool, verdict: str) -> None:
    assert judge(letter(), Version(1, last), even_if_overtaken=anyway) == verdict


@pytest.mark.parametrize(
    ("rate", "ms"), [(None, 0), ("10/s", 100), ("60/m", 1_000), ("0.5/s", 2_000), ("1/h", 3_600_000)]
)
def test_a_rate_is_a_time_between_changes(rate: str | None, ms: float) -> None:
    assert interval_ms(rate) == ms


@pytest.mark.parametrize("rate", ["0/s", "10", "10/d", "-1/s", "fast"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(SettingsError, match="rate"):
        interval_ms(rate)


def test_an_item_is_named_by_the_values_of_its_key() -> None:
    two = msgspec.structs.replace(
        letter(), record=msgspec.structs.replace(record(5), keys=b'{"a":{"S":"x/y"},"b":{"N":"7"}}')
    )
    assert item_words(two) == "x/y/7"


def test_a_change_of_a_later_stream_overtakes_one_with_a_larger_number() -> None:
    assert judge(letter(), Version(2, 1), even_if_overtaken=False) == "overtaken"
    assert judge(letter(generation=2), Version(1, 900), even_if_overtaken=False) == "redrive"
