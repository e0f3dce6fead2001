"""The ledger: what a checkpoint carries, and what it carries again after a failure."""

from tailrace.mapping.batch import too_old
from tailrace.mapping.commands import Checkpoint, Settled
from tailrace.mapping.settlement import Settlement
from tailrace.streams.version import NOTHING, Version
from tests.unit.mapping.records import record, records


def ledger(*sequences: int) -> Settlement:
    settlement = Settlement(Checkpoint())
    settlement.watermark.read(records(*sequences), sequences[-1])
    return settlement


def test_runs_of_one_outcome_are_reported_together_in_reading_order() -> None:
    settlement = ledger(1, 2, 3, 4, 5)
    settlement.settle(records(4), "handled")
    settlement.settle(records(1, 2), "handled")
    settlement.settle(records(3), "handled")
    settlement.settle(records(5), "filtered")
    assert settlement.save(finished=False).settled == (
        Settled(1, 4, 4, "handled"),
        Settled(5, 5, 1, "filtered"),
    )


def test_a_run_with_holes_is_reported_in_parts() -> None:
    settlement = ledger(1, 2, 3, 4)
    settlement.settle(records(1, 3, 4), "filtered")
    assert settlement.save(finished=False).settled == (
        Settled(1, 1, 1, "filtered"),
        Settled(3, 4, 2, "filtered"),
    )


def test_what_a_failed_checkpoint_carried_is_carried_again() -> None:
    settlement = ledger(1, 2, 3)
    settlement.give_up([too_old(record) for record in records(1)])
    lost = settlement.save(finished=False)
    settlement.settle(records(2), "handled")
    settlement.not_saved()
    again = settlement.save(finished=False)
    assert lost.given_up == again.given_up
    assert again.settled == (Settled(1, 1, 1, "discarded"), Settled(2, 2, 1, "handled"))
    settlement.saved()
    assert settlement.unsaved == 0
    assert not settlement.has_news(finished=False)


def test_the_end_of_a_shard_is_news_of_its_own() -> None:
    settlement = ledger(1)
    settlement.settle(records(1), "handled")
    settlement.save(finished=False)
    settlement.saved()
    assert settlement.has_news(finished=True)


def test_the_totals_balance() -> None:
    settlement = ledger(1, 2, 3)
    settlement.settle(records(1), "handled")
    settlement.settle(records(2), "filtered")
    settlement.give_up([too_old(record) for record in records(3)])
    assert settlement.totals == {
        "handled": 1,
        "filtered": 1,
        "parked": 0,
        "discarded": 1,
        "dropped": 0,
        "trimmed": 0,
        "duplicate": 0,
        "carried": 0,
    }
    assert settlement.watermark.unsettled == 0


def test_a_checkpoint_tells_how_far_an_item_with_a_dead_letter_has_come_since() -> None:
    settlement = ledger(1, 2, 3, 4)
    settlement.give_up([too_old(record(1, "k"))])
    assert settlement.save(finished=False).passed == ((b"k", NOTHING),)
    settlement.saved()
    settlement.settle([record(2, "k"), record(3, "j")], "handled")
    settlement.settle([record(4, "k")], "filtered")
    lost = settlement.save(finished=False)
    assert lost.passed == ((b"k", Version(1, 2)),), "or a redrive would put the first change over the second"
    settlement.not_saved()
    assert settlement.save(finished=False).passed == lost.passed


def test_what_a_redrive_has_put_back_is_not_forgotten_by_what_is_given_up_later() -> None:
    settlement = ledger(1, 2, 3)
    settlement.give_up([too_old(record(1, "k")), too_old(record(2, "k"))])
    settlement.save(finished=False)
    settlement.saved()
    settlement.note_redriven(b"k", Version(1, 2))
    assert settlement.has_news(finished=False), "or a row that was on its way when it was put back would stay"
    assert settlement.save(finished=False).passed == ((b"k", Version(1, 2)),)
    settlement.saved()
    settlement.note_redriven(b"k", Version(1, 1))
    assert not settlement.has_news(finished=False)
    settlement.give_up([too_old(record(3, "k"))])
    again = settlement.save(finished=False)
    assert again.passed == ((b"k", Version(1, 2)),), "or the first change could be put over the second"
    assert settlement.watched[b"k"] == Version(1, 2)


def test_what_is_read_is_settled_once_or_waits_whatever_becomes_of_checkpoints() -> None:
    settlement = Settlement(Checkpoint(ranges=((2, 3),)))
    settlement.read(records(1, 2, 3, 4, 5), 5)
    assert (settlement.taken, settlement.unbalanced) == (3, 0), "what was settled before is not read anew"
    settlement.settle(records(4), "filtered")
    settlement.lost_to_trim(6, 9, 0)
    settlement.give_up([too_old(record) for record in records(1)])
    for answered in (settlement.not_saved, settlement.saved):
        settlement.save(finished=False)
        answered()
        assert settlement.unbalanced == 0
    settlement.settle(records(5), "handled")
    assert (settlement.taken, sum(settlement.totals.values()), settlement.unbalanced) == (3, 3, 0)


def test_the_canary_a_record_without_an_end_and_one_with_two_are_noticed() -> None:
    settlement = Settlement(Checkpoint())
    settlement.read(records(1, 2), 2)
    settlement.watermark.settle(0, 1)  # and nothing says how
    assert settlement.unbalanced == 1
    settlement.totals["handled"] += 2
    assert settlement.unbalanced == 1
