"""Which alerts hold: each bound, and one past it."""

import pytest
from msgspec.structs import replace

from tailrace.alerts.core.signs import (
    KINDS_OF_ALERT,
    AlertBounds,
    AlertKind,
    HandlerSigns,
    holding,
)

BOUNDS = AlertBounds(late_ms=1_000, stuck_ms=2_000, left_ms=3_000)
WELL = HandlerSigns("mail", "orders", left_ms=3_000)


@pytest.mark.parametrize(
    ("signs", "kind"),
    [
        (replace(WELL, lag_ms=1_000), None),
        (replace(WELL, lag_ms=1_001), "late"),
        (replace(WELL, left_ms=3_000), None),
        (replace(WELL, left_ms=2_999), "late"),
        (replace(WELL, stuck_ms=2_000), None),
        (replace(WELL, stuck_ms=2_001), "stuck"),
        (replace(WELL, open_gaps=0), None),
        (replace(WELL, open_gaps=1), "gap"),
        (replace(WELL, shards_evacuating=1), "evacuating"),
        (replace(WELL, dead_letters=7), None),
        (replace(WELL, dead_letters=8), "dead letters"),
        (replace(WELL, contested=("shard-1",)), "two owners"),
    ],
)
def test_an_alert_holds_past_its_bound_and_not_at_it(signs: HandlerSigns, kind: AlertKind | None) -> None:
    assert list(holding(signs, BOUNDS, 7)) == ([] if kind is None else [kind])


def test_every_kind_can_hold_at_once_each_with_words_of_its_own() -> None:
    worst = HandlerSigns("mail", "orders", 5_000, 0, 5_000, 1, 2, 9, ("shard-1", "shard-2"))
    held = holding(worst, BOUNDS, 7)
    assert tuple(held) == KINDS_OF_ALERT
    assert len(set(held.values())) == len(held)
    assert held["dead letters"] == "2 more, 9 in all"
    assert held["two owners"] == "two workers read shard-1, shard-2"
    assert held["late"] == "its oldest change waits for 5s, and is trimmed in 0s"


def test_a_table_that_is_not_written_to_is_well_however_long_ago_it_moved() -> None:
    assert holding(HandlerSigns("mail", "orders"), AlertBounds(), 0) == {}
