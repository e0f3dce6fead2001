"""Worlds of journals: whatever happens, each journal is what was written, and says of no moment what was not.

Rules of this file: a few worlds here, 10,000 with `make simulate`. Units: seeds.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

import pytest

from tailrace.streams.record import ChangeRecord
from tests.simulation.journal_law import Acknowledged, Truth, journal_faults
from tests.simulation.journal_worlds import HAPPENINGS, JournalWorld, draw, run_journal, run_world

SEEDS: Final = (0, 6, 8, 27, 268)
"""Together they meet most of what there is."""


@pytest.fixture(scope="module")
def worlds() -> list[JournalWorld]:
    return [run_world(seed) for seed in SEEDS]


def test_each_journal_is_what_was_written(worlds: list[JournalWorld]) -> None:
    wrong = [(world.plan.seed, words) for world in worlds for words in world.wrong]
    assert not wrong, f"{wrong}: python -m tests.simulation --journals --first {wrong[0][0]} --seeds 1"


def test_a_few_worlds_write_split_die_merge_and_are_asked(worlds: list[JournalWorld]) -> None:
    for name in ("write", "split", "kill", "merged", "lease lost", "call refused", "known as of"):
        assert any(world.counts[name] for world in worlds), name


def test_the_same_seed_plays_the_same_world(worlds: list[JournalWorld]) -> None:
    again = run_world(SEEDS[0])
    assert again.counts == worlds[0].counts
    assert again.archive.blobs.keys() == worlds[0].archive.blobs.keys()


def test_a_campaign_has_what_is_wrong_of_a_seed_with_the_law_that_it_breaks() -> None:
    world, wrong = run_journal(SEEDS[2])
    assert (world.plan, wrong) == (draw(SEEDS[2]), [])


def test_every_happening_is_drawn_by_some_seed() -> None:
    assert {name for seed in range(60) for name in draw(seed).steps} == set(HAPPENINGS)


# ---- the law -----------------------------------------------------------------------------------------------


def lacks_a_change(blobs: dict[str, bytes], truth: Truth) -> None:
    last = next(records for records in truth.records.values() if records)[-1]
    truth.records["2030-01-01T00:00:00.000", "shard"] = [last]


def was_written_otherwise(blobs: dict[str, bytes], truth: Truth) -> None:
    _altered(truth, "new", b'{"id":{"S":"else"}}')


def had_another_old_image(blobs: dict[str, bytes], truth: Truth) -> None:
    _altered(truth, "old", b'{"id":{"S":"else"}}')


def was_never_written(blobs: dict[str, bytes], truth: Truth) -> None:
    next(records for records in truth.records.values() if records).pop()


def lacks_a_segment(blobs: dict[str, bytes], truth: Truth) -> None:
    del blobs[next(name for name in blobs if "/segments/shardId" in name or "/segments/merged" in name)]


def _altered(truth: Truth, name: str, value: bytes) -> None:
    records = next(records for records in truth.records.values() if records)
    records[0] = ChangeRecord(**{**_fields(records[0]), name: value})


def _fields(record: ChangeRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


@pytest.mark.parametrize(
    "differ",
    [lacks_a_change, was_written_otherwise, had_another_old_image, was_never_written, lacks_a_segment],
)
def test_a_journal_that_differs_breaks_the_law(
    worlds: list[JournalWorld], differ: Callable[[dict[str, bytes], Truth], None]
) -> None:
    blobs, truth = dict(worlds[0].archive.blobs), deepcopy(worlds[0].truth)
    assert list(journal_faults(blobs, truth, may_lose=False)) == []
    differ(blobs, truth)
    assert list(journal_faults(blobs, truth, may_lose=False))


def test_a_stream_that_clients_know_otherwise_is_no_truth(worlds: list[JournalWorld]) -> None:
    truth = deepcopy(worlds[0].truth)
    assert list(truth.faults()) == []
    truth.acknowledged.append(Acknowledged(None, {"id": {"S": "more"}}))
    assert list(truth.faults())
