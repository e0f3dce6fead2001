"""The checkers of the crash test can fail: a planted fault for each."""

from dataclasses import replace

import pytest

from tests.crash.checks import (
    Observed,
    acknowledged_writes_are_there,
    every_record_has_one_effect,
    every_write_has_one_record,
    nothing_is_given_up,
    read_notes,
    violations,
    what_fails_is_parked_with_what_follows,
)

SOUND = Observed(
    sent={"a": 3},
    acknowledged={"a": 2},
    items={"a": 3},
    records={"a": [1, 2, 3]},
    effects={"a": [1, 2, 3]},
    accepted={"a": [1, 2]},
    parked=1,
)


def test_a_sound_history_has_no_violation():
    assert violations(SOUND) == []


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        (acknowledged_writes_are_there, replace(SOUND, items={"a": 1})),
        (acknowledged_writes_are_there, replace(SOUND, items={"a": 4})),
        (acknowledged_writes_are_there, replace(SOUND, items={})),
        (every_write_has_one_record, replace(SOUND, records={"a": [1, 3]})),
        (every_write_has_one_record, replace(SOUND, records={"a": [1, 2, 2, 3]})),
        (every_write_has_one_record, replace(SOUND, records={"a": [1, 3, 2]})),
        (every_record_has_one_effect, replace(SOUND, effects={})),
        (every_record_has_one_effect, replace(SOUND, effects={"a": [1, 2, 3, 3]})),
        (every_record_has_one_effect, replace(SOUND, effects={"a": [1, 2, 3, 4]})),
        (what_fails_is_parked_with_what_follows, replace(SOUND, parked=2)),
        (what_fails_is_parked_with_what_follows, replace(SOUND, accepted={"a": [1, 2, 3]})),
        (nothing_is_given_up, replace(SOUND, dead_letters=1)),
    ],
)
def test_a_planted_fault_is_caught(check, fault):
    assert check(fault)


def test_a_note_cut_off_by_a_kill_is_passed_over():
    assert read_notes(["sent a 1\n", "acked a 1\n", "sent a 2\n", "acked a 2"]) == ({"a": 2}, {"a": 1})
