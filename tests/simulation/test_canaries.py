"""A planted bug for every checker: the *production* code is patched, and exactly that checker must notice
within a few seeds.

A checker that was never seen to fail is no checker.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tailrace.deadletters.core import redriving
from tailrace.deadletters.run import putting_back
from tailrace.mapping import batch, filters, keys
from tailrace.mapping.commands import Checkpoint, GivenUp, Start
from tailrace.mapping.held import HeldKeys, PendingRecords
from tailrace.mapping.keys import KeyFlow
from tailrace.mapping.lane import Lane
from tailrace.mapping.parking import Parking
from tailrace.mapping.retry import Decision, after_failure
from tailrace.mapping.settings import INFINITE, MappingSettings
from tailrace.mapping.settlement import Settlement, Watermark
from tailrace.mapping.shard import ShardMachine
from tailrace.mapping.window import TumblingWindow
from tailrace.runtime import delivering, evacuation, starting
from tailrace.streams.moment import Now
from tailrace.streams.record import ReadDone
from tailrace.testing.simulation_drawing import plan
from tests.simulation.campaign import run_seed
from tests.simulation.seeds import seeds_for

SEEDS = range(600)
Plant = Callable[[pytest.MonkeyPatch], None]


def a_read_skips_its_last_record(patch: pytest.MonkeyPatch) -> None:
    right = ShardMachine._read_done

    def wrong(self: ShardMachine, done: ReadDone, now: Now) -> None:
        right(self, structs.replace(done, records=done.records[:-1]) if len(done.records) > 1 else done, now)

    patch.setattr(ShardMachine, "_read_done", wrong)


def what_waited_comes_back_at_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(KeyFlow, "_to_front", lambda self, records: self._pending.add(records))


def a_checkpoint_saves_the_position(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Watermark, *, finished: bool) -> Checkpoint:
        return Checkpoint(self.position, (), finished)

    patch.setattr(Watermark, "checkpoint", wrong)


def every_second_checkpoint_forgets_the_ranges(patch: pytest.MonkeyPatch) -> None:
    right, calls = Watermark.checkpoint, []

    def wrong(self: Watermark, *, finished: bool) -> Checkpoint:
        calls.append(1)
        checkpoint = right(self, finished=finished)
        return replace(checkpoint, ranges=()) if len(calls) % 2 else checkpoint

    patch.setattr(Watermark, "checkpoint", wrong)


def a_batch_takes_keys_that_are_held(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: PendingRecords, held: HeldKeys, settings: MappingSettings, most: int) -> list[Any]:
        return self.take_first(most)

    patch.setattr(PendingRecords, "take_share", wrong)


def one_attempt_too_many(patch: pytest.MonkeyPatch) -> None:
    def wrong(settings: MappingSettings, *arguments: Any, **named: Any) -> Decision:
        limit = settings.maximum_retry_attempts
        more = structs.replace(settings, maximum_retry_attempts=limit if limit == INFINITE else limit + 1)
        return after_failure(more, *arguments, **named)

    patch.setattr(batch, "after_failure", wrong)
    patch.setattr(keys, "after_failure", wrong)


def what_is_given_up_is_only_counted(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Settlement, given_up: Sequence[GivenUp]) -> None:
        self.settle([entry.record for entry in given_up], "discarded")

    patch.setattr(Settlement, "give_up", wrong)


def taking_a_lease_keeps_its_epoch(patch: pytest.MonkeyPatch) -> None:
    right = starting.take

    def wrong(key: str, fields: Any, owner: str, above: int = 0) -> Any:
        taken, write = right(key, fields, owner, above)
        epoch = 1 if fields is None else fields["epoch"]
        return structs.replace(taken, epoch=epoch), structs.replace(
            write, fields={**(write.fields or {}), "epoch": epoch}
        )

    patch.setattr(starting, "take", wrong)


def a_failed_checkpoint_loses_its_reports(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Settlement, "not_saved", lambda self: setattr(self, "_saving", None))


def a_restart_forgets_the_ranges(patch: pytest.MonkeyPatch) -> None:
    right = Watermark.__init__

    def wrong(self: Watermark, checkpoint: Checkpoint) -> None:
        right(self, replace(checkpoint, ranges=()))

    patch.setattr(Watermark, "__init__", wrong)


def nobody_asks_to_be_woken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ShardMachine, "_next_wake_ms", lambda _self, _now, **_: None)


def a_start_forgets_the_parked_keys(patch: pytest.MonkeyPatch) -> None:
    right = ShardMachine._start

    def wrong(self: ShardMachine, start: Start, now: Any) -> None:
        right(self, structs.replace(start, parked=()), now)

    patch.setattr(ShardMachine, "_start", wrong)


def nothing_is_ever_overtaken(patch: pytest.MonkeyPatch) -> None:
    for module in (redriving, putting_back):
        patch.setattr(module, "judge", lambda *_, **__: "redrive")


def there_is_always_room_to_park(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Parking, "has_room", lambda _self, _key: True)


def a_filter_asks_only_the_head(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(filters, "matches", lambda _fields, _event: True)


def a_filter_finds_nothing_in_the_body(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(filters, "matches", lambda _fields, _event: False)


def a_gap_is_passed_over_in_silence(patch: pytest.MonkeyPatch) -> None:
    right = ShardMachine._read_done

    def wrong(self: ShardMachine, done: ReadDone, now: Now) -> None:
        right(self, structs.replace(done, trimmed=False), now)

    patch.setattr(ShardMachine, "_read_done", wrong)


def a_gap_has_no_row(patch: pytest.MonkeyPatch) -> None:
    """Only the ledger names it, until more has happened than a ledger names."""
    patch.setattr(delivering, "_gaps", lambda _place, _command: [])


def a_gap_begins_when_the_clock_says_so(patch: pytest.MonkeyPatch) -> None:
    """Which was ahead when the mapping began."""
    right = Settlement.lost_to_trim

    def wrong(self: Settlement, first: int, last: int, until_ms: int) -> None:
        right(self, first, last, until_ms)
        self._lost_between[first] = (self.watermark.read_ms, until_ms)

    patch.setattr(Settlement, "lost_to_trim", wrong)


def a_checkpoint_keeps_an_older_window(patch: pytest.MonkeyPatch) -> None:
    right = Lane._handled

    def wrong(self: Lane, *arguments: Any) -> None:
        window = self._settlement.window
        right(self, *arguments)
        self._settlement.window = window

    patch.setattr(Lane, "_handled", wrong)


def a_batch_goes_over_the_end_of_its_window(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TumblingWindow, "leading", lambda _self, _records, limit: limit)


def nothing_is_saved_from_the_trim(patch: pytest.MonkeyPatch) -> None:
    """What there was before: the stream forgot what waited for more than a day."""

    patch.setattr(evacuation, "_leading", lambda _records, _before_ms: [])


CANARIES: dict[str, Plant] = {
    "nothing is lost": a_read_skips_its_last_record,
    "the order of a key is kept": what_waited_comes_back_at_the_end,
    "a checkpoint covers only what is settled": a_checkpoint_saves_the_position,
    "a checkpoint never goes back": every_second_checkpoint_forgets_the_ranges,
    "one batch at a time for a lane or key": a_batch_takes_keys_that_are_held,
    "attempts stay within the limit": one_attempt_too_many,
    "what is given up is a dead letter by the policy": what_is_given_up_is_only_counted,
    "one worker saves under one epoch": taking_a_lease_keeps_its_epoch,
    "the ledger balances": a_failed_checkpoint_loses_its_reports,
    "what a checkpoint covers is not delivered again": a_restart_forgets_the_ranges,
    "progress once the faults stop": nobody_asks_to_be_woken,
    "a parked key waits for the redriver": a_start_forgets_the_parked_keys,
    "what is put back comes in its order": nothing_is_ever_overtaken,
    "parking is bounded": there_is_always_room_to_park,
    "what no filter lets through is never handed over": a_filter_asks_only_the_head,
    "what is trimmed unread is named": a_gap_is_passed_over_in_silence,
    "a gap only where nobody could save": nothing_is_saved_from_the_trim,
    "a window has what its checkpoint covers": a_checkpoint_keeps_an_older_window,
    "a window counts a record once": a_batch_goes_over_the_end_of_its_window,
}


@pytest.mark.parametrize("checker", CANARIES)
def test_the_checker_notices_its_planted_bug(checker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    CANARIES[checker](monkeypatch)
    notices(checker, CANARIES[checker])


def test_a_filter_that_refuses_too_much_loses_records(monkeypatch: pytest.MonkeyPatch) -> None:
    a_filter_finds_nothing_in_the_body(monkeypatch)
    notices("nothing is lost", a_filter_finds_nothing_in_the_body)


@pytest.mark.parametrize("plant", [a_gap_has_no_row, a_gap_begins_when_the_clock_says_so])
def test_a_gap_whose_row_is_wrong_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    notices("what is trimmed unread is named", plant)


def notices(checker: str, plant: Plant, order: str = "", seeds: Sequence[int] = SEEDS) -> None:
    """Whether some seed, of that order, has this checker complain of the planted bug."""
    for seed in seeds_for(plant, seeds):
        if order and order not in {mapping.settings.order for mapping in plan(seed).mappings}:
            continue
        violations: list[tuple[str, str]] = []
        with suppress(LookupError):  # a planted bug may break the machine in another run before
            _, violations = run_seed(seed)
        if checker in (name for name, _ in violations):
            return
    pytest.fail(f"{len(seeds)} seeds, and no checker noticed")
