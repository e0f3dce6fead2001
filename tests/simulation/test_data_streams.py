"""Worlds of data streams: each change is handed over in the order of its item, whatever comes again, late or
in a child, and whoever dies meanwhile. And broken copies of what keeps it so, which are caught.

Rules of this file: some worlds here, 10,000 with `make simulate`. Units: seeds.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from msgspec.structs import replace

from tailrace.mapping import keys as by_key
from tailrace.mapping.commands import SaveCheckpoint
from tailrace.mapping.held import by_sequence
from tailrace.mapping.intake import ChainedSettlement, Intake
from tailrace.runtime import delivering, starting
from tests.simulation.data_stream_worlds import HAPPENED, draw, run_data_stream

SEEDS: Final = 150
Broken = Callable[[pytest.MonkeyPatch], None]


def test_each_change_is_handed_over_in_the_order_of_its_item() -> None:
    counts: Counter[str] = Counter()
    for seed in range(SEEDS):
        world, wrong = run_data_stream(seed)
        counts.update(world.counts)
        assert not wrong, f"python -m tests.simulation --data-streams --first {seed} --seeds 1"
    assert not [name for name in HAPPENED if not counts[name]], "the worlds are too calm"


def test_the_same_seed_plays_the_same_world() -> None:
    one, other = (run_data_stream(7)[0] for _ in range(2))
    assert (one.counts, one.rows) == (other.counts, other.rows)
    assert draw(7).stream.history == draw(7).stream.history


def loads_no_chains(patch: pytest.MonkeyPatch) -> None:
    def nothing(words: Any, shard: Any) -> Iterator[Any]:
        yield from ()
        return ()

    patch.setattr(starting, "load_chains", nothing)


def saves_no_chains(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(delivering, "chain_writes", lambda words, generation, chains, holes: [])


def loads_the_chains_of_one_shard_alone(patch: pytest.MonkeyPatch) -> None:
    """As if a row were its shard's, and not that of the shards that continue it."""
    load = starting.load_chains

    def broken(words: Any, shard: Any) -> Iterator[Any]:
        chains = yield from load(words, shard)
        return () if shard.parents else chains

    patch.setattr(starting, "load_chains", broken)


def forgets_what_a_failed_checkpoint_carried(patch: pytest.MonkeyPatch) -> None:
    save = ChainedSettlement.save

    def broken(settlement: ChainedSettlement, *, finished: bool) -> SaveCheckpoint:
        command = save(settlement, finished=finished)
        settlement._sent = replace(command, chains=())
        return command

    patch.setattr(ChainedSettlement, "save", broken)


def finishes_before_what_was_carried_over_is_settled(patch: pytest.MonkeyPatch) -> None:
    complete = property(lambda settlement: settlement.watermark.is_complete)
    patch.setattr(ChainedSettlement, "is_complete", complete)


def carries_nothing_over(patch: pytest.MonkeyPatch) -> None:
    read = Intake.read
    patch.setattr(
        Intake,
        "read",
        lambda intake, fresh, done, now: read(intake, fresh, replace(done, closed=False), now),
    )


def keeps_the_reading_order(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(by_key, "by_rank", by_sequence)


def counts_what_is_of_no_shard_here(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ChainedSettlement, "settle_over", lambda settlement, records, outcome: None)


CANARIES: Final[dict[str, Broken]] = {
    "no chains are loaded": loads_no_chains,
    "no chains are saved": saves_no_chains,
    "a child does not know the chains of its parents": loads_the_chains_of_one_shard_alone,
    "rows of a checkpoint that failed are forgotten": forgets_what_a_failed_checkpoint_carried,
    "a shard is finished while a change of another is at the sink": (
        finishes_before_what_was_carried_over_is_settled
    ),
    "nothing is carried over": carries_nothing_over,
    "what failed goes back to where it was read": keeps_the_reading_order,
    "what was carried over has no end": counts_what_is_of_no_shard_here,
}


@pytest.mark.parametrize("rule", CANARIES)
def test_a_broken_rule_is_caught(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    CANARIES[rule](monkeypatch)
    assert any(run_data_stream(seed)[1] for seed in range(400))
