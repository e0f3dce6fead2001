"""A broken copy of each rule of the holding stage is caught by what test_holding.py holds of it."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from msgspec.structs import replace

from tailrace.mapping import chain, chained_item, holding
from tailrace.mapping.chain import Link
from tailrace.mapping.chained_item import ChainRow
from tailrace.mapping.holding import HoldingStage, Judged
from tests.properties import test_holding as holds

SEEDS: Final = 400
Broken = Callable[[pytest.MonkeyPatch], None]


def is_caught(*properties: Callable[[int], None]) -> bool:
    """Whether one of these does not hold for some seed."""
    for seed in range(SEEDS):
        for check in properties:
            try:
                check(seed)
            except (AssertionError, KeyError, ValueError, IndexError):
                return True
    return False


def breaking(where: Any, name: str, broken: Any) -> Broken:
    """Put a broken copy in place of a rule."""
    return lambda patch: patch.setattr(where, name, broken)


def first_that_fits(at: bytes, links: Any) -> tuple[int, ...]:
    return next(((place,) for place, link in enumerate(links) if link.old == at), ())


def without(part: str) -> Broken:
    """A row that lacks something of its item."""
    row = holding.ChainedItem.row

    def broken(item: Any) -> ChainRow:
        return replace(row(item), **{part: ()})

    return breaking(holding.ChainedItem, "row", broken)


def row_of_everything_that_went_out(item: Any) -> ChainRow:
    return ChainRow(item.partition, tuple(item.links), (), tuple(item.carried.values()))


def waits_half_as_long(patch: pytest.MonkeyPatch) -> None:
    init = HoldingStage.__init__

    def broken(stage: HoldingStage, disorder_ms: int, **settings: Any) -> None:
        init(stage, disorder_ms // 2, **settings)

    patch.setattr(HoldingStage, "__init__", broken)


def drops_what_is_carried(patch: pytest.MonkeyPatch) -> None:
    close = HoldingStage.close

    def broken(stage: HoldingStage) -> Judged:
        held = close(stage)
        for item in stage._items.values():
            item.carried.clear()
        return held

    patch.setattr(HoldingStage, "close", broken)


def begins_with_what_is_carried(patch: pytest.MonkeyPatch) -> None:
    load = HoldingStage.load

    def broken(stage: HoldingStage, rows: Any) -> Judged:
        held = load(stage, rows)
        stage._over.clear()
        for item in stage._items.values():
            stage._drain(item, held)
        return held

    patch.setattr(HoldingStage, "load", broken)


def forgets_what_a_crash_repeats(patch: pytest.MonkeyPatch) -> None:
    hold = HoldingStage.hold

    def broken(stage: HoldingStage, records: Any) -> Judged:
        stage._durable_us = stage._now_us
        return hold(stage, records)

    patch.setattr(HoldingStage, "hold", broken)


def tells_no_hole(patch: pytest.MonkeyPatch) -> None:
    go_on = HoldingStage._go_on_after_hole

    def broken(stage: HoldingStage, item: Any, held: Judged) -> None:
        go_on(stage, item, held)
        held.holes.clear()

    patch.setattr(HoldingStage, "_go_on_after_hole", broken)


def ignores_what_is_late(patch: pytest.MonkeyPatch) -> None:
    take = HoldingStage._take

    def broken(stage: HoldingStage, record: Any, held: Judged) -> None:
        take(stage, record, held)
        held.late.clear()

    patch.setattr(HoldingStage, "_take", broken)


def compares_times_exactly(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(chain, "are_of_one_time", lambda one, other: one.number == other.number)


def places_by_time_alone(link: Link, last: Link | None) -> int:
    return link.created_us << chain.PLACE_BITS


CANARIES: dict[str, tuple[Broken, tuple[Callable[[int], None], ...]]] = {
    "times do not order": (
        breaking(holding, "is_before", lambda one, other: False), (holds.nothing_lost_in_silence,)
    ),
    "what is of one time is taken as it comes": (
        breaking(holding, "trail", first_that_fits), (holds.held_for_the_bound,)
    ),
    "nothing waits for the bound": (
        breaking(HoldingStage, "_is_due", lambda stage, item: True), (holds.held_for_the_bound,)
    ),
    "the bound is half as long": (waits_half_as_long, (holds.held_for_the_bound,)),
    "an event id tells no duplicate": (
        breaking(holding.ChainedItem, "knows", lambda item, link: link.number in item.known),
        (holds.held_for_the_bound,),
    ),
    "equal changes are no duplicates": (
        breaking(chained_item, "equals", lambda one, other: False), (holds.held_without_event_ids,)
    ),
    "equal images are a change": (
        breaking(Link, "changes_nothing", property(lambda link: False)), (holds.held_by_the_chain,)
    ),
    "two changes of one time have one version": (
        breaking(holding, "slot_of", places_by_time_alone), (holds.held_by_the_chain,)
    ),
    "times are compared as exactly as the finer": (
        compares_times_exactly,
        (holds.held_for_the_bound,),
    ),
    "a row says what went out": (
        breaking(holding.ChainedItem, "row", row_of_everything_that_went_out),
        (holds.held_for_the_bound_under_crashes,),
    ),
    "a row has no chain": (without("links"), (holds.held_by_the_chain_under_crashes,)),
    "a row does not know what is ahead": (
        without("ahead"), (holds.held_for_the_bound_under_crashes, holds.held_by_the_chain_under_crashes)
    ),
    "a row has nothing that is carried": (without("carried"), (holds.held_for_the_bound,)),
    "what is carried is not kept": (drops_what_is_carried, (holds.held_for_the_bound,)),
    "what is carried may be the first": (
        begins_with_what_is_carried, (holds.held_by_the_chain_under_crashes,)
    ),
    "what a crash repeats is forgotten": (
        forgets_what_a_crash_repeats,
        (holds.held_by_the_chain_under_crashes, holds.held_for_the_bound_under_crashes),
    ),
    "no hole is told": (tells_no_hole, (holds.holes_are_told,)),
    "nothing is told to be late": (ignores_what_is_late, (holds.nothing_lost_in_silence,)),
}  # fmt: skip


@pytest.mark.parametrize("rule", CANARIES)
def test_a_broken_rule_is_caught(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, properties = CANARIES[rule]
    broken(monkeypatch)
    assert is_caught(*properties)


def test_what_is_not_broken_is_not_caught() -> None:
    for check in holds.PROPERTIES:
        for seed in range(20):
            check(seed)
