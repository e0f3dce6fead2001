"""Processes that are killed in the work of a journal: it is what was written, and faults are caught."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.crash.journals import KINDS, Outcome, differences, kill_at, kinds_of, plan
from tests.crash.replays import Called, broken
from tests.unit.journal.control import ControlJournal

FIRST = 10**21


def quiet(text: str) -> None:
    """Nothing is shown."""


def test_a_journal_is_what_was_written_after_kills_of_archiver_merge_restore_and_replay() -> None:
    planned = [
        "archiver: segment, after",
        "archiver: full, before",
        "merge: delta, before",
        "restore: item, after",
        "replay: commit, after",
    ]
    outcome = kill_at(planned, quiet)
    assert outcome.violations == []
    assert set(outcome.kills) == set(planned)
    assert outcome.changes > 10
    assert outcome.replays == 1


@pytest.mark.slow
def test_an_archiver_that_leaves_a_change_out_is_caught() -> None:
    outcome = kill_at(["archiver: delta, after"], quiet, fault="a change is left out")
    assert any("is lost" in text for text in outcome.violations), outcome.violations


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("a batch is left out", "it handled"),
        ("marks are those of the live traffic", "it applied"),
        ("marks are those of a process", "it applied"),
        ("the end is that of a process", "its end was"),
    ],
)
def test_a_replay_that_is_wrong_after_a_kill_is_caught(fault: str, words: str) -> None:
    outcome = kill_at(["replay: commit, after", "replay: save, after"], quiet, fault=fault)
    assert any(words in text for text in outcome.violations), outcome.violations


def test_a_long_campaign_has_every_kind_of_kill() -> None:
    assert set(plan(7, len(KINDS))) == set(KINDS)
    assert len(plan(7, 200)) == 200
    assert {kind.partition(": ")[0] for kind in KINDS} == {"archiver", "merge", "restore", "replay"}


@pytest.mark.parametrize("work", ["archiver", "merge", "restore", "replay"])
def test_a_campaign_of_one_work_has_every_kind_of_it_and_no_other(work: str) -> None:
    kinds = kinds_of(work)
    assert set(plan(7, len(kinds), kinds)) == {kind for kind in KINDS if kind.startswith(f"{work}: ")}
    outcome = Outcome(kills=Counter({kinds[0]: 1}))
    assert outcome.never_killed(kinds) == [*kinds[1:]]


# ---- the comparison ----------------------------------------------------------------------------------------


def image(n: int) -> dict[str, Any]:
    return {"id": {"S": "o"}, "n": {"N": str(n)}}


def sound() -> tuple[list[dict[str, Any]], ControlJournal]:
    """Three changes of an item, as a client reads them and as a journal has them."""
    steps = [("INSERT", None, image(1)), ("MODIFY", image(1), image(2)), ("REMOVE", image(2), None)]
    records = []
    journal = ControlJournal()
    for number, (event, old, new) in enumerate(steps, 1):
        images = {"OldImage": old, "NewImage": new}
        told = {name: value for name, value in images.items() if value is not None}
        records.append({"eventName": event, "dynamodb": {"SequenceNumber": str(FIRST + number), **told}})
        row = {
            "event": event,
            "old": json.dumps(old) if old else None,
            "new": json.dumps(new) if new else None,
        }
        journal.rows.append({**row, "shard": "s", "sequence": number.to_bytes(24, "big")})
    return records, journal


def _kept(item: dict[str, Any] | None) -> str | None:
    return None if item is None else json.dumps(item)


def lacks_one(journal: ControlJournal) -> None:
    journal.rows.pop()


def has_one_twice(journal: ControlJournal) -> None:
    journal.rows.append(journal.rows[0])


def has_one_more(journal: ControlJournal) -> None:
    journal.rows.append({**journal.rows[0], "sequence": (9).to_bytes(24, "big")})


def has_another_old_image(journal: ControlJournal) -> None:
    journal.rows[1]["old"] = json.dumps(image(7))


def has_another_event(journal: ControlJournal) -> None:
    journal.rows[0]["event"] = "MODIFY"


def has_a_gap(journal: ControlJournal) -> None:
    journal.gaps.append(("s", 4, 5))


def test_a_sound_journal_has_no_difference() -> None:
    assert differences(*sound()) == []


@pytest.mark.parametrize(
    "fault", [lacks_one, has_one_twice, has_one_more, has_another_old_image, has_another_event, has_a_gap]
)
def test_a_planted_difference_is_found(fault: Callable[[ControlJournal], None]) -> None:
    records, journal = sound()
    fault(journal)
    assert differences(records, journal)


# ---- what is judged of a replay ----------------------------------------------------------------------------

WINDOW = [("a", 1), ("b", 2), ("a", 3), ("b", 4)]
APPLIED = {"a": [1, 3], "b": [2, 4]}


def calls(*numbers: int) -> list[Called]:
    """The handler was called for these changes of the window."""
    key_of = {number: key for key, number in [*WINDOW, ("a", 5)]}
    return [Called("replay-1", number, key_of[number]) for number in numbers]


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (2, 1, 4, 3), (1, 2, 1, 2, 3, 4), (1, 3, 1, 3, 2, 4, 2)])
def test_a_replay_may_repeat_what_it_handles_and_mix_items(order: tuple[int, ...]) -> None:
    assert broken(WINDOW, calls(*order), APPLIED) == []


@pytest.mark.parametrize(
    ("order", "applied", "words"),
    [
        ((1, 2, 3), APPLIED, "b: of [2, 4] it handled [2]"),
        ((1, 2, 3, 4, 5), APPLIED, "a: of [1, 3] it handled [1, 3, 5]"),
        ((3, 1, 2, 4), APPLIED, "a: it handled [3, 1], in another order"),
        ((1, 2, 3, 4), {**APPLIED, "a": [1]}, "a: of [1, 3] it applied [1]"),
        ((1, 2, 3, 4), {**APPLIED, "a": [1, 3, 3]}, "a: of [1, 3] it applied [1, 3, 3]"),
        ((1, 2, 3, 4), {**APPLIED, "a": [3, 1]}, "a: of [1, 3] it applied [3, 1]"),
        ((1, 2, 3, 4), {**APPLIED, "c": [9]}, "c: of [] it applied [9]"),
    ],
)
def test_a_replay_that_loses_repeats_or_confuses_is_told(
    order: tuple[int, ...], applied: dict[str, list[int]], words: str
) -> None:
    assert broken(WINDOW, calls(*order), applied) == [words]
