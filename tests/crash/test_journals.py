"""Processes that are killed in the work of a journal: it is what was written, and faults are caught."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.crash.journals import KINDS, differences, kill_at, plan
from tests.unit.journal.control import ControlJournal

FIRST = 10**21


def quiet(text: str) -> None:
    """Nothing is shown."""


def test_a_journal_is_what_was_written_after_kills_of_archiver_merge_and_restore() -> None:
    planned = [
        "archiver: segment, after",
        "archiver: full, before",
        "merge: delta, before",
        "restore: item, after",
    ]
    outcome = kill_at(planned, quiet)
    assert outcome.violations == []
    assert set(outcome.kills) == set(planned)
    assert outcome.changes > 10


@pytest.mark.slow
def test_an_archiver_that_leaves_a_change_out_is_caught() -> None:
    outcome = kill_at(["archiver: delta, after"], quiet, fault="a change is left out")
    assert any("is lost" in text for text in outcome.violations), outcome.violations


def test_a_long_campaign_has_every_kind_of_kill() -> None:
    assert set(plan(7, len(KINDS))) == set(KINDS)
    assert len(plan(7, 200)) == 200


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
