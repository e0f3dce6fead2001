"""Data streams keep what was acknowledged through kills at every point; the checker sees planted faults."""

from typing import Any

import pytest

from tests.crash.data_streams import HASHES, POINTS, Ledger, differences, run

WHOLE: list[dict[str, Any]] = [
    {
        "ShardId": "s1",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": str(HASHES - 1)},
        "SequenceNumberRange": {},
    }
]


def sound() -> tuple[Ledger, list[tuple[str, str, str, str]]]:
    """Two records of one key, the first of which was never acknowledged."""
    ledger = Ledger()
    first, second = ledger.next("a"), ledger.next("a")
    ledger.acknowledged[second] = "s1", "2"
    return ledger, [("s1", "1", "a", first), ("s1", "2", "a", second)]


def test_what_is_sound_has_no_difference() -> None:
    ledger, records = sound()
    assert differences(ledger, records, WHOLE) == []
    assert differences(ledger, records[1:], WHOLE) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda records: records[:1], "a2 was acknowledged"),
        (lambda records: [*records, records[1]], "is there 2 times"),
        (lambda records: records[::-1], "not in the order"),
        (lambda records: [*records, ("s1", "3", "b", "b9")], "b9 was never put"),
        (lambda records: [records[0], ("s2", "2", "a", "a2")], "is at ('s2', '2')"),
    ],
)
def test_a_planted_difference_is_told(change: Any, told: str) -> None:
    ledger, records = sound()
    assert any(told in one for one in differences(ledger, change(records), WHOLE))


def test_a_shard_that_is_open_again_and_a_hole_are_told() -> None:
    ledger, records = sound()
    ledger.closed.add("s1")
    assert differences(ledger, records, WHOLE) == ["s1 was closed, and is open"]
    half = [{**WHOLE[0], "ShardId": "s2", "HashKeyRange": {"StartingHashKey": "1", "EndingHashKey": "5"}}]
    assert any("do not part the hash space" in one for one in differences(ledger, records, half))


def test_nothing_acknowledged_is_lost_doubled_or_moved_by_kills_at_every_point() -> None:
    outcome = run(seed=5, kills=len(POINTS), tell=lambda text: None)
    assert outcome.violations == []
    assert set(outcome.kills) == set(POINTS)
    assert outcome.acknowledged > 50
    assert outcome.reshards > 5
